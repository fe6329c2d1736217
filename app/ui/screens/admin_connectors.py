"""Connectors: the list, and for each what it is doing, what went wrong and how to fix it, what changed, who sees what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.access.policy import require
from app.db.tables import SyncRunRow
from app.domain import Person, now
from app.errors import NotFound, SwitchboardError
from app.knowledge.sync import ConnectorKind, ConnectorStatus
from app.ui import identity
from app.ui.widgets import model_form, page
from app.ui.widgets.connector_html import (
    counted,
    failures_table,
    preview_table,
    runs_table,
    state_of,
    table,
)
from app.ui.widgets.words import count, text, time_html, zone_of
from app.wiring import Services
from connectors.contract import Check, Outcome

REFRESH_S = 1.0
CHECK_DOTS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.INDETERMINATE: "amber"}
CHOSEN = "id"


def render(services: Services, person: Person) -> None:
    chosen = st.query_params.get(CHOSEN, "")
    if not chosen:
        _all(services, person)
        return
    try:
        connector = services.sync.status(chosen)
    except NotFound as error:
        page.trouble(error)
        connector = None
    if st.button("All connectors", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.clear()
        st.rerun()
    if connector is not None:
        _one(services, person, connector)


def _all(services: Services, person: Person) -> None:
    page.title(
        "Connectors",
        "Where documents come from. Each source says who may read what; that decides who finds what.",
    )
    found = services.sync.overview()
    if found:
        st.html(table(found, now(), zone_of(st.context.timezone)))
    else:
        page.blank(
            "No source yet",
            "Add a folder below. Its documents are read, and from then on found by those who may read them.",
        )
    kinds = services.sync.kinds()
    with st.container(horizontal=True):
        for kind in kinds:
            if st.button(
                f"Add a {kind.title.lower()}", icon=":material/add:", key=f"add_{kind.kind}"
            ):
                _add_dialog(services, person, kind)


@st.dialog("New connector", width="medium")
def _add_dialog(services: Services, person: Person, kind: ConnectorKind) -> None:
    st.caption(kind.description)
    name = st.text_input("Name", max_chars=80, placeholder="Company handbook")
    settings = model_form.fields(kind.settings_model, {}, key=f"new_{kind.kind}")
    with st.container(horizontal=True):
        add = st.button("Add and sync", type="primary")
        test = st.button("Test")
    if test:
        _test(services, kind.kind, settings)
    if add:
        try:
            who = _may(services, person)
            connector_id = services.sync.add(who, kind.kind, name, settings)
            services.sync.sync_now(connector_id, who)
        except SwitchboardError as error:
            page.trouble(error)
        else:
            st.query_params[CHOSEN] = connector_id
            st.rerun()


def _test(services: Services, kind: str, settings: dict[str, Any]) -> None:
    try:
        with st.spinner("Asking the source…"):
            checks = services.sync.test(kind, settings)
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.html("".join(_check_html(check) for check in checks))


def _check_html(check: Check) -> str:
    return (
        f'<div class="sb-note"><span class="sb-dot sb-{CHECK_DOTS[check.outcome]}"></span>'
        f"<div><b>{text(check.name)}: {check.outcome.value}.</b> {text(check.message)} "
        f"{text(check.fix)}</div></div>"
    )


def _one(services: Services, person: Person, connector: ConnectorStatus) -> None:
    zone = zone_of(st.context.timezone)
    page.title(connector.name)
    every = REFRESH_S if connector.syncing or connector.status == "deleting" else None
    st.fragment(_now, run_every=every)(services, person, connector.id, every is not None)
    failures = services.sync.failures(connector.id)
    if failures:
        _heading(f"What went wrong ({len(failures)})")
        st.html(failures_table(failures, zone))
    runs = services.sync.runs(connector.id, limit=8)
    if runs:
        _heading("What changed")
        st.html(runs_table(runs, zone))
    _heading("Who sees what")
    _preview(services, person, connector)
    _heading("Settings")
    _settings(services, person, connector)


def _heading(words: str) -> None:
    st.html(f'<div class="sb-question">{text(words)}</div>')


def _now(services: Services, person: Person, connector_id: str, was_busy: bool) -> None:
    """Is it healthy, what is it doing now; redrawn by itself while it works."""
    person = identity.still(services, person)
    try:
        connector = services.sync.status(connector_id)
    except NotFound:
        st.query_params.clear()
        st.rerun()
    if was_busy and not connector.syncing and connector.status != "deleting":
        st.rerun()
    zone = zone_of(st.context.timezone)
    colour, word, says = state_of(connector, now())
    page.note(colour, f"{word.capitalize()}.", says)
    if connector.syncing and connector.run is not None:
        st.html(
            f'<div class="sb-stage" role="status"><span class="sb-pulse"></span>'
            f"<span>{text(connector.run.stage)}{_so_far(connector.run)}</span></div>"
        )
    last = time_html(connector.last_sync_at, zone) if connector.last_sync_at else "never"
    following = time_html(connector.next_sync_at, zone) if connector.next_sync_at else "–"
    confirmed = time_html(connector.permissions_at, zone) if connector.permissions_at else "–"
    hidden = f", {connector.hidden:,} of them readable by nobody" if connector.hidden else ""
    st.html(
        '<dl class="sb-grid" style="margin-top:.4rem">'
        f"<dt>Documents</dt><dd>{connector.documents:,}{hidden}</dd>"
        f"<dt>Last sync</dt><dd>{last}</dd><dt>Next sync</dt><dd>{following}</dd>"
        f"<dt>Permissions confirmed</dt><dd>{confirmed}; not trusted when older than "
        f"{connector.permissions_max_age_s // 3600} h</dd></dl>"
    )
    _buttons(services, person, connector)


def _so_far(run: SyncRunRow) -> str:
    return f" · {text(counted(run))}" if run.counts else ""


def _buttons(services: Services, person: Person, connector: ConnectorStatus) -> None:
    sync = services.sync
    paused = connector.status == "paused"
    with st.container(horizontal=True):
        if st.button("Sync now", type="primary", disabled=paused or connector.syncing):
            _do(services, person, lambda who: sync.sync_now(connector.id, who))
        if st.button("Test"):
            _test(services, connector.kind, dict(connector.settings))
        if paused and st.button("Resume"):
            _do(services, person, lambda who: sync.resume(who, connector.id))
        if not paused and st.button("Pause"):
            _do(services, person, lambda who: sync.pause(who, connector.id))


def _preview(services: Services, person: Person, connector: ConnectorStatus) -> None:
    people = {row.id: row for row in services.identity.accounts.people() if row.active}
    chosen = st.selectbox(
        "Preview as",
        list(people),
        index=None,
        format_func=lambda key: f"{people[key].name} · {people[key].team or 'no team'}",
        placeholder="Choose a person to see what they find here, and why",
        label_visibility="collapsed",
        key="preview",
    )
    somebody = services.identity.accounts.person(chosen) if chosen else None
    if somebody is None:
        st.caption("Looking at somebody's view is recorded.")
        return
    found = [
        item
        for item in services.sync.preview_as(somebody, person)
        if item.connector == connector.name
    ]
    readable = sum(item.basis is not None for item in found)
    st.caption(
        f"{somebody.name} finds {readable:,} of {count(len(found), 'document')} of this source."
    )
    st.html(preview_table(found, somebody.email))


def _settings(services: Services, person: Person, connector: ConnectorStatus) -> None:
    kind = next((k for k in services.sync.kinds() if k.kind == connector.kind), None)
    if kind is None:
        st.caption(f"The connector '{connector.kind}' is not installed here any more.")
        return
    with st.expander("Change"), st.form(f"settings_{connector.id}", border=False):
        name = st.text_input("Name", value=connector.name, max_chars=80)
        settings = model_form.fields(kind.settings_model, connector.settings, key=connector.id)
        minutes = st.number_input(
            "Minutes between syncs", value=connector.sync_every_s // 60, min_value=1
        )
        if st.form_submit_button("Save", type="primary"):
            _do(
                services,
                person,
                lambda who: services.sync.change(
                    who,
                    connector.id,
                    name=name,
                    settings=settings,
                    sync_every_s=int(minutes) * 60,
                ),
            )
    with st.expander("Remove"):
        st.write("Everything it brought leaves Switchboard. The source itself is not touched.")
        if st.button("Remove this connector", icon=":material/delete:"):
            _do(services, person, lambda who: services.sync.remove(who, connector.id))


def _may(services: Services, person: Person) -> Person:
    """The admin as of now. Raises Denied."""
    who = identity.still(services, person)
    require(
        services.policy.administer(who, "connectors"), who, "change connectors", services.ledger
    )
    return who


def _do(services: Services, person: Person, change: Callable[[Person], object]) -> None:
    try:
        change(_may(services, person))
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.rerun()
