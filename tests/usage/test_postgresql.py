"""Roll-ups on PostgreSQL, where several processes refresh at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlmodel import select

from app.db import Database, migrate
from app.db.tables import UsageRollupRow
from app.domain import Usage
from app.usage import RollUps, facts
from tests.servers.postgres import postgres

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURNS = 60


@pytest.fixture
def server() -> Iterator[Database]:
    with postgres() as url:
        database = Database(url)
        migrate(database)
        yield database
        database.close()


def finish(database: Database, number: int, model: str) -> None:
    with database.write() as session:
        facts.turn_finished(
            session,
            turn_id=f"turn_{number}",
            person_id=f"person_{number % 3}",
            team="Sales",
            intent="travel",
            model=model,
            status="finished",
            cost_usd=0.5,
            usage=Usage(10, 5),
            with_sources=True,
            at=AT,
        )


def test_refreshes_and_questions_at_once_lose_nothing(server: Database) -> None:
    done, failures = threading.Event(), list[BaseException]()

    def refresh() -> None:
        try:
            own = RollUps(server)
            while not done.is_set():
                own.refresh()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=refresh) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(TURNS):
        finish(server, number, "first")
        if number % 4 == 0:
            finish(server, number, "second")
            with server.write() as session:
                facts.feedback_given(session, f"turn_{number}", 1)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    RollUps(server).refresh()
    with server.read() as session:
        rows = list(session.exec(select(UsageRollupRow)))
    by_model = {
        model: sum(row.questions for row in rows if row.model == model)
        for model in ("first", "second")
    }
    assert by_model == {"first": TURNS - TURNS // 4, "second": TURNS // 4}
    assert sum(row.thumbs_up for row in rows) == TURNS // 4
    assert sum(row.cost_usd for row in rows) == TURNS * 0.5
    assert RollUps(server).refresh() == 0
