"""Facts by the handful, and the reports over them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlmodel import select

from app.access import Policy
from app.db import Database
from app.db.tables import UsageFactRow
from app.domain import Usage
from app.records import Ledger
from app.usage import Reports, RollUps, facts

FIRST_DAY = date(2026, 3, 1)
Ask = Callable[..., str]


@pytest.fixture
def rollups(database: Database) -> RollUps:
    return RollUps(database)


@pytest.fixture
def reports(database: Database, ledger: Ledger, rollups: RollUps) -> Reports:
    return Reports(database, Policy(), ledger, rollups)


@pytest.fixture
def ask(database: Database) -> Ask:
    """Stores one finished turn and returns its id."""
    count = iter(range(1_000_000))

    def one(person_id: str, team: str = "Sales", day: date = FIRST_DAY, **changes: object) -> str:
        turn_id = f"turn_{next(count)}"
        values: dict[str, object] = {
            "intent": "travel",
            "model": "reader",
            "status": "finished",
            "cost_usd": 0.5,
            "usage": Usage(10, 5),
            "with_sources": True,
            **changes,
        }
        with database.write() as session:
            facts.turn_finished(
                session,
                turn_id=turn_id,
                person_id=person_id,
                team=team,
                at=datetime.combine(day, time(12), UTC),
                **values,  # type: ignore[arg-type]
            )
        return turn_id

    return one


@pytest.fixture
def many_facts(database: Database) -> list[UsageFactRow]:
    """600 random turns and actions of 14 people in four teams over 20 days, with feedback on a third."""
    chance = random.Random(20260301)
    people = {f"person_{n}": ("Sales", "Legal", "Field", "Ops")[n * n % 7 % 4] for n in range(14)}
    with database.write() as session:
        for number in range(600):
            person = chance.choice(list(people))
            at = datetime.combine(FIRST_DAY, time(), UTC) + timedelta(
                minutes=chance.randrange(20 * 24 * 60)
            )
            intent = chance.choice(["travel", "on_call", "people", "general"])
            if chance.random() < 0.15:
                facts.action_done(
                    session,
                    request_id=f"act_{number}",
                    person_id=person,
                    team=people[person],
                    intent=intent,
                    at=at,
                )
                continue
            facts.turn_finished(
                session,
                turn_id=f"turn_{number}",
                person_id=person,
                team=people[person],
                intent=intent,
                model=chance.choice(["reader", "small", "hosted"]),
                status=chance.choice(["finished"] * 6 + ["stopped", "failed", "interrupted"]),
                cost_usd=chance.random(),
                usage=Usage(chance.randrange(900), chance.randrange(300)),
                with_sources=chance.random() < 0.6,
                at=at,
            )
            if chance.random() < 0.33:
                facts.feedback_given(session, f"turn_{number}", chance.choice([0, 1]))
    return all_facts(database)


def all_facts(database: Database) -> list[UsageFactRow]:
    with database.read() as session:
        return list(session.exec(select(UsageFactRow)))
