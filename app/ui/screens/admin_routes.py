"""Routes: which models answer which kind of question. A change is a draft until it is published; before that it can be looked
at over last week's questions and tried by a share of people."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from app.db.tables import RouteVersionRow
from app.domain import Person
from app.errors import NotFound, SwitchboardError
from app.routing import RouteEntry, in_context
from app.routing.difficulty.expectation import Expectation
from app.routing.swaps import Draft, compare, dry_run, spread
from app.routing.swaps.draft import said_by, said_by_entry
from app.routing.swaps.dry_run import World
from app.routing.swaps.versions import before_it
from app.ui.widgets import golden_set, page, rehearsal, route_draft, route_html
from app.ui.widgets.administration import carry_out, permitted
from app.ui.widgets.choices import shortened
from app.ui.widgets.difficulty_html import difficulty_html
from app.ui.widgets.words import text, zone_of
from app.wiring import RouteNames, Services

CHOSEN = "id"


def render(services: Services, person: Person) -> None:
    chosen = st.query_params.get(CHOSEN, "")
    if not chosen:
        _all(services)
        return
    if st.button("All routes", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.clear()
        st.rerun()
    try:
        entry = services.versions.entry(chosen)
    except NotFound as error:
        page.trouble(error)
        return
    _one(services, person, entry)


def _all(services: Services) -> None:
    page.title(
        "Routes",
        "Which models answer which kind of question, in order of preference. A change is a draft until you publish it.",
    )
    entries = [services.versions.entry(entry.name) for entry in services.table.entries]
    states = {entry.name: services.versions.open_version(entry.name) for entry in entries}
    st.html(route_html.routes_table(entries, states, _labels(services)))


def _one(services: Services, person: Person, entry: RouteEntry) -> None:
    page.title(entry.label)
    page.said()
    version = services.versions.open_version(entry.name)
    history = services.versions.history(entry.name)
    page.note(*route_html.state_of(entry, version, history))
    learned = _learned(services, entry, services.versions.in_use(entry.name))
    st.html(route_html.contents(entry, _labels(services), learned))
    if entry.version:
        _roll_back(services, person, history)
    if version is not None and version.status == "canary":
        _canary(services, person, version)
    else:
        _change(services, person, entry, version)
    rehearsal.draw(services, person, version, entry.name, _labels(services))
    golden_set.draw(services, person, entry.name)
    if history:
        _heading("What was")
        names = {row.id: row.name for row in services.identity.accounts.people()}
        zone = zone_of(st.context.timezone)
        st.html(route_html.history_table(history, names, _labels(services), zone))


@st.fragment
def _change(
    services: Services, person: Person, entry: RouteEntry, version: RouteVersionRow | None
) -> None:
    """A fragment, so that a figure that is being changed draws nothing else anew."""
    try:
        person = permitted(services, person, "models")
    except SwitchboardError as error:
        page.trouble(error)
        return
    unsaved = _draft(services, person, entry, version)
    if version is not None:
        _before(services, person, version, unsaved=unsaved)


def _draft(
    services: Services, person: Person, entry: RouteEntry, version: RouteVersionRow | None
) -> bool:
    """Whether what is on the screen is something else than the draft that is stored."""
    names = RouteNames(services.catalogue, services.prompts)
    _heading("The draft" if version else "Change it")
    stored = said_by(version, entry) if version else said_by_entry(entry)
    asked = route_draft.fields(stored, names, _labels(services))
    if st.button("Save the draft", type="primary"):
        _do(
            services,
            person,
            lambda who: _save(services, who, entry.name, asked),
            "Saved. Nothing changes for anybody until you publish it.",
        )
    return asked != stored


def _save(services: Services, who: Person, intent: str, draft: Draft) -> None:
    services.versions.draft(who, intent, draft)
    services.difficulty.soon()


def _learned(services: Services, entry: RouteEntry, version: RouteVersionRow) -> str:
    """The state of the learned scores for a route as it is or would be, as HTML."""
    state = services.difficulty.state(entry)
    models = [card.id for name in entry.models for card in services.catalogue.expand(name)]
    sent = spread(_world(services), version) if entry.difficulty and state.version else None
    zone = zone_of(st.context.timezone)
    return difficulty_html(entry, state, list(dict.fromkeys(models)), _labels(services), zone, sent)


def _before(services: Services, person: Person, version: RouteVersionRow, *, unsaved: bool) -> None:
    """What can be done with a draft, once what is on the screen is stored."""
    if unsaved:
        page.note(
            "amber", "Not saved yet.", "Save the draft to look at it, to try it or to publish it."
        )
    with st.container(horizontal=True):
        looked = st.button(
            "Dry run", help="Over last week's questions; no model is called.", disabled=unsaved
        )
        if st.button("Publish", key="publish", disabled=unsaved) and not unsaved:
            _do(
                services,
                person,
                lambda who: services.versions.publish(who, version.id),
                "Published. Questions from now on follow it.",
            )
        if st.button("Discard", key="discard"):
            _do(services, person, lambda who: services.versions.discard(who, version.id), "Gone.")
    planned = services.versions.with_version(services.table, version).entry(version.intent)
    found = None
    if looked and not unsaved:
        with st.spinner("Choosing anew for last week's questions…"):
            services.difficulty.learn(planned)
            found = dry_run(_world(services), version)
    if planned.difficulty is not None:
        st.html(f"<p class='sb-meta'>Difficulty. {_learned(services, planned, version)}</p>")
    if found is not None:
        st.html(route_html.dry_run_html(found, _labels(services)))
    with (
        st.form("canary", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        share = st.number_input(
            "Try it with this share of people, %",
            1,
            99,
            10,
            help="The same people at every question. It is rolled back by itself when it does clearly worse.",
            width=260,
        )
        started = st.form_submit_button("Start the canary", disabled=unsaved)
    if started and not unsaved:
        _do(
            services,
            person,
            lambda who: services.versions.start_canary(who, version.id, share / 100),
            "Started.",
        )


def _canary(services: Services, person: Person, version: RouteVersionRow) -> None:
    _heading(f"The canary: {version.share:.0%} of people")
    found = compare(services.database, version, services.canary_watch.margins)
    st.html(route_html.comparison_html(found, services.canary_watch.margins))
    with st.container(horizontal=True):
        if st.button("Look again", key="again"):
            st.rerun()
        if st.button("Publish for everybody", type="primary", key="publish"):
            _do(
                services,
                person,
                lambda who: services.versions.publish(who, version.id),
                "Published. Questions from now on follow it.",
            )
        if st.button("Stop the canary", key="stop_canary"):
            _do(
                services,
                person,
                lambda who: services.versions.stop_canary(who, version.id),
                "Stopped. It is a draft again.",
            )


def _roll_back(services: Services, person: Person, history: list[RouteVersionRow]) -> None:
    published = next((row for row in history if row.status == "published"), None)
    if published is None:
        return
    before = before_it(history)
    then = f"version {before.number}" if before else "the route as delivered"
    canary = any(row.status == "canary" for row in history)
    with st.popover(f"Roll back version {published.number}", icon=":material/undo:"):
        st.write(
            f"Version {published.number} ends for everybody, and {then} answers again."
            f"{' The canary goes on: stop it below.' if canary else ''}"
        )
        if st.button("Roll back", key="roll_back"):
            _do(
                services,
                person,
                lambda who: services.versions.roll_back(
                    who.id, published.id, "Rolled back by hand."
                ),
                "Rolled back. Questions from now on are answered as before it.",
            )


def _heading(words: str) -> None:
    st.html(f'<div class="sb-question">{text(words)}</div>')


def _labels(services: Services) -> dict[str, str]:
    """Names that a route may hold, and what people call them: each reads differently."""
    names = RouteNames(services.catalogue, services.prompts).models()
    found = {name: services.catalogue.missing(name)[0] for name in names}
    found |= {card.id: card.label for card in services.catalogue.cards()}
    return shortened(found)


def _world(services: Services) -> World:
    return World(
        services.database,
        services.table,
        services.versions,
        services.catalogue,
        services.policy,
        services.identity.accounts.person,
        expected=partial(_expected, services),
    )


def _expected(
    services: Services, entry: RouteEntry, question: str, before: str
) -> Expectation | None:
    if entry.difficulty is None:
        return None
    (vector,) = services.intents.vectors([in_context(question, before)])
    return services.difficulty.expect(entry, question, vector)


def _do(services: Services, person: Person, change: Callable[[Person], object], words: str) -> None:
    carry_out(services, person, "models", change, words)
