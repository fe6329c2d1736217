"""My own numbers. Nobody else sees them broken down like this."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.budgets import Standing
from app.domain import Person
from app.ui.widgets import budget_html, offers, page, report, sharing
from app.ui.widgets.charts import Question
from app.wiring import Services

QUESTIONS = (
    Question("When did I ask?", "by_day", "questions"),
    Question("What did I ask about?", "by_intent", "questions"),
    Question("Which models answered me?", "by_model", "questions"),
)


def _request_more(services: Services, person: Person, standings: Sequence[Standing]) -> None:
    """For the person's own budgets, before they are in the way of a question."""
    for standing in standings:
        if standing.budget.scope != "person":
            continue
        offer = services.actions.more_budget(person, standing)
        if offer is None:
            if services.actions.waits_for_more(standing):
                st.caption("A request for more waits for a decision: see *My requests*.")
            continue
        period = "today" if standing.budget.period == "day" else "this month"
        if st.button(f"{offer.label} for {period}", key=f"more_{standing.budget.id}"):
            offers.ask(services, person, offer)


def render(services: Services, person: Person) -> None:
    page.title("My usage", "Your own numbers.")
    page.said()
    standings = services.budgets.book.of_person(person)
    for colour, head, says in budget_html.mine(standings):
        page.note(colour, head, says)
    _request_more(services, person, standings)
    sharing.toggle(services, person, "my_usage")
    start, end = report.period()
    mine = services.usage.mine(person, start, end)
    report.as_of(mine)
    report.figures(mine, own=True)
    if not mine.figures.total.questions and not mine.figures.total.actions:
        page.blank(
            "Nothing in this period",
            "Ask something in a chat and it is counted here within a minute.",
        )
        return
    report.draw(services, person, mine, QUESTIONS)
