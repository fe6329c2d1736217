"""A folder becomes documents, readers, chunks and an index that agree, whatever changes and wherever it is cut off."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from app.db.tables import (
    ChunkRow,
    ConnectorRow,
    DocumentReaderRow,
    DocumentRow,
    EventRow,
    OutboxRow,
    SyncRunRow,
)
from app.domain import now
from app.durable import Durable
from app.errors import InputError, NotFound
from app.identity.groups import Directory
from app.knowledge.index import EdgeIndex
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from tests.conftest import MakePerson
from tests.knowledge.conftest import EVERYONE, Desk

HOLIDAYS = (
    "# Holidays\n\nEveryone has 28 days of annual leave. Ask your team lead before booking.\n"
)
BANDS = "# Salary bands\n\nAn engineer of level 3 earns between 52,000 and 61,000 pounds a year.\n"


def count(desk: Desk, table: type) -> int:
    with desk.database.read() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.fixture
def filled(desk: Desk) -> Desk:
    desk.write("access.toml", EVERYONE)
    desk.write("handbook/holidays.md", HOLIDAYS)
    desk.write("hr/access.toml", '[access]\ngroups = ["hr"]\ndata_class = "restricted"\n')
    desk.write("hr/bands.md", BANDS)
    assert desk.run().status == "finished"
    return desk


def test_the_first_sync_makes_documents_that_are_found_by_their_readers_only(
    filled: Desk, make_person: MakePerson
) -> None:
    ada, hal = make_person("Ada"), make_person("Hal", groups=("hr",))
    found = filled.find("How many days of annual leave do I have?", ada)
    passage = found.passages[0]
    assert (passage.title, passage.space) == ("Holidays", "Handbook")
    assert passage.basis.principal == "everyone"
    assert filled.titles("What does a level 3 engineer earn?", ada) == set()
    hers = filled.find("What does a level 3 engineer earn?", hal).passages[0]
    assert hers.title == "Salary bands"
    assert hers.data_class.label == "restricted"
    assert hers.basis.principal == "group:idp/hr"


def test_an_unchanged_folder_is_neither_parsed_nor_embedded(filled: Desk) -> None:
    run = filled.run()
    assert run.status == "finished"
    assert (run.counts["seen"], run.counts["added"], run.counts["changed"]) == (2, 0, 0)
    assert filled.embedder.texts == []


def test_touched_but_equal_files_are_not_embedded(filled: Desk) -> None:
    for file in filled.root.rglob("*.md"):
        file.touch()
    assert filled.run().counts["changed"] == 0
    assert filled.embedder.texts == []


def test_a_change_of_access_alone_embeds_nothing_and_holds_at_once(
    filled: Desk, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    filled.write("hr/access.toml", EVERYONE)
    run = filled.run()
    assert (run.counts["access"], run.counts["changed"]) == (1, 0)
    assert filled.embedder.texts == []
    assert filled.titles("salary bands", ada) == {"Salary bands"}
    filled.write("hr/access.toml", '[access]\nusers = ["someone@example.test"]\n')
    filled.run()
    assert filled.titles("salary bands", ada) == set()
    (filled.root / "hr/access.toml").unlink()
    filled.write("access.toml", "# nobody\n[access]\n")
    filled.run()
    assert filled.titles("annual leave", ada) == set()
    assert filled.embedder.texts == []


def test_only_what_changed_in_a_document_is_embedded_again(filled: Desk) -> None:
    sections = [f"## Part {i}\n\n" + f"Sentence {i} about topic {i}. " * 30 for i in range(6)]
    filled.write("long.md", "# Long\n\n" + "\n\n".join(sections))
    filled.run()
    before = len(filled.embedder.texts)
    sections[3] = sections[3].replace("topic", "subject")
    filled.write("long.md", "# Long\n\n" + "\n\n".join(sections))
    run = filled.run()
    assert run.counts["changed"] == 1
    assert 0 < len(filled.embedder.texts) < before
    assert filled.index.count() == count(filled, ChunkRow)


def test_what_left_the_source_is_gone_everywhere(filled: Desk, make_person: MakePerson) -> None:
    ada = make_person("Ada")
    (filled.root / "handbook/holidays.md").unlink()
    run = filled.run()
    assert run.counts["removed"] == 1
    assert filled.find("annual leave", ada).passages == ()
    assert filled.index.count() == count(filled, ChunkRow) == 1
    assert count(filled, OutboxRow) == 0


def test_nothing_is_removed_while_the_source_is_away(filled: Desk, make_person: MakePerson) -> None:
    away = filled.root.with_name("away")
    filled.root.rename(away)
    run = filled.run()
    assert run.status == "failed"
    assert "no folder" in run.error
    assert run.fix
    assert filled.sync.status(filled.connector_id).status == "failing"
    assert filled.titles("annual leave", make_person("Ada")) == {"Holidays"}
    away.rename(filled.root)
    assert filled.run().status == "finished"
    assert filled.sync.status(filled.connector_id).status == "active"


def test_a_document_that_fails_does_so_alone_and_is_named(
    filled: Desk, make_person: MakePerson
) -> None:
    filled.write("broken.pdf", b"%PDF-1.7 nothing else")
    filled.write("broken.docx", b"PK\x03\x04 no archive")
    filled.write("empty.md", b"")
    filled.write("image.txt", bytes(range(256)) * 40)
    run = filled.run()
    assert run.status == "finished"
    assert run.counts["failed"] == 4
    failures = {failure.name: failure for failure in filled.sync.failures(filled.connector_id)}
    assert set(failures) == {"broken.pdf", "broken.docx", "empty.md", "image.txt"}
    assert all(failure.cause and failure.fix for failure in failures.values())
    assert filled.titles("annual leave", make_person("Ada")) == {"Holidays"}
    for name in failures:
        (filled.root / name).unlink()
    filled.run()
    assert filled.sync.failures(filled.connector_id) == []


def test_a_document_that_breaks_keeps_its_last_text_under_the_readers_of_now(
    filled: Desk, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    filled.write("handbook/holidays.md", b"")
    filled.write("handbook/access.toml", '[access]\ngroups = ["hr"]\n')
    assert filled.run().counts["failed"] == 1
    assert filled.titles("annual leave", ada) == set()
    assert filled.titles("annual leave", make_person("Hal", groups=("hr",))) == {"Holidays"}


def test_a_broken_access_file_hides_what_it_governs_and_is_shown(
    filled: Desk, make_person: MakePerson
) -> None:
    filled.write("handbook/access.toml", "[access\neveryone = true")
    filled.run()
    assert filled.titles("annual leave", make_person("Ada")) == set()
    assert [f.name for f in filled.sync.failures(filled.connector_id)] == ["handbook/access.toml"]
    filled.write("handbook/access.toml", EVERYONE)
    filled.run()
    assert filled.sync.failures(filled.connector_id) == []
    assert filled.embedder.texts == []


def test_a_crash_between_sql_and_index_heals_at_the_next_sync(
    desk: Desk, make_person: MakePerson
) -> None:
    desk.write("access.toml", EVERYONE)
    desk.write("holidays.md", HOLIDAYS)
    desk.run()
    desk.write("bands.md", BANDS)
    (desk.root / "holidays.md").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.index, "upsert", _power_cut)
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    assert count(desk, OutboxRow) > 0
    ada = make_person("Ada")
    assert desk.titles("what does an engineer earn", ada) == set()
    run = desk.run()
    assert run.status == "finished"
    assert run.counts["removed"] == 1
    assert desk.titles("what does an engineer earn", ada) == {"Salary bands"}
    assert desk.index.count() == count(desk, ChunkRow) == 1
    assert count(desk, OutboxRow) == 0


def _power_cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_lost_index_is_rebuilt_from_sql(filled: Desk, make_person: MakePerson) -> None:
    filled.index.close()
    folder = filled.settings.data_dir / "index"
    shutil.rmtree(folder)
    index = EdgeIndex(folder, dimension=filled.embedder.dimension, embedder=filled.embedder.name)
    settings, database = filled.settings, filled.database
    sync = Sync(
        database,
        filled.ledger,
        index,
        filled.embedder,
        Directory(database),
        Durable(settings, database),
        settings,
    )
    sync.recover()
    search = Search(database, index, filled.embedder)
    ada, hal = make_person("Ada"), make_person("Hal", groups=("hr",))
    assert search.search("annual leave", None, ada).passages
    assert not search.search("salary of an engineer", None, ada).passages
    assert search.search("salary of an engineer", None, hal).passages
    index.close()


def test_a_run_that_a_crash_left_behind_is_settled_and_due_again(filled: Desk) -> None:
    with filled.database.write() as session:
        session.add(SyncRunRow(id="sync_left", connector_id=filled.connector_id, status="running"))
    durable = Durable(filled.settings, filled.database)
    sync = Sync(
        filled.database,
        filled.ledger,
        filled.index,
        filled.embedder,
        Directory(filled.database),
        durable,
        filled.settings,
    )
    durable.launch()
    try:
        sync.recover()
        left = sync.run_row("sync_left")
        assert left is not None
        assert left.status == "interrupted"
        assert "stopped" in left.error
        status = sync.status(filled.connector_id)
        assert status.next_sync_at is not None
        assert status.next_sync_at <= now()
        sync.start_due()
        newest = sync.runs(filled.connector_id)[0]
        assert newest.id != "sync_left"
        _wait(lambda: (run := sync.run_row(newest.id)) is not None and run.status == "finished")
        assert sync.sync_now(filled.connector_id) != newest.id
    finally:
        durable.shutdown()


def _wait(done: object, seconds: float = 20) -> None:
    import time

    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def test_a_second_sync_of_a_connector_is_the_one_under_way(filled: Desk) -> None:
    with filled.database.write() as session:
        session.add(SyncRunRow(id="sync_now", connector_id=filled.connector_id, status="running"))
    assert filled.sync.sync_now(filled.connector_id) == "sync_now"


def test_a_cancelled_or_paused_sync_writes_nothing_more(desk: Desk) -> None:
    desk.write("access.toml", EVERYONE)
    desk.write("holidays.md", HOLIDAYS)
    desk.connector_id = desk.sync.add(None, "folder", "Files", {"path": str(desk.root)})
    with desk.database.write() as session:
        session.add(SyncRunRow(id="sync_1", connector_id=desk.connector_id))
    desk.sync.cancel(None, "sync_1")
    desk.sync.run("sync_1")
    run = desk.sync.run_row("sync_1")
    assert run is not None
    assert run.status == "cancelled"
    assert count(desk, DocumentRow) == 0
    desk.sync.pause(None, desk.connector_id)
    with pytest.raises(InputError, match="paused"):
        desk.sync.run_once(desk.connector_id)
    desk.sync.resume(None, desk.connector_id)
    assert desk.run().status == "finished"


def test_a_shutdown_ends_a_sync_that_is_due_again_at_the_next_start(desk: Desk) -> None:
    desk.write("access.toml", EVERYONE)
    desk.write("holidays.md", HOLIDAYS)
    desk.sync.stop_schedule()
    run = desk.run()
    assert (run.status, count(desk, DocumentRow)) == ("interrupted", 0)
    status = desk.sync.status(desk.connector_id)
    assert status.next_sync_at is not None
    assert status.next_sync_at <= now()


def test_removing_hides_at_once_and_then_takes_everything(
    filled: Desk, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    with filled.database.write() as session:
        row = session.get(ConnectorRow, filled.connector_id)
        assert row is not None
        row.status = "deleting"
    assert filled.find("annual leave", ada).passages == ()
    filled.sync._runs.remove(filled.connector_id)
    for table in (ConnectorRow, DocumentRow, DocumentReaderRow, ChunkRow, SyncRunRow, OutboxRow):
        assert count(filled, table) == 0, table
    assert filled.index.count() == 0
    with pytest.raises(NotFound):
        filled.sync.status(filled.connector_id)


def test_old_permissions_are_not_trusted(filled: Desk, make_person: MakePerson) -> None:
    ada = make_person("Ada")
    later = Search(
        filled.database, filled.index, filled.embedder, clock=lambda: now() + timedelta(days=3)
    )
    found = later.search("annual leave", None, ada)
    assert found.passages == ()
    assert found.withheld == 1


def test_two_connectors_with_the_same_files_never_mix(
    filled: Desk, make_person: MakePerson
) -> None:
    other = filled.root.with_name("other")
    shutil.copytree(filled.root, other)
    (other / "access.toml").write_text('[access]\ngroups = ["hr"]\n')
    second = filled.sync.add(None, "folder", "Other", {"path": str(other)})
    assert filled.sync.run_once(second).counts["added"] == 2
    assert len(filled.find("annual leave", make_person("Ada")).passages) == 1
    assert len(filled.find("annual leave", make_person("Hal", groups=("hr",))).passages) == 2
    shutil.rmtree(other)
    other.mkdir()
    filled.sync.run_once(second)
    assert filled.titles("annual leave", make_person("Bea")) == {"Holidays"}


def test_changes_and_syncs_are_recorded(filled: Desk, make_person: MakePerson) -> None:
    ada = make_person("Ada")
    filled.sync.change(ada, filled.connector_id, name="Company files", sync_every_s=600)
    with pytest.raises(InputError, match="already"):
        filled.sync.add(ada, "folder", "Company files", {"path": str(filled.root)})
    with pytest.raises(InputError, match=r"Folder.*Fill this in"):
        filled.sync.add(ada, "folder", "No path", {})
    preview = filled.sync.preview_as(ada, ada)
    assert [(p.title, p.basis is not None) for p in preview] == [
        ("Holidays", True),
        ("Salary bands", False),
    ]
    assert preview[1].reason == "Only for group:idp/hr."
    with filled.database.read() as session:
        types = list(
            session.execute(select(col(EventRow.type)).order_by(col(EventRow.seq))).scalars()
        )
    assert types == ["connector_changed", "sync_done", "connector_changed", "previewed_as"]
    assert filled.ledger.verify().broken is None
