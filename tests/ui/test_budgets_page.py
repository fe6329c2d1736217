"""The page on which admins set budgets, and what it tells the people they are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.budgets import EACH, Estimate, Spender
from tests.ui.conftest import Desk, OpenPage, html, press


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    for budget in desk.services.budgets.book.budgets():
        desk.services.budgets.book.remove(desk.people["Noor"], budget.id)


def test_a_budget_is_set_seen_and_removed(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_budgets")
    assert "No budget is set" in html(test)
    test.selectbox(key="budget_scope").set_value("team").run()
    test.selectbox(key="budget_team").set_value("Sales")
    next(n for n in test.number_input if n.label.startswith("Limit")).set_value(12.5)
    page = html(press(test, "Set the budget"))
    assert "The team Sales" in page
    assert "$12.50" in page
    (budget,) = desk.services.budgets.book.budgets()
    assert (budget.scope, budget.scope_id, budget.period) == ("team", "Sales", "month")
    assert (budget.limit_micro, budget.notice_share) == (12_500_000, 0.8)
    test = press(open_page("Noor", "admin_budgets"), "Remove the budget")
    assert "No budget is set" in html(test)
    assert [event["change"] for event in desk.events("budget_changed")][-2:] == ["set", "removed"]


def test_a_limit_for_each_shows_who_has_spent_and_tells_them_what_is_left(
    desk: Desk, open_page: OpenPage
) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "person", EACH, "day", 2.0)
    spent(desk, 1_700_000)
    page = html(open_page("Noor", "admin_budgets"))
    assert "Ada" in page
    assert "85% spent" in page
    mine = html(open_page("Ada", "my_usage"))
    assert "You have $0.30 of $2.00 left for today." in mine
    assert "You have $2.00 of $2.00 left for today." in html(open_page("Ben", "my_usage"))


def test_of_a_teams_budget_people_hear_no_amount_and_only_when_it_runs_out(
    desk: Desk, open_page: OpenPage
) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "team", "Sales", "month", 2.0)
    assert "budget" not in html(open_page("Ada", "my_usage")).lower()
    spent(desk, 1_900_000)
    mine = html(open_page("Ada", "my_usage"))
    assert "The budget of the team Sales is nearly used up for this month." in mine
    assert "$2.00" not in mine
    assert "Sales" not in html(open_page("Ben", "my_usage"))
    spent(desk, 100_000)
    assert "is used up" in html(open_page("Tom", "my_usage"))


def test_nobody_but_admins_sees_the_page(open_page: OpenPage) -> None:
    for name in ("Ada", "Tom"):
        assert "Not for you" in html(open_page(name, "admin_budgets"))


def spent(desk: Desk, amount_micro: int) -> None:
    """Ada has a call's price held and settled."""
    spender = Spender.of(desk.people["Ada"], "travel_expenses")
    reservations = desk.services.budgets.reservations
    held = reservations.reserve(spender, "turn_test", "model", Estimate(amount_micro, 0, 0.0))
    assert held
    reservations.settle_all({held: amount_micro})
