"""Budgets: what the company, teams, people, models and intents may spend, how that stands, setting and removing a limit."""

from __future__ import annotations

import streamlit as st

from app.budgets import EACH, Budget, money
from app.domain import Person
from app.errors import InputError
from app.ui.widgets import budget_html, page
from app.ui.widgets.administration import carry_out
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import in_markdown
from app.wiring import Services

SCOPES = {
    "company": "The whole company",
    "team": "A team",
    "person": "A person",
    "model": "A model",
    "intent": "An intent",
}
PERIODS = {"month": "Month", "day": "Day"}
NOTICE = 80.0


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
        _remove(services, person, _namer(names))
    else:
        page.blank(
            "No budget is set",
            "Nothing is limited. Set one for the company to be safe from surprises.",
        )
    _unpriced(services)
    _set(services, person, names)
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
    """By scope, what a budget can be for: the key and what people call it, no two the same."""
    people = services.identity.accounts.people()
    found: dict[str, dict[str, str]] = {
        "company": {},
        "team": {row.team: row.team for row in sorted(people, key=lambda r: r.team) if row.team},
        "person": {row.id: f"{row.name} ({row.email})" for row in people},
        "model": {card.id: card.label for card in services.catalogue.cards()},
        "intent": {entry.name: entry.label for entry in services.table.entries},
    }
    return {scope: told_apart(named) for scope, named in found.items()}


def _namer(names: dict[str, dict[str, str]]) -> budget_html.Namer:
    return lambda scope, key: names[scope].get(key, key)


def _set(services: Services, person: Person, names: dict[str, dict[str, str]]) -> None:
    st.html('<div class="sb-question">Set or change a budget</div>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scope = st.selectbox(
            "For", list(SCOPES), format_func=SCOPES.__getitem__, key="budget_scope", width=200
        )
        scope = scope or "company"
        which = told_apart({EACH: budget_html.EVERY.get(scope, "").capitalize(), **names[scope]})
        scope_id = "company"
        if scope != "company":
            scope_id = (
                st.selectbox(
                    "Which",
                    list(which),
                    format_func=which.__getitem__,
                    key=f"budget_{scope}",
                    width=260,
                )
                or EACH
            )
        period = st.selectbox(
            "By", list(PERIODS), format_func=PERIODS.__getitem__, key="budget_period", width=120
        )
        scope_id, period = scope_id or EACH, period or "month"
        known_one = services.budgets.book.named(scope, scope_id, period)
        limit, notice = _amounts(known_one)
    st.caption(_says(known_one, _namer(names)))
    if st.button("Change the budget" if known_one else "Set the budget", type="primary"):
        carry_out(
            services,
            person,
            "budgets",
            lambda who: _allot(services, who, (scope, scope_id, period), limit, notice),
            "The budget is set. Questions from now on follow it.",
        )


def _amounts(budget: Budget | None) -> tuple[float | None, float | None]:
    """Dollars and per cent as they stand in the fields, None for an empty one.

    The fields begin with what is stored, and anew once that is something else; what was typed outlives the choice of another
    place that has no budget either. They have no bounds: a browser would put those back in silence, so what is wrong is said by
    whoever sets the budget.
    """
    limit = money.usd(budget.limit_micro) if budget else None
    notice = _percent(budget.notice_share) if budget else NOTICE
    fine = limit is not None and round(limit, 2) != limit
    stored = f"{limit}_{notice}"
    return (
        st.number_input(
            "Limit in US dollars",
            value=limit,
            step=1.0,
            format="%.6f" if fine else "%.2f",
            placeholder="Such as 100",
            key=f"budget_limit_{stored}",
            width=180,
        ),
        st.number_input(
            "Notice at, in %",
            value=notice,
            step=1.0,
            format="%g",
            placeholder="Such as 80",
            key=f"budget_notice_{stored}",
            width=140,
        ),
    )


def _percent(share: float) -> float:
    return round(share * 100, 2)


def _says(budget: Budget | None, name: budget_html.Namer) -> str:
    """In markdown, what pressing the button would do."""
    if budget is None:
        return "At the notice's share of the limit people are told once that most of it is spent."
    title = in_markdown(f"{_title(budget, name)}, notice at {budget.notice_share:.0%}")
    return f"There is one: {title}. This changes it; what is spent already counts."


def _allot(
    services: Services,
    who: Person,
    place: tuple[str, str, str],
    limit: float | None,
    notice: float | None,
) -> None:
    """Raises InputError for an empty field."""
    if limit is None:
        raise InputError(
            "The limit is missing.", fix="Type how many dollars may be spent; 0 allows nothing."
        )
    if notice is None:
        raise InputError("The notice is missing.", fix="Type a number from 1 to 100.")
    services.budgets.book.allot(who, *place, limit, notice / 100)


def _remove(services: Services, person: Person, name: budget_html.Namer) -> None:
    """Under the table, for each budget that is set, also one whose team or model is gone. Asks before it does so."""
    budgets = {one.id: one for one in services.budgets.book.budgets()}
    labels = told_apart({id: _title(one, name) for id, one in budgets.items()})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Remove a budget",
            list(labels),
            format_func=labels.__getitem__,
            index=None,
            placeholder="Choose one",
            key=f"budget_removed_{'_'.join(labels)}",
            width=420,
        )
        if chosen is None:
            return
        with st.popover("Remove it"):
            title = in_markdown(labels[chosen])
            st.write(f"**{title}.** Nothing limits it any more, and what was counted is forgotten.")
            if st.button("Remove the budget", key=f"remove_{chosen}"):
                carry_out(
                    services,
                    person,
                    "budgets",
                    lambda who: services.budgets.book.remove(who, chosen),
                    "The budget is removed.",
                )


def _title(budget: Budget, name: budget_html.Namer) -> str:
    """`The team Sales, $12.50 a month`."""
    whose = budget_html.whose(budget, name)
    limit = f"{money.words(budget.limit_micro)} {budget_html.PERIOD[budget.period]}"
    return f"{whose[:1].upper()}{whose[1:]}, {limit}"
