"""Content, permissions and groups on clocks of their own; removals that ask; retries, events, watchers; promises kept."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from app.db import Database
from app.db.tables import (
    AudienceRow,
    ConnectorRow,
    CredentialRow,
    DocumentRow,
    EventRow,
    GroupMemberRow,
    PersonPrincipalRow,
    SecretRow,
    SyncRequestRow,
    SyncRunRow,
)
from app.domain import Person, Role, now
from app.durable import Durable
from app.errors import InputError, NotFound, Withheld
from app.identity.groups import Directory
from app.knowledge.documents import Documents
from app.knowledge.embed import Embedder
from app.knowledge.index import VectorIndex
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.knowledge.sync.live import LiveCheck
from app.knowledge.sync.sources import Sources
from app.knowledge.sync.trial import SourceBroken, Trial
from app.records import Ledger
from app.settings import Settings
from connectors.contract import Access, BadEvent, Event
from tests.conftest import MakePerson
from tests.knowledge.conftest import Counting
from tests.knowledge.memory_source import TOKEN, WORLDS, MemorySource, Page, World

LEAVE = "Everyone has 28 days of annual leave. Ask your team lead before booking."
SALARY = "An engineer of level 3 earns between 52,000 and 61,000 pounds a year."
CANTEEN = "The canteen serves lunch from noon until two. Soup is free on Fridays."
ADA = Access.of(users=["ada@example.test"])
STAFF = Access.of(groups=["staff"])


@dataclass
class Clock:
    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **time_passed: float) -> None:
        self.at += timedelta(**time_passed)


@dataclass
class House:
    world: World
    clock: Clock
    database: Database
    sync: Sync
    search: Search
    durable: Durable
    embedder: Counting
    index: VectorIndex
    people: Callable[[str], Person]
    connector: str = ""

    def add(self, **options: object) -> str:
        self.connector = self.sync.add(
            None, "memory", "Wiki", {"world": "w"}, secrets={"token": TOKEN}, **options
        )  # type: ignore[arg-type]
        return self.connector

    def run(self, scope: str = "content", mode: str = "changes") -> SyncRunRow:
        self.embedder.texts.clear()
        return self.sync.run_once(self.connector, scope=scope, mode=mode)

    def titles(self, text: str, name: str) -> set[str]:
        person = self.people(name)
        found = self.search.search(text, None, person, 6)
        return {passage.title for passage in found.passages}

    def count(self, table: type) -> int:
        with self.database.read() as session:
            return int(session.execute(select(func.count()).select_from(table)).scalar_one())

    def events(self, type_: str) -> list[dict[str, object]]:
        with self.database.read() as session:
            rows = session.execute(
                select(col(EventRow.body)).where(col(EventRow.type) == type_)
            ).scalars()
            return [json.loads(row) if isinstance(row, str) else dict(row) for row in rows]


@pytest.fixture
def house(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    embedder: Embedder,
    index: VectorIndex,
    make_person: MakePerson,
) -> Iterator[House]:
    world = World()
    WORLDS["w"] = world
    world.groups = {"staff": frozenset({"bob@example.test", "group:leads"}), "leads": frozenset()}
    world.put("leave", LEAVE, STAFF)
    world.put("salary", SALARY, ADA)
    clock = Clock(now())
    counting = Counting(embedder)
    sources = Sources()
    sources.add("tests", MemorySource)
    durable = Durable(settings, database)
    sync = Sync(
        database,
        ledger,
        index,
        counting,
        Directory(database),
        durable,
        settings,
        sources=sources,
        clock=clock,
    )
    known: dict[str, str] = {}

    def person(name: str) -> Person:
        """As the next question sees them: principals are read anew."""
        if name not in known:
            known[name] = make_person(name).id
            with database.write() as session:
                Directory(database).expand_all(session)
        with database.read() as session:
            principals = session.execute(
                select(col(PersonPrincipalRow.principal)).where(
                    col(PersonPrincipalRow.person_id) == known[name]
                )
            ).scalars()
            email = f"{name.lower()}@example.test"
            return Person(known[name], email, name, Role.EMPLOYEE, "Sales", frozenset(principals))

    search = Search(database, index, counting, live=sync.live, clock=clock)
    made = House(world, clock, database, sync, search, durable, counting, index, person)
    made.add()
    yield made
    sync.stop_schedule()
    sync.live.close()
    del WORLDS["w"]


def test_groups_come_before_the_content_that_names_them(house: House) -> None:
    run = house.run()
    assert run.status == "finished"
    assert house.titles("annual leave", "Bob") == {"leave"}
    assert house.titles("annual leave", "Ada") == set()
    assert house.titles("level 3 engineer earns", "Ada") == {"salary"}
    scopes = [run.scope for run in house.sync.runs(house.connector)]
    assert sorted(scopes) == ["content", "groups"]


def test_a_change_of_readers_needs_no_content_and_no_embedding(house: House) -> None:
    house.run()
    house.world.share("leave", ADA)
    before = house.world.calls["changes"]
    run = house.run("permissions")
    assert (run.status, run.counts["access"]) == ("finished", 1)
    assert house.embedder.texts == []
    assert house.world.calls["changes"] == before
    assert house.titles("annual leave", "Bob") == set()
    assert house.titles("annual leave", "Ada") == {"leave"}
    (change,) = house.sync.reader_changes(house.connector)
    assert (change.title, change.gained) == ("leave", ["user:ada@example.test"])
    assert change.lost == [f"group:{house.connector}/staff"]


def test_a_change_of_members_is_honoured_by_the_groups_clock_alone(house: House) -> None:
    house.run()
    house.world.groups = {
        "staff": frozenset({"group:leads"}),
        "leads": frozenset({"cleo@example.test"}),
    }
    house.people("Cleo")
    assert house.run("groups").status == "finished"
    assert house.titles("annual leave", "Bob") == set()
    assert house.titles("annual leave", "Cleo") == {"leave"}
    assert house.embedder.texts == []


def test_readers_that_are_narrowed_are_in_every_part(house: House) -> None:
    house.world.groups = {
        "staff": frozenset({"bob@example.test", "ada@example.test"}),
        "board": frozenset({"ada@example.test", "cleo@example.test"}),
    }
    for name in ("Ada", "Bob", "Cleo"):
        house.people(name)
    house.world.put("canteen", CANTEEN, STAFF & Access.of(groups=["board"]))
    house.run()
    assert [n for n in ("Ada", "Bob", "Cleo") if house.titles("canteen lunch soup", n)] == ["Ada"]
    house.world.groups["board"] = frozenset({"bob@example.test"})
    house.run("groups")
    assert [n for n in ("Ada", "Bob", "Cleo") if house.titles("canteen lunch soup", n)] == ["Bob"]
    house.world.share("canteen", STAFF)
    house.run("permissions")
    house.run("groups")
    assert house.titles("canteen lunch soup", "Ada") == {"canteen"}
    assert house.count(AudienceRow) == 0, "an audience that no document names is forgotten"


def test_a_person_who_comes_later_is_in_the_audiences_too(house: House) -> None:
    house.world.groups = {
        "staff": frozenset({"dan@example.test"}),
        "board": frozenset({"dan@example.test"}),
    }
    house.world.put("canteen", CANTEEN, STAFF & Access.of(groups=["board"]))
    house.run()
    assert house.titles("canteen lunch soup", "Dan") == {"canteen"}


def test_an_untold_deletion_shows_in_the_complete_listing(house: House) -> None:
    house.run()
    house.world.drop("leave", tell=False)
    run = house.run()
    assert run.counts["removed"] == 1
    assert house.titles("annual leave", "Bob") == set()


def test_what_the_log_never_named_is_fetched_from_the_listing(house: House) -> None:
    house.run()
    house.world.put("canteen", CANTEEN, STAFF)
    house.world.log.remove("canteen")
    run = house.run()
    assert run.counts["added"] == 1
    assert house.titles("canteen lunch soup", "Bob") == {"canteen"}


def fill(house: House, number: int) -> None:
    for i in range(number):
        house.world.put(f"page {i:02}", f"Page number {i} says {CANTEEN}", STAFF)


def test_a_sync_that_would_remove_too_much_stops_and_asks(house: House) -> None:
    fill(house, 40)
    house.run()
    for i in range(30):
        house.world.drop(f"page {i:02}", tell=False)
    run = house.run()
    assert run.status == "held"
    assert "30 of 42" in run.error
    assert house.count(DocumentRow) == 42, "nothing was removed"
    status = house.sync.status(house.connector)
    assert (status.status, status.next_sync_at) == ("held", None)
    house.durable.launch()
    try:
        house.sync.allow_removals(None, house.connector)
        _wait(lambda: house.sync.status(house.connector).status == "active")
    finally:
        house.durable.shutdown()
    assert house.count(DocumentRow) == 12
    with house.database.read() as session:
        row = session.get(ConnectorRow, house.connector)
        assert row is not None
        assert row.removals_allowed == 0, "it was allowed once"
    with pytest.raises(InputError, match="does not wait"):
        house.sync.allow_removals(None, house.connector)


def test_deletions_that_are_told_one_by_one_are_counted_too(house: House) -> None:
    fill(house, 40)
    house.run()
    for i in range(38):
        house.world.drop(f"page {i:02}")
    run = house.run()
    assert run.status == "held"
    assert house.count(DocumentRow) >= 42 - 12
    for i in range(38):
        house.world.put(f"page {i:02}", CANTEEN, STAFF)
    assert house.run().status == "finished", "the source was mended: the next sync goes on"


def test_an_emptied_source_always_asks(house: House) -> None:
    house.run()
    house.world.pages.clear()
    assert house.run().status == "held"
    assert house.count(DocumentRow) == 2


def test_failed_documents_are_tried_again_alone(house: House) -> None:
    house.world.pages["leave"].broken = True
    assert house.run().counts["failed"] == 1
    (failure,) = house.sync.failures(house.connector)
    assert (failure.cause, failure.fix) == ("The page is broken.", "Mend it.")
    house.world.pages["leave"].broken = False
    assert house.sync.retry_failed(None, house.connector) == 1
    run = house.run(mode="refetch")
    assert (run.status, run.counts["added"], run.counts["seen"]) == ("finished", 1, 1)
    assert house.sync.failures(house.connector) == []
    assert house.count(SyncRequestRow) == 0


def test_a_sync_that_works_makes_up_for_permissions_that_could_not_be_read(house: House) -> None:
    house.run()
    house.world.away = True
    assert house.run("permissions").status == "failed"
    assert house.sync.status(house.connector).status == "failing"
    house.world.away = False
    house.clock.pass_(seconds=1)
    assert house.run().status == "finished"
    assert house.sync.status(house.connector).status == "active"


def test_a_failure_of_a_document_that_is_gone_is_forgotten(house: House) -> None:
    house.world.pages["leave"].broken = True
    house.run()
    assert len(house.sync.failures(house.connector)) == 1
    house.world.drop("leave", tell=False)
    house.run()
    assert house.sync.failures(house.connector) == []


def test_one_connector_that_breaks_leaves_the_others_alone(house: House) -> None:
    """Its own run fails, in words without its secret; another with the same ids and group names is neither hurt nor mixed."""
    WORLDS["other"] = World(
        pages={"leave": Page("# leave\n\n" + SALARY, STAFF)},
        groups={"staff": frozenset({"cleo@example.test"})},
        log=["leave"],
    )
    other = house.sync.add(None, "memory", "Other", {"world": "other"}, secrets={"token": TOKEN})
    for name in ("Bob", "Cleo"):
        house.people(name)
    assert house.run().status == house.sync.run_once(other).status == "finished"
    house.world.bug = True
    run = house.run()
    assert (run.status, "ZeroDivisionError" in run.error) == ("failed", True)
    assert TOKEN not in run.error + run.fix + run.detail
    assert "memory_source.py" in run.detail
    assert house.sync.run_once(other).status == "finished"
    states = {status.name: status.status for status in house.sync.overview()}
    assert states == {"Wiki": "failing", "Other": "active"}
    house.world.bug = False
    assert house.titles("annual leave days", "Bob") == {"leave"}
    assert house.titles("level 3 engineer earns", "Bob") == set()
    assert house.titles("level 3 engineer earns", "Cleo") == {"leave"}
    del WORLDS["other"]


def test_trying_a_source_that_breaks_is_told_in_words(house: House) -> None:
    house.world.bug = True
    for attempt in (house.sync.test, house.sync.dry_run):
        with pytest.raises(SourceBroken, match="broke") as told:
            attempt("memory", {"world": "w"}, secrets={"token": TOKEN})
        assert TOKEN not in told.value.message + told.value.fix
    house.world.bug, house.world.away = False, True
    with pytest.raises(SourceBroken, match="away"):
        house.sync.dry_run("memory", {"world": "w"}, secrets={"token": TOKEN})


def test_a_dry_run_ends_at_its_deadline_with_what_it_found(
    house: House, database: Database
) -> None:
    fill(house, 30)
    seen: list[str] = []

    def slow_from_the_tenth(id: str) -> None:
        seen.append(id)
        if len(seen) == 10:
            time.sleep(3.2)

    house.world.on_page = slow_from_the_tenth
    sources = Sources()
    sources.add("tests", MemorySource)
    trial = Trial(database, sources, house.sync.credentials)
    found = trial.dry_run("memory", {"world": "w"}, {"token": TOKEN}, longest_s=3.0)
    assert 0 < found.added < 30
    assert not found.complete
    assert found.removed == 0, "what was not looked at is not gone"


def test_a_full_sync_reads_and_embeds_everything_anew(house: House) -> None:
    house.run()
    assert house.run().counts["embedded"] == 0
    run = house.run(mode="full")
    assert (run.status, run.counts["changed"]) == ("finished", 2)
    assert len(house.embedder.texts) == 2
    assert house.titles("annual leave", "Bob") == {"leave"}


def signed(body: dict[str, object]) -> Event:
    raw = json.dumps(body).encode()
    return Event(raw, {"x-signature": hmac.new(TOKEN.encode(), raw, "sha256").hexdigest()})


def test_an_event_has_its_documents_read_again_within_seconds(house: House) -> None:
    house.run()
    house.world.put("leave", CANTEEN, STAFF)
    assert house.sync.handle_event(house.connector, signed({"challenge": "abc"})).reply == b"abc"
    house.sync.handle_event(house.connector, signed({"ids": ["leave"], "groups": True}))
    house.durable.launch()
    try:
        house.sync.start_schedule()
        _wait(lambda: house.titles("canteen lunch soup", "Bob") == {"leave"})
        _wait(lambda: house.count(SyncRequestRow) == 0)
    finally:
        house.sync.stop_schedule()
        house.durable.shutdown()
    assert house.world.calls["refetch"] == 1
    with pytest.raises(BadEvent):
        house.sync.handle_event(house.connector, Event(b"{}", {}))
    with pytest.raises(NotFound):
        house.sync.handle_event("con_nobody", signed({}))


def test_a_watched_source_is_synced_when_it_says_so(house: House) -> None:
    house.run()
    house.durable.launch()
    try:
        house.sync.start_schedule()
        _wait(lambda: house.world.calls["watch"] == 1)
        house.world.put("canteen", CANTEEN, STAFF)
        house.world.changed.set()
        _wait(lambda: house.titles("canteen lunch soup", "Bob") == {"canteen"})
    finally:
        house.sync.stop_schedule()
        house.durable.shutdown()


def test_each_clock_starts_when_its_time_has_come(house: House) -> None:
    house.run()
    due = house.sync.status(house.connector).due
    assert due["groups"] - house.clock.at <= timedelta(seconds=300)
    assert due["content"] - house.clock.at == timedelta(seconds=1800)
    house.run("permissions")
    house.clock.pass_(seconds=301)
    due = house.sync.status(house.connector).due
    assert {scope for scope, at in due.items() if at <= house.clock.at} == {"groups", "permissions"}
    house.sync.pause(None, house.connector)
    assert house.sync.status(house.connector).due == {}


def test_a_long_content_run_looks_after_permissions_and_groups_itself(house: House) -> None:
    fill(house, 30)
    house.run()
    for i in range(30):
        house.world.put(f"page {i:02}", f"New {i}. {CANTEEN}", STAFF)
    told: list[str] = []

    def in_the_middle(id: str) -> None:
        if id == "page 10":
            house.world.share("salary", STAFF)
            house.clock.pass_(seconds=400)
        if id == "page 29" and house.titles("level 3 engineer earns", "Bob"):
            told.append("Bob reads it before the long run has ended")

    house.world.on_page = in_the_middle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.knowledge.sync.batch.DOCUMENTS", 4)
        patch.setattr("app.knowledge.sync.keeping.BETWEEN_S", 0.0)
        assert house.run().status == "finished"
    assert told


def test_a_run_of_older_settings_writes_nothing_more(house: House) -> None:
    fill(house, 30)
    WORLDS["w2"] = World(pages={"leave": house.world.pages["salary"]})

    def in_the_middle(id: str) -> None:
        if id == "page 10":
            house.sync.change(None, house.connector, settings={"world": "w2"})

    house.world.on_page = in_the_middle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.knowledge.sync.batch.DOCUMENTS", 4)
        assert house.run().status == "cancelled"
    assert house.count(DocumentRow) < 15
    due = house.sync.status(house.connector).due
    assert due["content"] <= house.clock.at, "the new settings start at once"
    del WORLDS["w2"]


def test_permissions_older_than_promised_are_withheld_with_an_alert(house: House) -> None:
    house.run()
    house.world.away = True
    house.clock.pass_(seconds=3601)
    assert house.titles("annual leave", "Bob") == set()
    status = house.sync.status(house.connector)
    assert status.stale(house.clock.at)
    house.sync.pause(None, house.connector)  # no run may start in this test
    house.sync.start_due()
    house.sync.start_due()
    (event,) = house.events("permissions_stale")
    assert (event["stale"], event["promised_s"], event["documents"]) == (True, 3600, 2)
    reasons = {item.title: item.reason for item in house.sync.preview_as(house.people("Bob"))}
    assert "not confirmed in time" in reasons["leave"]
    house.world.away = False
    house.sync.resume(None, house.connector)
    house.run("groups")
    house.run("permissions")
    assert house.titles("annual leave", "Bob") == {"leave"}
    house.sync.pause(None, house.connector)
    house.sync.start_due()
    assert [event["stale"] for event in house.events("permissions_stale")] == [True, False]


def test_stale_groups_withhold_what_rests_on_them_only(house: House) -> None:
    house.run()
    house.clock.pass_(seconds=3601)
    house.run("permissions")
    assert house.titles("annual leave", "Bob") == set(), "the members of staff are not known"
    assert house.titles("level 3 engineer earns", "Ada") == {"salary"}


def test_a_source_that_answers_live_is_asked_at_answer_time(house: House, ledger: Ledger) -> None:
    house.run()
    assert house.titles("annual leave", "Bob") == {"leave"}
    house.world.refused_live.add(("leave", "bob@example.test"))
    found = house.search.search("annual leave", None, house.people("Bob"), 6)
    assert (found.passages, found.withheld) == ((), 1)
    documents = Documents(house.database, ledger, live=house.sync.live, clock=house.clock)
    with house.database.read() as session:
        id = session.execute(
            select(col(DocumentRow.id)).where(col(DocumentRow.source_id) == "leave")
        ).scalar_one()
    with pytest.raises(Withheld):
        documents.open(house.people("Bob"), id)
    house.world.refused_live.clear()
    assert documents.open(house.people("Bob"), id).title == "leave"


def test_a_live_check_that_is_late_or_fails_withholds(house: House) -> None:
    house.run()
    sources = Sources()
    sources.add("tests", MemorySource)
    hasty = LiveCheck(house.database, sources, house.sync.credentials, budget_s=2.0)
    with house.database.read() as session:
        ids = list(session.execute(select(col(DocumentRow.id))).scalars())
    assert hasty.denied(house.people("Bob"), ids) == frozenset()
    house.world.slow_s = 2.5
    assert hasty.denied(house.people("Bob"), ids) == frozenset(ids)
    house.world.slow_s = 0.0
    house.world.away = True
    assert hasty.denied(house.people("Bob"), ids) == frozenset(ids)
    hasty.close()


def test_secrets_are_sealed_swapped_and_gone_with_their_connector(house: House) -> None:
    with house.database.read() as session:
        (sealed,) = session.execute(select(col(SecretRow.sealed))).scalars()
    assert TOKEN.encode() not in sealed
    house.sync.swap_secrets(None, house.connector, {"token": "wrong"})
    run = house.run()
    assert (run.status, run.error) == ("failed", "The source does not accept the token.")
    assert house.sync.status(house.connector).status == "failing"
    house.sync.swap_secrets(None, house.connector, {"token": TOKEN})
    assert house.run().status == "finished"
    assert house.sync.status(house.connector).status == "active"
    assert "wrong" not in json.dumps(house.events("credential_changed"))
    house.durable.launch()
    try:
        house.sync.remove(None, house.connector)
        _wait(lambda: house.count(ConnectorRow) == 0)
    finally:
        house.durable.shutdown()
    assert [house.count(t) for t in (DocumentRow, GroupMemberRow, CredentialRow, SecretRow)] == [
        0
    ] * 4
    assert house.index.count() == 0


def test_a_credential_serves_several_connectors_and_stays_while_one_uses_it(house: House) -> None:
    (credential,) = house.sync.credentials.all("memory")
    second = house.sync.add(None, "memory", "Second", {"world": "w"}, credential_id=credential.id)
    assert house.sync.run_once(second).status == "finished"
    assert house.sync.credentials.all()[0].connectors == ("Second", "Wiki")
    with pytest.raises(InputError, match="used by Second, Wiki"):
        house.sync.credentials.remove(None, credential.id)
    with pytest.raises(InputError, match="no such credential"):
        house.sync.add(None, "memory", "Third", {"world": "w"}, credential_id="cred_none")
    with pytest.raises(InputError, match=r"Token.*Fill this in"):
        house.sync.add(None, "memory", "Third", {"world": "w"})
    assert house.count(ConnectorRow) == 2


def test_a_second_credential_of_the_same_name_gets_a_number(house: House) -> None:
    house.sync.change(None, house.connector, name="Old wiki")
    house.sync.add(None, "memory", "Wiki", {"world": "w"}, secrets={"token": TOKEN})
    assert [c.name for c in house.sync.credentials.all()] == ["Wiki", "Wiki 2"]
    with pytest.raises(InputError, match="already a connector"):
        house.sync.add(None, "memory", "Wiki", {"world": "w"}, secrets={"token": TOKEN})
    assert house.count(CredentialRow) == 2, "nothing is left of what was refused"


def test_a_dry_run_says_what_would_come_and_writes_nothing(house: House) -> None:
    house.run()
    house.world.put("canteen", CANTEEN, STAFF & Access.of(groups=["board"]))
    house.world.put("leave", SALARY, Access.nobody())
    house.world.drop("salary")
    (credential,) = house.sync.credentials.all()
    found = house.sync.dry_run(
        "memory", {"world": "w"}, credential_id=credential.id, connector_id=house.connector
    )
    assert (found.added, found.changed, found.removed, found.hidden) == (1, 1, 1, 1)
    assert found.complete
    assert {(d.title, d.change, d.readers) for d in found.first} == {
        ("canteen", "added", ("group board", "only if also: group staff")),
        ("leave", "changed", ()),
    }
    assert house.count(DocumentRow) == 2
    checks = house.sync.test("memory", {"world": "w"}, secrets={"token": "wrong"})
    assert [check.outcome.value for check in checks] == ["failed", "passed", "failed"]


def _wait(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)
