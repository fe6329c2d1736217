"""Roll-ups: sums equal to counting, correct after late changes, safe to run at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlmodel import select

from app.db import Database
from app.db.tables import UsageFactRow, UsageRollupRow
from app.usage import RollUps, facts
from tests.usage.brute_force import count
from tests.usage.conftest import FIRST_DAY, Ask, all_facts


def sums(database: Database) -> dict[tuple[object, ...], UsageRollupRow]:
    with database.read() as session:
        return {
            (r.day, r.team, r.person_id, r.intent, r.model): r
            for r in session.exec(select(UsageRollupRow))
        }


def check_against_facts(database: Database) -> None:
    groups: dict[tuple[object, ...], list[UsageFactRow]] = {}
    for fact in all_facts(database):
        key = (fact.day, fact.team, fact.person_id, fact.intent, fact.model)
        groups.setdefault(key, []).append(fact)
    stored = sums(database)
    assert stored.keys() == groups.keys()
    for key, members in groups.items():
        row, expected = stored[key], count(members)
        assert (row.questions, row.stopped, row.failed, row.actions) == (
            expected.questions,
            expected.stopped,
            expected.failed,
            expected.actions,
        )
        assert row.cost_usd == pytest.approx(expected.cost_usd, abs=1e-5)
        assert row.prompt_tokens == expected.prompt_tokens
        assert row.thumbs_up == sum(m.feedback == 1 for m in members)
        assert row.thumbs_down == sum(m.feedback == 0 for m in members)


def test_the_sums_equal_a_count_over_the_facts(
    database: Database, rollups: RollUps, many_facts: list[UsageFactRow]
) -> None:
    assert rollups.refresh() == len({fact.day for fact in many_facts})
    check_against_facts(database)


def test_a_second_refresh_has_nothing_to_do(
    database: Database, rollups: RollUps, many_facts: list[UsageFactRow]
) -> None:
    assert many_facts
    rollups.refresh()
    before = {key: row.updated_at for key, row in sums(database).items()}
    assert rollups.refresh() == 0
    assert {key: row.updated_at for key, row in sums(database).items()} == before


def test_only_the_touched_day_is_recomputed(database: Database, rollups: RollUps, ask: Ask) -> None:
    first = ask("person_1", day=FIRST_DAY)
    ask("person_1", day=FIRST_DAY + timedelta(days=1))
    rollups.refresh()
    with database.write() as session:
        facts.feedback_given(session, first, 0)
    assert rollups.refresh() == 1
    check_against_facts(database)


def test_a_turn_that_changes_its_model_leaves_no_old_sum_behind(
    database: Database, rollups: RollUps, ask: Ask
) -> None:
    turn = ask("person_1", model="small", status="interrupted")
    rollups.refresh()
    with database.write() as session:
        row = session.get_one(UsageFactRow, turn)
        row.model, row.status, row.rolled_up = "hosted", "finished", False
    rollups.refresh()
    assert [key[-1] for key in sums(database)] == ["hosted"]
    check_against_facts(database)


def test_refreshes_and_questions_at_once_lose_nothing(database: Database, ask: Ask) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def refresh() -> None:
        try:
            own = RollUps(database)
            while not done.is_set():
                own.refresh()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=refresh) for _ in range(3)]
    for thread in threads:
        thread.start()
    turns = [ask(f"person_{n % 3}", day=FIRST_DAY + timedelta(days=n % 2)) for n in range(60)]
    with database.write() as session:
        for turn in turns[::2]:
            facts.feedback_given(session, turn, 1)
    done.set()
    for thread in threads:
        thread.join()
    RollUps(database).refresh()
    assert not failures
    check_against_facts(database)
    assert sum(row.questions for row in sums(database).values()) == 60


def test_the_background_thread_refreshes_and_ends_when_told(
    database: Database, rollups: RollUps, ask: Ask
) -> None:
    ask("person_1")
    refreshed = threading.Event()

    class Watched(RollUps):
        def refresh(self) -> int:
            days = super().refresh()
            refreshed.set()
            return days

    before = set(threading.enumerate())
    background = Watched(database)
    background.start(every_s=0.01)
    assert refreshed.wait(10)
    background.stop()
    background.stop()
    assert background.as_of is not None
    check_against_facts(database)
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == "usage-rollups"]
    assert rollups.as_of is None
