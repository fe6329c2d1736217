"""Connectors: the list, and for each what it is doing, what went wrong and how to fix it, what changed, who sees what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from app.domain import Person, now
from app.errors import NotFound
from app.knowledge.sync import ConnectorStatus
from app.ui import identity
from app.ui.widgets import connector_add, connector_settings, page
from app.ui.widgets.administration import carry_out, permitted
from app.ui.widgets.choices import told_apart
from app.ui.widgets.connector_add import entered_of
from app.ui.widgets.connector_html import (
    changes_table,
    failures_table,
    preview_table,
    state_of,
    table,
)
from app.ui.widgets.connector_runs import progress_html, runs_table
from app.ui.widgets.words import count, text, time_html, zone_of
from app.wiring import Services

REFRESH_S = 1.5
CHOSEN = "id"
SHOWN_RUNS = 8
HISTORIES = {"content": "Content", "permissions": "Permissions", "groups": "Groups"}


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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = (
            st.text_input(
                "Search connectors",
                placeholder="Search by name or source",
                label_visibility="collapsed",
            )
            if found
            else ""
        )
        if st.button("Add a connector", icon=":material/add:"):
            connector_add.dialog(
                services, partial(permitted, services, person, "connectors"), _open
            )
    kinds = {kind.kind: kind for kind in services.sync.kinds()}
    shown = [
        c for c in found if _matches(c, wanted, kinds[c.kind].title if c.kind in kinds else "")
    ]
    if shown:
        st.html(table(shown, kinds, now(), zone_of(st.context.timezone)))
    elif found:
        page.blank("Nothing matches", "No connector's name or source holds these words.")
    else:
        page.blank(
            "No source yet",
            "Add one. Its documents are read, and from then on found by those who may read them.",
        )


def _matches(connector: ConnectorStatus, wanted: str, source: str) -> bool:
    words = f"{connector.name} {connector.kind} {source}".lower()
    return all(part in words for part in wanted.lower().split())


def _open(connector_id: str) -> None:
    st.query_params[CHOSEN] = connector_id
    st.rerun()


def _one(services: Services, person: Person, connector: ConnectorStatus) -> None:
    page.title(connector.name)
    busy = _busy(connector)
    # Always: a schedule or a watcher may start one at any time.
    st.fragment(_now, run_every=REFRESH_S)(services, person, connector.id, busy)
    _buttons(services, person, connector)
    _failures(services, person, connector)
    _histories(services, connector)
    _reader_changes(services, connector)
    _heading("Who sees what")
    _preview(services, person, connector)
    _heading("Settings")
    kind = next((k for k in services.sync.kinds() if k.kind == connector.kind), None)
    connector_settings.show(services, partial(_do, services, person), connector, kind)


def _busy(connector: ConnectorStatus) -> bool:
    return connector.syncing or connector.status == "deleting"


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
    if was_busy != _busy(connector):
        st.rerun()
    colour, word, says = state_of(connector, now())
    page.note(colour, f"{word.capitalize()}.", says)
    if connector.syncing and connector.run is not None:
        st.html(progress_html(connector.run, now()))
    st.html(_figures(connector))


def _figures(connector: ConnectorStatus) -> str:
    zone = zone_of(st.context.timezone)
    last = time_html(connector.last_sync_at, zone) if connector.last_sync_at else "never"
    following = time_html(connector.next_sync_at, zone) if connector.next_sync_at else "–"
    confirmed = time_html(connector.permissions_at, zone) if connector.permissions_at else "–"
    groups = (
        f"<dt>Groups confirmed</dt><dd>{time_html(connector.groups_at, zone)}</dd>"
        if connector.groups_at
        else ""
    )
    hidden = f", {connector.hidden:,} of them readable by nobody" if connector.hidden else ""
    return (
        '<dl class="sb-grid" style="margin-top:.4rem">'
        f"<dt>Documents</dt><dd>{connector.documents:,}{hidden}</dd>"
        f"<dt>Last sync</dt><dd>{last}</dd><dt>Next sync</dt><dd>{following}</dd>"
        f"<dt>Permissions confirmed</dt><dd>{confirmed}; not trusted when older than "
        f"{_age(connector.permissions_max_age_s)}</dd>{groups}</dl>"
    )


def _age(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds // 60} min"


def _buttons(services: Services, person: Person, connector: ConnectorStatus) -> None:
    sync = services.sync
    paused = connector.status == "paused"
    kind = next((k for k in sync.kinds() if k.kind == connector.kind), None)
    do = partial(_do, services, person)
    run = connector.run
    # Outside of what redraws itself, which would wipe away a test's result; the same buttons in every state.
    with st.container(horizontal=True, key="connector_buttons"):
        if st.button(
            "Sync now",
            type="primary",
            key="sync_now",
            disabled=paused or connector.syncing,
        ):
            do(lambda who: sync.sync_now(connector.id, who))
        if st.button("Cancel", key="cancel_sync", disabled=not connector.syncing) and run:
            do(lambda who: sync.cancel(who, run.id))
        test = st.button("Test", key="test_source", disabled=kind is None)
        look = st.button("Dry run", key="dry_run", disabled=kind is None)
        if st.button("Resume" if paused else "Pause", key="pause_resume"):
            do(lambda who: (sync.resume if paused else sync.pause)(who, connector.id))
    if connector.status == "held" and st.button("Remove them", key="remove_them"):
        do(lambda who: sync.allow_removals(who, connector.id))
    if kind is not None and (test or look):
        entered = entered_of(kind, connector.settings, connector.credential_id)
        may = partial(permitted, services, person, "connectors")
        if test:
            connector_add.show_checks(services, may, entered)
        else:
            connector_add.show_dry_run(services, may, entered, connector.id)


def _failures(services: Services, person: Person, connector: ConnectorStatus) -> None:
    failures = services.sync.failures(connector.id)
    if not failures:
        return
    _heading(f"What went wrong ({len(failures)})")
    st.html(failures_table(failures, zone_of(st.context.timezone)))
    if st.button("Try these again", disabled=connector.status == "paused"):

        def retry(who: Person) -> None:
            asked = services.sync.retry_failed(who, connector.id)
            page.say(f"{count(asked, 'document')} will be tried again within seconds.")

        _do(services, person, retry)


def _histories(services: Services, connector: ConnectorStatus) -> None:
    zone = zone_of(st.context.timezone)
    _heading("What changed")
    scopes = [scope for scope in HISTORIES if scope in connector.scopes]
    tabs = st.tabs([HISTORIES[scope] for scope in scopes]) if len(scopes) > 1 else [st.container()]
    for tab, scope in zip(tabs, scopes, strict=True):
        with tab:
            runs = services.sync.runs(connector.id, limit=SHOWN_RUNS, scope=scope)
            if runs:
                st.html(runs_table(runs, zone))
            else:
                st.caption("Nothing yet.")


def _reader_changes(services: Services, connector: ConnectorStatus) -> None:
    changes = services.sync.reader_changes(connector.id, limit=50)
    if changes:
        _heading("What changed in who may read what")
        st.html(changes_table(changes, zone_of(st.context.timezone)))


def _preview(services: Services, person: Person, connector: ConnectorStatus) -> None:
    people = {row.id: row for row in services.identity.accounts.people() if row.active}
    names = {key: f"{row.name} · {row.team or 'no team'}" for key, row in people.items()}
    names = told_apart(names, lambda key: people[key].email)
    chosen = st.selectbox(
        "View as",
        list(people),
        index=None,
        format_func=lambda key: names.get(key, key),
        placeholder="View as… choose a person to see what they find here, and why",
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


def _do(services: Services, person: Person, change: Callable[[Person], object]) -> None:
    carry_out(services, person, "connectors", change)
