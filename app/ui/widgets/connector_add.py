"""The dialog that adds a source: pick it, fill in its form, test it, see what would come, start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.domain import Person
from app.errors import SwitchboardError
from app.knowledge.sync import ConnectorKind
from app.ui.widgets import model_form, page
from app.ui.widgets.choices import told_apart
from app.ui.widgets.connector_html import check_html, dry_run_html
from app.ui.widgets.words import exact, zone_of
from app.wiring import Services

May = Callable[[], Person]
NEW = "New secrets"


@dataclass(frozen=True, slots=True)
class Entered:
    """What stands in the form."""

    kind: ConnectorKind
    settings: dict[str, Any]
    secrets: dict[str, str]
    credential_id: str | None


@st.dialog("New connector", width="large")
def dialog(services: Services, may: May, added: Callable[[str], None]) -> None:
    """`may` returns the admin as of now, or raises Denied; `added` gets the new connector's id."""
    kinds = sorted(services.sync.kinds(), key=lambda kind: (kind.category, kind.title))
    kind = st.selectbox(
        "Source",
        kinds,
        index=None,
        format_func=lambda kind: f"{kind.category} · {kind.title}",
        placeholder="Where the documents live; type to search",
        key="new_kind",
    )
    if kind is None:
        st.caption(f"{len(kinds)} sources are installed. More come as packages; see the README.")
        return
    st.caption(kind.description)
    if kind.setup_help.strip():
        with st.expander("How to set it up, and which rights to grant"):
            st.markdown(kind.setup_help)
    name = st.text_input("Name", max_chars=80, placeholder="Company handbook", key="new_name")
    settings = model_form.fields(kind.settings_model, {}, key=f"new_{kind.kind}")
    secrets, credential_id = _credential(services, kind)
    entered = Entered(kind, settings, secrets, credential_id)
    with st.container(horizontal=True):
        add = st.button("Add and sync", type="primary")
        test = st.button("Test")
        look = st.button("Dry run")
    if test:
        show_checks(services, may, entered)
    if look:
        show_dry_run(services, may, entered)
    if add:
        _add(services, may, name, entered, added)


def _credential(services: Services, kind: ConnectorKind) -> tuple[dict[str, str], str | None]:
    """New secrets, or a credential that another connector of the kind has already."""
    if not kind.secrets_model.model_fields:
        return {}, None
    known = {found.id: found for found in services.sync.credentials.all(kind.kind)}
    names = told_apart(
        {key: f"The one of {found.name}" for key, found in known.items()},
        lambda key: f"of {exact(known[key].changed_at, zone_of(st.context.timezone))}",
    )
    chosen = None
    if known:
        chosen = st.selectbox(
            "Credential",
            [NEW, *known],
            format_func=lambda key: names.get(key, key),
            key=f"new_credential_{kind.kind}",
        )
    if chosen in known:
        return {}, chosen
    return model_form.fields(kind.secrets_model, {}, key=f"new_secret_{kind.kind}"), None


def show_checks(services: Services, may: May, entered: Entered) -> None:
    try:
        may()  # it makes this server call an address that somebody typed
        with st.spinner("Asking the source…"):
            checks = services.sync.test(
                entered.kind.kind, entered.settings, entered.secrets, entered.credential_id
            )
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.html("".join(check_html(check) for check in checks))


def show_dry_run(
    services: Services, may: May, entered: Entered, connector_id: str | None = None
) -> None:
    try:
        may()
        with st.spinner("Looking at the source, for half a minute at most. Nothing is stored…"):
            found = services.sync.dry_run(
                entered.kind.kind,
                entered.settings,
                entered.secrets,
                entered.credential_id,
                connector_id,
            )
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.html(dry_run_html(found))


def _add(
    services: Services, may: May, name: str, entered: Entered, added: Callable[[str], None]
) -> None:
    try:
        who = may()
        connector_id = services.sync.add(
            who,
            entered.kind.kind,
            name,
            entered.settings,
            secrets=entered.secrets,
            credential_id=entered.credential_id,
        )
        services.sync.sync_now(connector_id, who)
    except SwitchboardError as error:
        page.trouble(error)
    else:
        added(connector_id)


def entered_of(
    kind: ConnectorKind, settings: Mapping[str, Any], credential_id: str | None
) -> Entered:
    """A stored connector as the form would have it."""
    return Entered(kind, dict(settings), {}, credential_id)
