"""Usage of a team, or of the company for those who may see it. The policy decides whose numbers; reading them is recorded."""

from __future__ import annotations

import streamlit as st

from app.domain import Person
from app.ui.widgets import page, report, team_budgets
from app.ui.widgets.charts import Question
from app.wiring import Services

COMPANY = "Whole company"
QUESTIONS = (
    Question("When do people ask?", "by_day", "questions"),
    Question("What do people ask about?", "by_intent", "questions"),
    Question("Which models answer?", "by_model", "questions"),
    Question("Where are people satisfied?", "by_intent", "satisfaction"),
    Question("What does it cost, day by day?", "by_day", "cost_usd"),
)
WHO = Question("Who asks most?", "by_person", "questions")
TEAMS = Question("Which teams ask most?", "by_team", "questions")


def render(services: Services, person: Person) -> None:
    page.title("Usage")
    scopes = services.usage.scopes(person)
    if not scopes:
        page.blank("No numbers to show", "You lead no team. Your own numbers are under My usage.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        team = (
            st.selectbox(
                "Team",
                scopes,
                format_func=lambda name: name or COMPANY,
                label_visibility="collapsed",
                width=220,
                key="team",
            )
            if len(scopes) > 1
            else scopes[0]
        )
        start, end = report.period()
    found = services.usage.team(person, team, start, end)
    report.as_of(found)
    report.figures(found, own=False)
    last = TEAMS if team is None else WHO
    report.draw(
        services,
        person,
        found,
        QUESTIONS if last is WHO and not found.by_person else (*QUESTIONS, last),
    )
    if found.by_person_note:
        page.note("grey", "People.", found.by_person_note)
    if team:
        team_budgets.draw(services, person, team)
