"""My own numbers. Nobody else sees them broken down like this."""

from __future__ import annotations

from app.domain import Person
from app.ui.widgets import budget_html, page, report, sharing
from app.ui.widgets.charts import Question
from app.wiring import Services

QUESTIONS = (
    Question("When did I ask?", "by_day", "questions"),
    Question("What did I ask about?", "by_intent", "questions"),
    Question("Which models answered me?", "by_model", "questions"),
)


def render(services: Services, person: Person) -> None:
    page.title("My usage", "Your own numbers.")
    page.said()
    for colour, head, says in budget_html.mine(services.budgets.book.of_person(person)):
        page.note(colour, head, says)
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
