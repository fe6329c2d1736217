"""Rehearsing a draft on the Routes page: what it will cost, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import streamlit as st

from app.db.tables import RehearsalRow, RouteVersionRow
from app.domain import Person
from app.errors import SwitchboardError
from app.rehearsal import Estimate, Result, results_csv, why_stopped
from app.ui.widgets import page, rehearsal_html
from app.ui.widgets.administration import permitted
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import count, exact, money, text, zone_of
from app.wiring import Services

ENDS = {
    "finished": ("green", "finished"),
    "running": ("amber", "running"),
    "stopped": ("amber", "stopped at a budget"),
    "cancelled": ("grey", "cancelled"),
    "interrupted": ("amber", "interrupted"),
    "failed": ("red", "failed"),
}


def draw(
    services: Services,
    person: Person,
    version: RouteVersionRow | None,
    intent: str,
    labels: Mapping[str, str],
) -> None:
    """The section of one intent; `version` is its draft or canary, `labels` name models and what routes call them."""
    runs = services.rehearsals.runs.of(intent)
    if version is None and not runs:
        return
    st.html('<div class="sb-question">Rehearsal</div>')
    running = next((run for run in runs if run.status == "running"), None)
    if running is not None:
        _running(services, person, running)
    elif version is not None:
        _begin(services, person, version, labels)
    over = [run for run in runs if run.status != "running"]
    if over and running is None:
        _past(services, person, over, labels)


def _begin(
    services: Services, person: Person, version: RouteVersionRow, labels: Mapping[str, str]
) -> None:
    if not services.rehearsals.golden.sizes().get(version.intent):
        page.blank(
            "No golden question yet",
            "Put questions with their expected sources into the golden set below; then both routes can answer them side by side.",
        )
        return
    key = f"estimate_{version.id}"
    judges = {"": "None"} | {model: labels.get(model, model) for model in _judges(services)}
    judges = told_apart(judges, lambda model: model or "nobody judges")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        judge = st.selectbox(
            "Judge",
            list(judges),
            format_func=lambda model: judges.get(model, model),
            help="A model that compares the two answers, asked in both orders. Its opinion is shown and decides nothing.",
            width=260,
            key=f"judge_{version.id}",
        )
        if st.button("Rehearse…", key="rehearse", help="Asks nothing yet: first what it costs."):
            try:
                with st.spinner("Searching for each question…"):
                    found = services.rehearsals.estimate(person, version.id, judge)
            except SwitchboardError as error:
                page.trouble(error)
            else:
                st.session_state[key] = (judge, found)
    planned = st.session_state.get(key)
    if planned is not None and planned[0] == judge:
        _costs(services, planned[1], labels)
        with st.container(horizontal=True):
            if st.button("Start the rehearsal", type="primary", key="start_rehearsal"):
                _start(services, person, version, judge)
            if st.button("Not now", key="no_rehearsal"):
                st.session_state.pop(key)
                st.rerun()


def _costs(services: Services, found: Estimate, labels: Mapping[str, str]) -> None:
    st.html(rehearsal_html.estimate_html(found, labels, _unpriced(services, found.models)))
    if found.short:
        page.note(
            "amber",
            "It may not fit.",
            f"{found.short} It stops where there is no room, and what was answered is kept.",
        )


def _start(services: Services, person: Person, version: RouteVersionRow, judge: str) -> None:
    try:
        who = permitted(services, person, "models")
        services.rehearsals.start(who, version.id, judge)
    except SwitchboardError as error:
        page.trouble(error)
        return
    st.session_state.pop(f"estimate_{version.id}", None)
    st.session_state.pop("rehearsal", None)
    st.rerun()


def _running(services: Services, person: Person, run: RehearsalRow) -> None:
    _follow(services, run.id)
    if st.button("Cancel", key="cancel_rehearsal"):
        try:
            services.rehearsals.cancel(permitted(services, person, "models"), run.id)
        except SwitchboardError as error:
            page.trouble(error)
        else:
            page.say("Cancelled. What was answered is kept.")
            st.rerun()


@st.fragment(run_every=1.0)
def _follow(services: Services, rehearsal_id: str) -> None:
    try:
        run = services.rehearsals.runs.get(rehearsal_id)
    except SwitchboardError:
        st.rerun()
    if run.status != "running":
        st.rerun()
    st.html(rehearsal_html.progress_html(run))


def _past(
    services: Services, person: Person, runs: list[RehearsalRow], labels: Mapping[str, str]
) -> None:
    zone = zone_of(st.context.timezone)
    started = {run.id: run.started_at for run in runs}
    names = told_apart(
        {run.id: f"Version {run.number}, {exact(run.started_at, zone)}" for run in runs},
        lambda run: f"{started[run].astimezone(zone):%H:%M:%S}",
    )
    chosen = runs[0].id
    if len(runs) > 1:
        chosen = st.selectbox(
            "Rehearsals", list(names), format_func=names.__getitem__, key="rehearsal", width=360
        )
    run = next(one for one in runs if one.id == chosen)
    st.html(_head(run, names[run.id], labels))
    st.html(rehearsal_html.verdicts_html(services.rehearsals.runs.verdicts(run.id)))
    results = services.rehearsals.runs.results(person, run.id)
    if run.status == "stopped":
        page.note("amber", "It stopped: a budget had no room.", _why_stopped(results))
    if left := services.rehearsals.left(person, run):
        _go_on(services, person, run, left, labels)
    if run.person_id != person.id:
        page.note(
            "grey",
            "The answers are not shown.",
            "They may rest on documents that only the person who rehearsed may read. Rehearse it yourself to see yours.",
        )
    elif results:
        wanted = [s for r in results for s in (*r.before.sources_missing, *r.after.sources_missing)]
        titles = services.rehearsals.golden.names.titles(person, wanted)
        st.html(rehearsal_html.figures_html(results))
        st.html(rehearsal_html.results_html(results, titles, labels))
        st.caption(
            "Grounded: statements whose words and numbers stand in a passage they cite. It knows no paraphrase."
        )
        st.download_button(
            "CSV",
            data=lambda: results_csv(results, titles),
            file_name=f"rehearsal-{run.intent}-v{run.number}.csv",
            mime="text/csv",
            key=f"csv_{run.id}",
            type="tertiary",
            on_click="ignore",
        )


def _go_on(
    services: Services, person: Person, run: RehearsalRow, left: int, labels: Mapping[str, str]
) -> None:
    key = f"rest_{run.id}"
    if st.button(
        f"Ask the {count(left, 'question')} left…",
        key=f"look_{run.id}",
        help="Goes on where it ended; what was answered is kept. Asks nothing yet: first what it costs.",
    ):
        try:
            with st.spinner("Searching for each question…"):
                st.session_state[key] = services.rehearsals.estimate_rest(person, run.id)
        except SwitchboardError as error:
            page.trouble(error)
    found: Estimate | None = st.session_state.get(key)
    if found is None or found.questions != left:
        return
    _costs(services, found, labels)
    with st.container(horizontal=True):
        if st.button("Go on", type="primary", key=f"go_on_{run.id}"):
            try:
                services.rehearsals.go_on(permitted(services, person, "models"), run.id)
            except SwitchboardError as error:
                page.trouble(error)
                return
            st.session_state.pop("rehearsal", None)
            st.rerun()
        if st.button("Not now", key=f"not_on_{run.id}"):
            st.session_state.pop(key)
            st.rerun()


def _head(run: RehearsalRow, name: str, labels: Mapping[str, str]) -> str:
    judge = f", judge {text(labels.get(run.judge, run.judge))}" if run.judge else ""
    routes = " against ".join(
        text(" → ".join(labels.get(m, m) for m in route["models"]))
        + f", {text(route['prompt'])}"
        + (", easy questions to the cheaper model" if route.get("worth_usd") else "")
        for route in (run.after, run.before)
    )
    return (
        f'<p class="sb-meta">{page.status(*ENDS[run.status])} · {text(name)}: {routes}. '
        f"{run.done} of {run.questions} done, {money(run.cost_usd)}{judge}.</p>"
    )


def _why_stopped(results: Sequence[Result]) -> str:
    """Only the person who rehearsed reads which budget it was."""
    why = why_stopped(results)
    return f"{why}{' ' if why else ''}What was answered is kept."


def _judges(services: Services) -> list[str]:
    cards = services.catalogue.cards()
    return [card.id for card in cards if card.offered and card.grounded and not card.needs_passages]


def _unpriced(services: Services, models: Iterable[str]) -> list[str]:
    cards = [services.catalogue.card(model) for model in models]
    return [card.label for card in cards if not card.price_known]
