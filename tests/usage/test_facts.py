"""Facts: one row a turn or action, harmless to repeat, marked again when something changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import update
from sqlmodel import select

from app.db import Database
from app.db.tables import UsageFactRow
from app.domain import Usage
from app.usage import facts

LATE = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)


def finish(database: Database, *, status: str = "finished", at: datetime = LATE) -> None:
    with database.write() as session:
        facts.turn_finished(
            session,
            turn_id="turn_1",
            person_id="person_1",
            team="Sales",
            intent="travel",
            model="reader",
            status=status,
            cost_usd=0.25,
            usage=Usage(100, 20),
            with_sources=True,
            at=at,
        )


def rows(database: Database) -> list[UsageFactRow]:
    with database.read() as session:
        return list(session.exec(select(UsageFactRow)))


def mark_all(database: Database) -> None:
    with database.write() as session:
        session.execute(update(UsageFactRow).values(rolled_up=True))


def test_a_finished_turn_is_one_row_on_its_utc_day(database: Database) -> None:
    finish(database)
    (row,) = rows(database)
    assert (row.kind, row.day, row.team, row.model) == (
        "question",
        date(2026, 3, 4),
        "Sales",
        "reader",
    )
    assert (row.prompt_tokens, row.completion_tokens, row.cost_usd) == (100, 20, 0.25)
    assert row.rolled_up is False
    assert row.feedback is None


def test_repeating_the_same_fact_leaves_it_rolled_up(database: Database) -> None:
    finish(database)
    mark_all(database)
    finish(database)
    (row,) = rows(database)
    assert row.rolled_up is True


def test_a_changed_fact_keeps_its_day_and_feedback_and_is_marked_again(database: Database) -> None:
    finish(database)
    with database.write() as session:
        facts.feedback_given(session, "turn_1", 1)
    mark_all(database)
    finish(database, status="stopped", at=LATE + timedelta(hours=1))
    (row,) = rows(database)
    assert (row.status, row.day, row.feedback, row.rolled_up) == (
        "stopped",
        date(2026, 3, 4),
        1,
        False,
    )


def test_feedback_marks_the_row_only_when_it_differs(database: Database) -> None:
    finish(database)
    for value, expected in ((0, False), (0, True), (1, False), (None, False), (None, True)):
        mark_all(database)
        with database.write() as session:
            facts.feedback_given(session, "turn_1", value)
        (row,) = rows(database)
        assert (row.feedback, row.rolled_up) == (value, expected)


def test_feedback_for_an_unknown_turn_changes_nothing(database: Database) -> None:
    with database.write() as session:
        facts.feedback_given(session, "turn_none", 1)
    assert rows(database) == []


def test_an_action_is_counted_once_however_often_it_is_told(database: Database) -> None:
    for _ in range(3):
        with database.write() as session:
            facts.action_done(
                session,
                request_id="act_1",
                person_id="person_1",
                team="Sales",
                intent="travel",
                at=LATE,
            )
    (row,) = rows(database)
    assert (row.kind, row.id, row.rolled_up) == ("action", "act_1", False)
