"""What a person hears of budgets: amounts of their own, of others only that they run out; and a notice once in a period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.budgets import Spender, Told, told
from app.budgets.book import grant
from app.domain import EVERYONE, Person, Role
from tests.budgets.conftest import CENT, Purse, cents

ADA = Person("ada", "ada@example.test", "Ada", Role.EMPLOYEE, "Sales", frozenset({EVERYONE}))


def spend(purse: Purse, amount: int) -> None:
    held = purse.reservations.reserve(Spender.of(ADA, "travel"), "turn", "gpt", cents(amount))
    assert held
    purse.reservations.settle_all({held: amount * CENT})


def heard(purse: Purse) -> list[Told]:
    return told(purse.book.of_person(ADA), purse.book.zone)


@pytest.mark.parametrize(
    ("period", "spent", "words"),
    [
        ("month", 0, "$5.00 of $5.00 left this month"),
        ("month", 269, "$2.31 of $5.00 left this month"),
        ("day", 399, "$1.01 of $5.00 left today"),
        (
            "month",
            400,
            "You have used 80 % of your budget for this month; it renews on 1 December.",
        ),
        ("day", 415, "You have used 83 % of your budget for today; it renews at midnight ({})."),
        (
            "month",
            499,
            "You have used 99 % of your budget for this month; it renews on 1 December.",
        ),
        ("month", 500, "Your budget for this month is used up; it renews on 1 December."),
    ],
)
def test_of_the_own_budget_people_hear_what_is_left(
    purse: Purse, period: str, spent: int, words: str
) -> None:
    purse.book.allot(purse.admin, "person", "ada", period, 5.0)
    if spent:
        spend(purse, spent)
    (one,) = heard(purse)
    assert one.words == words.format("Europe/Berlin")
    assert one.notice is (spent >= 400)


@pytest.mark.parametrize(
    ("scope", "scope_id", "whose"),
    [("team", "Sales", "The budget of the team Sales"), ("company", "", "The company's budget")],
)
def test_of_a_budget_above_them_only_that_it_runs_out(
    purse: Purse, scope: str, scope_id: str, whose: str
) -> None:
    purse.book.allot(purse.admin, scope, scope_id, "month", 5.0, notice_share=0.5)
    assert heard(purse) == []
    spend(purse, 249)
    assert heard(purse) == []
    spend(purse, 1)
    (one,) = heard(purse)
    assert one.words == f"{whose} for this month is nearly used up; it renews on 1 December."
    spend(purse, 250)
    (one,) = heard(purse)
    assert one.words == f"{whose} for this month is used up; it renews on 1 December."


def test_budgets_of_others_of_models_and_of_intents_are_not_told(purse: Purse) -> None:
    for scope, key in (("person", "bob"), ("team", "Legal"), ("model", "*"), ("intent", "travel")):
        purse.book.allot(purse.admin, scope, key, "month", 0.0)
    assert heard(purse) == []


def test_notices_come_first_and_the_own_before_the_teams(purse: Purse) -> None:
    purse.book.allot(purse.admin, "team", "Sales", "month", 1.0)
    purse.book.allot(purse.admin, "person", "ada", "month", 1.0)
    purse.book.allot(purse.admin, "person", "ada", "day", 5.0)
    spend(purse, 90)
    assert [(one.notice, one.standing.budget.scope) for one in heard(purse)] == [
        (True, "person"),
        (True, "team"),
        (False, "person"),
    ]


def test_a_notice_is_said_once_in_a_period_and_again_when_more_was_granted(purse: Purse) -> None:
    purse.book.allot(purse.admin, "person", "ada", "month", 1.0)
    spend(purse, 90)
    (one,) = heard(purse)
    assert purse.book.first_told(ADA, one.standing)
    assert not purse.book.first_told(ADA, one.standing)
    assert purse.book.first_told(purse.admin, one.standing)  # each person for themselves
    with purse.database.write() as session:
        budget = one.standing.budget
        purse.ledger.append(session, grant(session, "boss", budget, one.standing.sum, 10 * CENT))
    (one,) = heard(purse)
    assert purse.book.first_told(ADA, one.standing)
    purse.clock.at = datetime(2026, 12, 1, 12, tzinfo=UTC)
    (one,) = heard(purse)
    assert not one.notice
    spend(purse, 90)
    (one,) = heard(purse)
    assert purse.book.first_told(ADA, one.standing)
    assert not purse.book.first_told(ADA, one.standing)
    assert len(purse.events("budget_notice_shown")) == 4
    assert purse.ledger.verify().broken is None


def test_a_day_begins_at_midnight_of_the_companys_zone(purse: Purse) -> None:
    assert purse.book.zone == ZoneInfo("Europe/Berlin")
    purse.book.allot(purse.admin, "person", "ada", "day", 1.0)
    purse.clock.at = datetime(2026, 11, 25, 22, 30, tzinfo=UTC)
    spend(purse, 90)
    assert heard(purse)[0].notice
    purse.clock.advance(timedelta(minutes=31))
    assert heard(purse)[0].words == "$1.00 of $1.00 left today"
