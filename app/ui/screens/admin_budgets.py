"""Budgets: what the company, teams, people, models and intents may spend, how that stands, setting and removing a limit."""

from __future__ import annotations

import streamlit as st

from app.budgets import EACH, Budget, money
from app.domain import Person
from app.ui.widgets import budget_html, page
from app.ui.widgets.administration import carry_out
from app.wiring import Services

SCOPES = {
    "company": "The whole company",
    "team": "A team",
    "person": "A person",
    "model": "A model",
    "intent": "An intent",
}
PERIODS = {"month": "Month", "day": "Day"}


def render(services: Services, person: Person) -> None:
    page.title(
        "Budgets",
        "What answers may cost. At a limit the next cleared model that has room answers, or the person is told when it renews.",
    )
    page.said()
    names = _names(services)
    standings = services.budgets.book.current()
    if standings:
        st.html(budget_html.table(standings, _namer(names)))
    else:
        page.blank(
            "No budget is set",
            "Nothing is limited. Set one for the company to be safe from surprises.",
        )
    _unpriced(services)
    _set(services, person, names)
    for budget in services.budgets.book.budgets():
        _one(services, person, budget, _namer(names))
    st.caption(f"Days and months begin in {services.budgets.zone}.")


def _unpriced(services: Services) -> None:
    cards = services.catalogue.cards() if services.budgets.book.budgets() else []
    names = [card.label for card in cards if card.offered and not card.price_known]
    if names:
        page.note(
            "amber",
            "Left out where a budget applies:",
            f"{', '.join(names)}. What they cost is not known: set their price on Models, or declare them free.",
        )


def _names(services: Services) -> dict[str, dict[str, str]]:
    """By scope, what a budget can be for: the key and what people call it."""
    people = services.identity.accounts.people()
    return {
        "company": {},
        "team": {row.team: row.team for row in sorted(people, key=lambda r: r.team) if row.team},
        "person": {row.id: f"{row.name} ({row.email})" for row in people},
        "model": {card.id: card.label for card in services.catalogue.cards()},
        "intent": {entry.name: entry.label for entry in services.table.entries},
    }


def _namer(names: dict[str, dict[str, str]]) -> budget_html.Namer:
    return lambda scope, key: names[scope].get(key, key)


def _set(services: Services, person: Person, names: dict[str, dict[str, str]]) -> None:
    st.html('<div class="sb-question">Set a budget</div>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scope = st.selectbox(
            "For", list(SCOPES), format_func=SCOPES.__getitem__, key="budget_scope", width=200
        )
        scope = scope or "company"
        known = names[scope]
        scope_id = "company"
        if scope != "company":
            scope_id = (
                st.selectbox(
                    "Which",
                    [EACH, *known],
                    format_func=lambda key: (
                        budget_html.EVERY[scope].capitalize() if key == EACH else known[key]
                    ),
                    key=f"budget_{scope}",
                    width=260,
                )
                or EACH
            )
        period = st.selectbox(
            "By", list(PERIODS), format_func=PERIODS.__getitem__, key="budget_period", width=120
        )
        limit = st.number_input(
            "Limit in US dollars", value=100.0, min_value=0.0, format="%.2f", width=180
        )
        notice = st.number_input(
            "Notice at, in %", value=80, min_value=1, max_value=100, key="budget_notice", width=140
        )
    st.caption("Setting it again changes the limit; what is spent already counts.")
    if st.button("Set the budget", type="primary"):
        carry_out(
            services,
            person,
            "budgets",
            lambda who: services.budgets.book.allot(
                who, scope, scope_id, period or "month", limit, notice / 100
            ),
            "The budget is set. Questions from now on follow it.",
        )


def _one(services: Services, person: Person, budget: Budget, name: budget_html.Namer) -> None:
    what = f"{budget_html.whose(budget, name)}, {money.words(budget.limit_micro)} {budget_html.PERIOD[budget.period]}"
    with st.popover(f"Remove: {what}"):
        st.write("Nothing limits it any more, and what was counted is forgotten.")
        if st.button("Remove the budget", key=f"remove_{budget.id}"):
            carry_out(
                services,
                person,
                "budgets",
                lambda who: services.budgets.book.remove(who, budget.id),
                "The budget is removed.",
            )
