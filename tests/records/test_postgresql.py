"""The chain on PostgreSQL: the first events race, appends race, and a verification meanwhile sees one moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app.db import Database, migrate
from app.records import Ledger
from app.records.events import SignedOut
from app.records.ledger import Verified
from tests.servers.postgres import postgres

THREADS, EACH = 6, 25


@pytest.fixture
def server() -> Iterator[Database]:
    with postgres() as url:
        database = Database(url)
        migrate(database)
        yield database
        database.close()


def test_the_chain_is_whole_while_and_after_many_append_at_once(server: Database) -> None:
    begin, failures = threading.Barrier(THREADS), list[BaseException]()
    seen: list[Verified] = []

    def append(actor: str) -> None:
        try:
            own = Ledger(server)
            begin.wait()
            for n in range(EACH):
                own.record(SignedOut(actor=actor, subject=str(n)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=append, args=(f"t{n}",)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(Ledger(server).verify())
    for thread in threads:
        thread.join()
    assert not failures
    assert [one.broken for one in seen if one.broken] == []
    final = Ledger(server).verify()
    assert (final.events, final.broken) == (THREADS * EACH, None)
    assert all(Ledger(server).verify(one.head).broken is None for one in seen[:3])
