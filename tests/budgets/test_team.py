"""Whose budgets a team lead sees: the own team's, and its people's only where at least five have spent; each reading on record."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from app.access import Policy
from app.budgets import EACH, Spender, TeamBudgets, TeamStandings
from app.db.tables import PersonRow
from app.domain import EVERYONE, Person, Role, Usage
from app.errors import Denied
from app.usage import Reports, RollUps, facts
from tests.budgets.conftest import CENT, Purse, cents

SALES = ("ada", "bea", "cem", "dan", "eva")


@dataclass
class Company:
    purse: Purse
    budgets: TeamBudgets

    def allot(self, scope: str, key: str, usd: float, period: str = "month") -> None:
        self.purse.book.allot(self.purse.admin, scope, key, period, usd)

    def join(self, name: str, team: str) -> None:
        with self.purse.database.write() as session:
            session.merge(
                PersonRow(
                    id=name, email=f"{name}@x.test", name=name.title(), role="employee", team=team
                )
            )

    def ask(self, name: str, team: str, spent: int) -> None:
        """A question that costs so many cents, counted by the budgets and by usage."""
        self.join(name, team)
        reservations = self.purse.reservations
        held = reservations.reserve(Spender(name, team, "travel"), name, "gpt", cents(spent))
        if held:
            reservations.settle_all({held: spent * CENT})
        with self.purse.database.write() as session:
            facts.turn_finished(
                session,
                turn_id=f"{name}{team}{spent}{self.purse.clock()}",
                person_id=name,
                team=team,
                intent="travel",
                model="gpt",
                status="finished",
                cost_usd=spent / 100,
                usage=Usage(1, 1),
                with_sources=False,
                at=self.purse.clock(),
            )

    def events(self, kind: str) -> list[dict[str, object]]:
        return [json.loads(line)["event"] for line in self.purse.events(kind)]


@pytest.fixture
def company(purse: Purse) -> Company:
    rollups = RollUps(purse.database, purse.clock)
    usage = Reports(purse.database, Policy(), purse.ledger, rollups, purse.clock)
    return Company(purse, TeamBudgets(purse.book, usage))


def lead(team: str) -> Person:
    return Person("lea", "l@x.test", "Lea", Role.TEAM_LEAD, team, frozenset({EVERYONE}))


def amounts(found: TeamStandings) -> list[tuple[str, str, int]]:
    return [(s.budget.scope, s.sum.key, s.spent_micro // CENT) for s in found.all]


@pytest.mark.parametrize("named", [True, False])
def test_a_lead_sees_the_budget_of_the_own_team_and_of_no_other(
    company: Company, named: bool
) -> None:
    company.allot("company", "", 9.0)
    for team in ("Sales", "Legal") if named else (EACH,):
        company.allot("team", team, 5.0)
    company.ask("ada", "Sales", 30)
    company.ask("zoe", "Legal", 70)
    assert amounts(company.budgets.of(lead("Sales"), "Sales")) == [("team", "Sales", 30)]
    assert amounts(company.budgets.of(lead("Legal"), "Legal")) == [("team", "Legal", 70)]
    for read in (company.budgets.of, company.budgets.export):
        with pytest.raises(Denied):
            read(lead("Sales"), "Legal")
        with pytest.raises(Denied):
            read(lead(""), "")
    assert len(company.events("access_denied")) == 4
    assert amounts(company.budgets.of(company.purse.admin, "Legal")) == [("team", "Legal", 70)]


def test_an_employee_sees_none(company: Company) -> None:
    company.allot("team", "Sales", 5.0)
    ada = Person("ada", "a@x.test", "Ada", Role.EMPLOYEE, "Sales", frozenset({EVERYONE}))
    with pytest.raises(Denied):
        company.budgets.of(ada, "Sales")


def test_people_are_listed_once_five_of_the_team_have_spent_and_not_before(
    company: Company,
) -> None:
    company.allot("person", EACH, 2.0)
    company.allot("person", "eva", 1.0)
    company.ask("zoe", "Legal", 50)
    for number, name in enumerate(SALES[:4]):
        company.ask(name, "Sales", 10 + number)
    company.join("eva", "Sales")
    few = company.budgets.of(lead("Sales"), "Sales")
    assert (few.all, few.names) == ((), {})
    assert "five people" in few.note
    company.ask("eva", "Sales", 90)
    found = company.budgets.of(lead("Sales"), "Sales")
    assert amounts(found) == [
        ("person", "eva", 90),
        ("person", "dan", 13),
        ("person", "cem", 12),
        ("person", "bea", 11),
        ("person", "ada", 10),
    ]
    assert found.people[0].limit_micro == 100 * CENT
    assert found.names["eva"] == "Eva"
    assert found.note == ""
    assert company.budgets.of(lead("Legal"), "Legal").people == ()


def test_somebody_who_has_left_the_team_is_not_among_its_people(company: Company) -> None:
    company.allot("person", EACH, 2.0)
    for name in SALES:
        company.ask(name, "Sales", 10)
    assert len(company.budgets.of(lead("Sales"), "Sales").people) == 5
    company.join("eva", "Legal")
    assert company.budgets.of(lead("Sales"), "Sales").people == ()


def test_five_a_month_are_not_five_a_day(company: Company) -> None:
    company.allot("person", EACH, 2.0, "day")
    company.allot("person", EACH, 9.0, "month")
    for name in SALES:
        company.ask(name, "Sales", 10)
    assert len(company.budgets.of(lead("Sales"), "Sales").people) == 10
    company.purse.clock.at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    company.ask("ada", "Sales", 5)
    periods = [one.budget.period for one in company.budgets.of(lead("Sales"), "Sales").people]
    assert periods == ["month"] * 5


def test_a_budget_of_ones_own_stands_for_the_one_for_each(company: Company) -> None:
    """What was spent before it was set stays with the other and is told no more."""
    company.allot("person", EACH, 2.0)
    for name in SALES:
        company.ask(name, "Sales", 10)
    company.allot("person", "ada", 1.0)
    assert (
        company.budgets.of(lead("Sales"), "Sales").people == ()
    )  # she has spent nothing of it yet
    company.ask("ada", "Sales", 20)
    found = company.budgets.of(lead("Sales"), "Sales")
    assert [one.spent_micro // CENT for one in found.people] == [20, 10, 10, 10, 10]


def test_the_csv_says_the_same_and_its_export_is_on_record(company: Company) -> None:
    company.allot("team", "Sales", 5.0)
    company.allot("person", EACH, 2.0)
    for name in SALES:
        company.ask(name, "Sales", 10)
    company.join("ada", "Sales")
    with company.purse.database.write() as session:
        session.merge(
            PersonRow(id="bea", email="b@x.test", name="=cmd()", role="employee", team="Sales")
        )
    found = company.budgets.of(lead("Sales"), "Sales")
    rows = list(csv.DictReader(io.StringIO(company.budgets.export(lead("Sales"), "Sales"))))
    assert rows[0] == {
        "scope": "team",
        "name": "Sales",
        "period": "month",
        "limit_usd": "5.0",
        "spent_usd": "0.5",
        "held_usd": "0.0",
        "left_usd": "4.5",
        "renews_on": "2026-12-01",
    }
    assert {row["name"] for row in rows[1:]} == {"Ada", "'=cmd()", "Cem", "Dan", "Eva"}
    assert [float(row["spent_usd"]) for row in rows] == [
        one.spent_micro / 1_000_000 for one in found.all
    ]
    read = company.events("usage_read")
    assert [(e["team"], e["period"], e["exported"]) for e in read] == [
        ("Sales", "2026-11-01..2026-11-25", False),
        ("Sales", "2026-11-01..2026-11-25", True),
    ]


def test_where_no_budget_is_set_nothing_is_read(company: Company) -> None:
    company.ask("ada", "Sales", 30)
    assert company.budgets.of(lead("Sales"), "Sales").all == ()
    assert company.events("usage_read") == []
