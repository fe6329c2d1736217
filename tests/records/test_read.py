"""Reading the log: newest first by the page, filtered, exported."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.db import Database
from app.errors import InputError
from app.records import EventFilter, EventLog, Ledger
from app.records.events import AccessDenied, SignedOut
from app.records.read import TYPES
from tests.conftest import MakePerson


@pytest.fixture
def log(database: Database, filled: Ledger) -> EventLog:
    assert filled.verify().events == 9
    return EventLog(database)


def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(log: EventLog) -> None:
    seen: list[int] = []
    before: int | None = None
    while True:
        page = log.page(before=before, limit=4)
        seen += [event.seq for event in page.events]
        before = page.older
        if before is None:
            break
    assert seen == list(range(9, 0, -1))


def test_a_page_that_ends_exactly_has_no_older_one(log: EventLog) -> None:
    assert log.page(limit=9).older is None
    assert log.page(limit=8).older == 2


def test_filters_by_type_person_subject_and_time(log: EventLog) -> None:
    assert [e.seq for e in log.page(EventFilter(types=("access_denied",))).events] == [8, 6, 4, 2]
    assert [e.seq for e in log.page(EventFilter(actor="person_1")).events] == [8, 5, 2]
    assert [e.seq for e in log.page(EventFilter(subject="s4")).events] == [5]
    both = EventFilter(types=("access_denied", "signed_out"), actor="person_0")
    assert [e.seq for e in log.page(both).events] == [7, 4, 1]
    fourth = log.page(EventFilter(subject="s3")).events[0]
    assert [e.seq for e in log.page(EventFilter(until=fourth.at)).events][-1] == 1
    assert log.page(EventFilter(since=datetime.now(UTC) + timedelta(days=1))).events == ()


def test_an_event_shows_who_by_name_and_the_rest_as_fields(
    database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    ledger.record(
        AccessDenied(actor=ada.id, subject="x", action="look", reason="no rule"),
        SignedOut(actor="system"),
    )
    newest, first = EventLog(database).page().events
    assert (newest.actor_name, newest.fields) == ("system", {})
    assert first.actor_name == "Ada"
    assert first.fields == {"action": "look", "reason": "no rule", "policy": ""}


def test_everything_about_one_subject_is_oldest_first(ledger: Ledger, database: Database) -> None:
    ledger.record(*(SignedOut(actor=str(n), subject="turn_1") for n in range(3)))
    assert [e.actor for e in EventLog(database).about("turn_1")] == ["0", "1", "2"]


def test_an_unknown_type_is_refused(log: EventLog) -> None:
    with pytest.raises(InputError):
        log.page(EventFilter(types=("gossip",)))
    with pytest.raises(InputError):
        log.export(EventFilter(types=("gossip",)))


def test_the_types_are_those_of_the_closed_union() -> None:
    assert "signed_in" in TYPES
    assert len(set(TYPES)) == len(TYPES) > 20


def test_a_filtered_export_holds_what_the_pages_show(log: EventLog, filled: Ledger) -> None:
    wanted = EventFilter(types=("access_denied",))
    lines = [json.loads(line) for line in log.export(wanted)]
    assert [one["seq"] for one in reversed(lines)] == [e.seq for e in log.page(wanted).events]
    assert list(log.export()) == list(filled.export())
