"""On Usage a team lead reads the own team's budgets, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.budgets import EACH
from tests.ui.conftest import Desk, OpenPage, html
from tests.ui.test_budgets_page import spent


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    for budget in desk.services.budgets.book.budgets():
        desk.services.budgets.book.remove(desk.people["Noor"], budget.id)


def test_a_lead_reads_limit_spent_held_left_and_renewal_of_the_own_team_only(
    desk: Desk, open_page: OpenPage
) -> None:
    book, noor = desk.services.budgets.book, desk.people["Noor"]
    assert "What is left of the budgets?" not in html(open_page("Tom", "usage"))
    book.allot(noor, "team", "Sales", "month", 7.77)
    book.allot(noor, "team", "Support", "month", 5.55)
    book.allot(noor, "company", "", "month", 99.0)
    spent(desk, 1_250_000)
    test = open_page("Tom", "usage")
    page = html(test)
    assert "What is left of the budgets?" in page
    for words in ("The team Sales", "$7.77", "$1.25", "$6.52", "16% spent"):
        assert words in page
    for words in ("Support", "$5.55", "$99.00"):
        assert words not in page
    assert "csv_budgets" in [button.key for button in test.get("download_button")]
    admin = open_page("Noor", "usage")
    assert "$5.55" not in html(admin)  # the company's numbers first
    assert "$5.55" in html(admin.selectbox(key="team").set_value("Support").run())


def test_people_of_a_small_team_are_not_listed(desk: Desk, open_page: OpenPage) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "person", EACH, "month", 3.33)
    spent(desk, 1_250_000)
    page = html(open_page("Tom", "usage"))
    assert "once five people of the team have spent" in page
    assert "$3.33" not in page
    assert "$1.25" not in page
