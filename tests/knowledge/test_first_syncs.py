"""Who asks while a source is read for the first time is told that something may be missing, and nobody is told it of a source
that is not being read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.db.tables import ConnectorRow, SyncRunRow
from app.domain import Person
from app.knowledge.search import Search
from app.knowledge.sync.clocks import ACTIVE
from app.knowledge.sync.first_syncs import LOOKED_EVERY_S, FirstSyncs
from tests.conftest import MakePerson
from tests.knowledge.conftest import EVERYONE, Desk


def now(desk: Desk) -> bool:
    return FirstSyncs(desk.database).under_way()


@pytest.fixture
def added(desk: Desk) -> Desk:
    desk.write("access.toml", EVERYONE)
    desk.write("holidays.md", "# Holidays\n\nEveryone has 28 days of annual leave.")
    desk.connector_id = desk.sync.add(None, "folder", "Files", {"path": str(desk.root)})
    return desk


@pytest.fixture
def ada(make_person: MakePerson) -> Person:
    return make_person("Ada")


def test_without_sources_nothing_is_being_read(desk: Desk) -> None:
    assert not now(desk)


def test_from_being_added_until_the_end_of_its_first_sync(added: Desk, ada: Person) -> None:
    search = Search(
        added.database,
        added.index,
        added.embedder,
        first_sync=lambda: now(added),
    )
    before = search.search("annual leave", None, ada)
    assert (before.passages, before.first_sync) == ((), True)
    added.run()
    after = search.search("annual leave", None, ada)
    assert (len(after.passages), after.first_sync) == (1, False)


@pytest.mark.parametrize("status", [*ACTIVE, "interrupted"])
def test_while_its_first_run_is_under_way_or_waits_to_go_on(added: Desk, status: str) -> None:
    with added.database.write() as session:
        session.add(SyncRunRow(connector_id=added.connector_id, status=status))
    assert now(added)


@pytest.mark.parametrize("status", ["failed", "held", "cancelled"])
def test_one_that_failed_or_waits_for_its_admin_is_not_being_read(added: Desk, status: str) -> None:
    with added.database.write() as session:
        session.add(SyncRunRow(connector_id=added.connector_id, status=status))
    assert not now(added)
    with added.database.write() as session:
        session.add(SyncRunRow(connector_id=added.connector_id, status="queued"))
    assert now(added)


def test_one_that_was_interrupted_and_then_failed_is_not_being_read(added: Desk) -> None:
    at = datetime.now(UTC)
    with added.database.write() as session:
        for status, age in (("interrupted", 60), ("failed", 5)):
            row = SyncRunRow(connector_id=added.connector_id, status=status)
            row.started_at = at - timedelta(seconds=age)
            session.add(row)
    assert not now(added)


def test_one_at_rest_is_not_being_read(added: Desk) -> None:
    added.sync.pause(None, added.connector_id)
    assert not now(added)
    added.sync.resume(None, added.connector_id)
    assert now(added)
    with added.database.write() as session:
        row = session.get(ConnectorRow, added.connector_id)
        assert row is not None
        row.status = "deleting"
    assert not now(added)


def test_the_second_sync_of_a_source_is_none_of_their_business(added: Desk) -> None:
    added.run()
    with added.database.write() as session:
        session.add(SyncRunRow(connector_id=added.connector_id, status="running"))
    assert not now(added)


def test_groups_that_were_read_first_are_no_content(added: Desk) -> None:
    with added.database.write() as session:
        session.add(SyncRunRow(connector_id=added.connector_id, scope="groups", status="finished"))
    assert now(added)


def test_it_is_looked_up_once_in_a_while(added: Desk) -> None:
    at = 100.0
    firsts = FirstSyncs(added.database, lambda: at)
    assert firsts.under_way()
    added.run()
    at += LOOKED_EVERY_S - 0.1
    assert firsts.under_way()
    at += 0.1
    assert not firsts.under_way()
