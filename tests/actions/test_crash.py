"""A process killed with SIGKILL at any moment of an action: the next one finishes it, and a ticket is opened once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlmodel import select

from app.db import Database
from app.db.tables import ActionRequestRow, EventRow, TicketRow
from app.domain import Person
from app.settings import Settings
from tests.actions.conftest import Receiver, until


def run(
    settings: Settings, person: Person, moment: str, webhook: str = ""
) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "tests.actions.process"]
    arguments = [str(settings.data_dir), person.id, moment, *([webhook] if webhook else [])]
    return subprocess.Popen([*module, *arguments], env={**os.environ, "PYTHONPATH": os.getcwd()})


@pytest.mark.parametrize("moment", ["recorded", "inserting", "committed"])
def test_a_ticket_is_opened_once_wherever_it_died(
    settings: Settings, database: Database, mara: Person, moment: str
) -> None:
    assert run(settings, mara, moment).wait(timeout=60) == -signal.SIGKILL
    assert run(settings, mara, "resume").wait(timeout=60) == 0
    with database.read() as session:
        row = session.exec(select(ActionRequestRow)).one()
        assert (row.status, row.outcome) == ("done", "Ticket #1 is open with IT.")
        assert session.exec(select(TicketRow)).one().idempotency_key == row.id
        runs = session.exec(select(EventRow).where(EventRow.type == "action_run")).all()
    assert len(runs) == 1


def test_a_message_is_sent_again_with_the_same_key(
    settings: Settings, database: Database, tom: Person, receiver: Receiver
) -> None:
    receiver.hangs = True
    first = run(settings, tom, "sending", receiver.url)
    until(lambda: len(receiver.requests) == 1)
    first.kill()
    first.wait()
    receiver.released.set()
    receiver.hangs = False
    assert run(settings, tom, "resume", receiver.url).wait(timeout=60) == 0
    with database.read() as session:
        row = session.exec(select(ActionRequestRow)).one()
    assert row.status == "done"
    assert {request.headers["idempotency-key"] for request in receiver.requests} == {row.id}
    assert len({request.body for request in receiver.requests}) == 1
