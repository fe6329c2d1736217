"""The chain: whole after concurrent appends, and any change, gap, swap or cut is found and placed."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlmodel import col, select

from app.db import Database
from app.db.tables import ChainHeadRow, EventRow, PersonRow
from app.records import Ledger
from app.records.events import SignedOut
from app.records.ledger import GENESIS
from app.settings import Settings
from tests.records.conftest import Tamper

ROOT = Path(__file__).parents[2]
APPEND_MANY = """
import sys
from app.db import Database
from app.records import Ledger
from app.records.events import SignedOut
ledger = Ledger(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    ledger.record(SignedOut(actor=sys.argv[2], subject=str(n)))
"""


def test_an_empty_log_holds_together(ledger: Ledger) -> None:
    verified = ledger.verify()
    assert (verified.events, verified.head, verified.broken) == (0, GENESIS, None)


def test_an_untouched_log_holds_together(filled: Ledger) -> None:
    verified = filled.verify()
    assert (verified.events, verified.broken) == (9, None)
    assert filled.verify(kept_head=verified.head).broken is None


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE event SET body = replace(body, 'r5', 'r6') WHERE seq = 6", 6),
        ("UPDATE event SET at = '2020-01-01 00:00:00.000000' WHERE seq = 3", 3),
        ("UPDATE event SET at = 'yesterday' WHERE seq = 4", 4),
        ("UPDATE event SET actor = 'person_9' WHERE seq = 2", 2),
        ("UPDATE event SET subject = 'other' WHERE seq = 1", 1),
        ("UPDATE event SET type = 'signed_in' WHERE seq = 7", 7),
        ("UPDATE event SET hash = previous WHERE seq = 5", 5),
        ("UPDATE event SET previous = hash WHERE seq = 5", 5),
        ("UPDATE event SET body = x'00ff' WHERE seq = 8", 8),
        ("UPDATE event SET body = '' WHERE seq = 9", 9),
        ("DELETE FROM event WHERE seq = 5", 5),
        ("DELETE FROM event WHERE seq = 1", 1),
        ("DELETE FROM event WHERE seq < 4", 1),
        ("DELETE FROM event WHERE seq > 6", 7),
        ("DELETE FROM event", 1),
        ("DELETE FROM chain_head", 1),
        ("UPDATE chain_head SET seq = 8", 9),
        ("UPDATE event SET seq = 99 WHERE seq = 9", 9),
        ("UPDATE event SET seq = 0 WHERE seq = 1", 0),
    ],
)
def test_every_change_is_found_and_placed(
    filled: Ledger, tamper: Tamper, statement: str, seq: int
) -> None:
    tamper(statement)
    broken = filled.verify().broken
    assert broken is not None
    assert broken.seq == seq
    assert broken.problem


def test_two_events_that_changed_places_are_found(filled: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE event SET seq = 100 WHERE seq = 4",
        "UPDATE event SET seq = 4 WHERE seq = 5",
        "UPDATE event SET seq = 5 WHERE seq = 100",
    )
    broken = filled.verify().broken
    assert broken is not None
    assert broken.seq == 4


def test_a_tail_cut_off_with_its_head_shows_to_whoever_kept_the_head(
    filled: Ledger, tamper: Tamper
) -> None:
    kept = filled.verify().head
    tamper(
        "DELETE FROM event WHERE seq > 6",
        "UPDATE chain_head SET seq = 6, hash = (SELECT hash FROM event WHERE seq = 6)",
    )
    assert filled.verify().broken is None
    broken = filled.verify(kept_head=kept).broken
    assert broken is not None
    assert "rewritten" in broken.problem


def test_what_was_appended_after_a_break_does_not_heal_it(filled: Ledger, tamper: Tamper) -> None:
    tamper("DELETE FROM event WHERE seq = 9")
    filled.record(SignedOut(actor="person_1"))
    broken = filled.verify().broken
    assert broken is not None
    assert broken.seq == 9


def test_a_change_and_its_record_commit_together_or_not_at_all(
    database: Database, filled: Ledger
) -> None:
    class Interrupted(Exception):
        pass

    def change() -> None:
        with database.write() as session:
            session.add(PersonRow(email="new@example.test", name="New"))
            filled.append(session, SignedOut(actor="new"))
            raise Interrupted

    with pytest.raises(Interrupted):
        change()
    with database.read() as session:
        assert session.exec(select(PersonRow)).all() == []
    assert (filled.verify().events, filled.verify().broken) == (9, None)


def test_several_events_of_one_transaction_follow_each_other(ledger: Ledger) -> None:
    ledger.record(*(SignedOut(actor=f"person_{n}") for n in range(5)))
    assert (ledger.verify().events, ledger.verify().broken) == (5, None)


def test_threads_that_append_at_once_keep_the_chain_whole(
    database: Database, ledger: Ledger
) -> None:
    begin = threading.Barrier(8)
    failures: list[BaseException] = []

    def append(actor: str) -> None:
        try:
            begin.wait()
            for n in range(20):
                ledger.record(SignedOut(actor=actor, subject=str(n)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=append, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (ledger.verify().events, ledger.verify().broken) == (160, None)
    check_order(database, [f"t{n}" for n in range(8)], 20)


def test_two_processes_that_append_at_once_keep_the_chain_whole(
    settings: Settings, database: Database, ledger: Ledger
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND_MANY, settings.database, actor, "60"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for actor in ("p1", "p2")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (ledger.verify().events, ledger.verify().broken) == (120, None)
    check_order(database, ["p1", "p2"], 60)


def check_order(database: Database, actors: list[str], each: int) -> None:
    """Everybody's events are all there, in the order in which they were appended."""
    with database.read() as session:
        for actor in actors:
            rows = session.exec(
                select(EventRow.subject).where(EventRow.actor == actor).order_by(col(EventRow.seq))
            )
            assert list(rows) == [str(n) for n in range(each)]
        head = session.get_one(ChainHeadRow, 1)
        assert head.seq == len(actors) * each


def test_the_export_is_json_lines_that_can_be_verified_elsewhere(filled: Ledger) -> None:
    lines = [json.loads(line) for line in filled.export()]
    assert [one["seq"] for one in lines] == list(range(1, 10))
    assert lines[0]["previous"] == GENESIS
    assert all(a["hash"] == b["previous"] for a, b in itertools.pairwise(lines))
    assert lines[-1]["hash"] == filled.verify().head
    assert lines[1]["event"] == {
        "type": "access_denied",
        "actor": "person_1",
        "subject": "s1",
        "action": "look",
        "reason": "r1",
        "policy": "",
    }
