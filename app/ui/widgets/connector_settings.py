"""What an admin may change of a connector: settings, clocks and limits, its secrets; reading all anew; removing it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.domain import Person
from app.knowledge.sync import ConnectorKind, ConnectorStatus
from app.ui.widgets import model_form
from app.ui.widgets.words import count
from app.wiring import Services

Do = Callable[[Callable[[Person], object]], None]


def show(
    services: Services, do: Do, connector: ConnectorStatus, kind: ConnectorKind | None
) -> None:
    """`do` runs a change as the admin of now, then draws the page again or says what went wrong."""
    if kind is None:
        st.caption(f"The connector '{connector.kind}' is not installed here any more.")
    else:
        with st.expander("Change"):
            _change(services, do, connector, kind)
        if kind.secrets_model.model_fields:
            with st.expander("Swap the credential"):
                _swap(services, do, connector, kind)
        if kind.setup_help.strip():
            with st.expander("How to set it up"):
                st.markdown(kind.setup_help)
        with st.expander("Read everything anew"):
            st.write("Every document is fetched, read and embedded again. People keep finding it.")
            if st.button("Start a full sync", disabled=connector.syncing):
                do(lambda who: services.sync.sync_now(connector.id, who, mode="full"))
    with st.expander("Remove"):
        st.write(
            "Everything it brought leaves Switchboard: documents, groups and secrets. "
            "Receipts keep their mention of it. The source itself is not touched."
        )
        documents = count(connector.documents, "document")
        sure = st.checkbox(f"Remove '{connector.name}' and its {documents}")
        if st.button("Remove this connector", icon=":material/delete:", disabled=not sure):
            do(lambda who: services.sync.remove(who, connector.id))


def _change(services: Services, do: Do, connector: ConnectorStatus, kind: ConnectorKind) -> None:
    with st.form(f"settings_{connector.id}", border=False):
        name = st.text_input("Name", value=connector.name, max_chars=80)
        settings = model_form.fields(kind.settings_model, connector.settings, key=connector.id)
        content = _minutes("Minutes between syncs", connector.sync_every_s, "Of the content.")
        permissions = groups = None
        if "permissions" in connector.scopes:
            permissions = _minutes(
                "Minutes between looks at permissions", connector.permissions_every_s
            )
        if "groups" in connector.scopes:
            groups = _minutes("Minutes between looks at groups", connector.groups_every_s)
        oldest = _minutes(
            "Minutes that permissions may be old",
            connector.permissions_max_age_s,
            "Older ones are not trusted: its documents are withheld until they are confirmed.",
        )
        share = st.number_input(
            "Percent of the documents that one sync may remove",
            value=round(connector.removal_share * 100),
            min_value=0,
            max_value=100,
            help="A sync that would remove more stops and asks.",
        )
        rate = st.number_input(
            "Requests a minute", value=connector.requests_per_minute, min_value=1, max_value=100_000
        )
        if st.form_submit_button("Save", type="primary"):
            do(
                lambda who: services.sync.change(
                    who,
                    connector.id,
                    name=name,
                    settings=settings,
                    sync_every_s=content,
                    permissions_every_s=permissions,
                    groups_every_s=groups,
                    permissions_max_age_s=oldest,
                    removal_share=share / 100,
                    requests_per_minute=int(rate),
                )
            )


def _minutes(label: str, seconds: int, says: str | None = None) -> int:
    """Seconds of what stands in the field."""
    return 60 * int(st.number_input(label, value=max(1, seconds // 60), min_value=1, help=says))


def _swap(services: Services, do: Do, connector: ConnectorStatus, kind: ConnectorKind) -> None:
    used = [
        name
        for credential in services.sync.credentials.all(kind.kind)
        if credential.id == connector.credential_id
        for name in credential.connectors
        if name != connector.name
    ]
    if used:
        st.caption(f"It is used by {', '.join(used)} too: the swap holds for all of them.")
    st.caption("What is stored is never shown. Fields left empty stay as they are.")
    with st.form(f"secrets_{connector.id}", border=False, clear_on_submit=True):
        secrets = model_form.fields(kind.secrets_model, {}, key=f"swap_{connector.id}")
        if st.form_submit_button("Swap"):
            do(lambda who: services.sync.swap_secrets(who, connector.id, secrets))
