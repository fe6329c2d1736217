"""A process that dies at a given moment: `python -m tests.actions.process <data folder> <person id> <moment> [webhook]`.

`recorded`: the click is on record, nothing was started. `inserting`: in the middle of the effect's transaction.
`committed`: after it, before the durable engine knows. `sending`: runs until somebody kills it. `resume`: only starts, and
ends when every request has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from app.access import Policy
from app.actions import ActionDesk
from app.db import Database
from app.domain import Person
from app.durable import Durable
from app.errors import ConfigurationError
from app.identity.accounts import Accounts
from app.identity.groups import Directory
from app.records import Ledger
from app.settings import Settings
from tests.actions.conftest import MESSAGE, TICKET, until


def main(folder: Path, person_id: str, moment: str, webhook: str = "") -> None:
    settings = Settings(data_dir=folder, webhook_url=webhook)
    database = Database(settings.database)
    ledger = Ledger(database)
    accounts = Accounts(database, ledger, Directory(database))
    durable = Durable(settings, database)
    desk = ActionDesk(database, ledger, Policy(), durable, accounts, settings)
    person = accounts.person(person_id)
    assert person is not None
    if moment == "recorded":
        with contextlib.suppress(ConfigurationError):  # nothing can be started before launch
            click(desk, person, webhook)
        die()
    if moment in {"inserting", "committed"}:
        die_around_the_ticket(database.engine, moment)
    durable.launch()
    if moment != "resume":
        click(desk, person, webhook)
    until(lambda: all(row.status in {"done", "failed"} for row in desk.mine(person)))
    durable.shutdown()


def click(desk: ActionDesk, person: Person, webhook: str) -> None:
    name, form = ("send_webhook", MESSAGE) if webhook else ("open_ticket", TICKET)
    desk.submit(person, "offer_1", name, form)


def die_around_the_ticket(engine: Engine, moment: str) -> None:
    def watch(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("INSERT INTO ticket "):
            return
        if moment == "inserting":
            die()
        event.listen(engine, "checkin", lambda *_arguments: die())

    event.listen(engine, "after_cursor_execute", watch)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
