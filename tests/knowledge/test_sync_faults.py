"""What goes wrong in a sync ends in a stated status with its cause and the way out: never stuck, never half visible.

Elsewhere: a source that is away, a document that fails, a lost index (test_sync.py), a connector that breaks, failures tried
again (test_sync_clocks.py), kill -9 (test_sync_killed.py), parsers that hang, die or take too much (test_parse.py).
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import Database, migrate
from app.db.tables import ChunkRow, DocumentRow, OutboxRow, SyncRunRow
from app.durable import Durable
from app.errors import IndexUnavailable
from app.identity.groups import Directory
from app.knowledge.embed import Embedder, MiniLM
from app.knowledge.index import EdgeIndex
from app.knowledge.ingest import process
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.records import Ledger
from app.settings import Settings
from tests.conftest import MakePerson
from tests.knowledge.conftest import EVERYONE, Desk
from tests.servers.json_server import Fault, Reply
from tests.servers.notion_server import TOKEN, WORKSPACE, NotionWorld, uuid

PAGES = 60


@pytest.fixture
def world() -> Iterator[NotionWorld]:
    """A hosted source: sixty pages, of which the connector hands over fifty before its first checkpoint."""
    world = NotionWorld()
    for number in range(1, PAGES + 1):
        world.add(number, f"Page {number}", WORKSPACE, f"The otter of page {number} sleeps.")
    with world.http:
        yield world


def add(desk: Desk, world: NotionWorld, token: str = TOKEN) -> str:
    settings = {"everyone": True, "api_url": world.http.url}
    return desk.sync.add(None, "notion", "Wiki", settings, secrets={"token": token})


def count(database: Database, table: type) -> int:
    with database.read() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


def consistent(desk: Desk) -> None:
    assert count(desk.database, OutboxRow) == 0
    assert desk.index.count() == count(desk.database, ChunkRow)


# --- A hosted source ---


def test_a_storm_of_429_ends_the_run_in_words_and_the_next_one_finishes(
    desk: Desk, world: NotionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.http.FIRST_PAUSE_S", 0.01)
    connector = add(desk, world)
    world.http.faults.append(Fault("/search", Reply({}, 429), 999))
    run = desk.sync.run_once(connector)
    assert run.status == "failed"
    assert "busy or limits requests (429)" in run.error
    assert run.fix
    assert 1 < len(world.http.requests) < 20
    assert count(desk.database, DocumentRow) == 0
    world.http.faults.clear()
    assert desk.sync.run_once(connector).counts["added"] == PAGES
    consistent(desk)


def test_a_server_that_asks_for_too_much_patience_is_reported_at_once(
    desk: Desk, world: NotionWorld
) -> None:
    connector = add(desk, world)
    world.http.faults.append(Fault("/search", Reply({}, 429, {"Retry-After": "86400"}), 999))
    run = desk.sync.run_once(connector)
    assert run.status == "failed"
    assert len(world.http.requests) == 1


def test_a_credential_that_expires_in_mid_sync_keeps_what_was_stored_and_goes_on_with_a_new_one(
    desk: Desk, world: NotionWorld, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    connector = add(desk, world)
    last = f"/blocks/{uuid(PAGES)}/children"
    world.http.faults.append(Fault(last, Reply({}, 401), 1))
    world.pages[PAGES].edited = world.pages[1].edited.replace(year=2025)  # it is read last
    run = desk.sync.run_once(connector)
    assert run.status == "failed"
    assert "does not accept the credential (401)" in run.error
    assert "swap it here" in run.fix
    stored = count(desk.database, DocumentRow)
    assert 50 <= stored < PAGES
    consistent(desk)
    world.token = "ntn_a_new_token_of_the_test"
    desk.sync.swap_secrets(None, connector, {"token": world.token})
    desk.embedder.texts.clear()
    run = desk.sync.run_once(connector)
    assert (run.status, run.counts["added"]) == ("finished", PAGES - stored)
    assert len(desk.embedder.texts) == PAGES - stored
    assert desk.titles(f"otter of page {PAGES}", ada)


# --- Documents ---


def test_a_document_that_makes_the_parser_loop_fails_alone_at_the_limit(
    desk: Desk, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser is stopped as soon as it has the document, as one that loops without end."""
    desk.write("access.toml", EVERYONE)
    desk.write("a.md", "# Herons\n\nHerons wait in shallow water.")
    desk.write("b.md", "# LOOP\n\nThis one never ends.")
    desk.write("c.md", "# Otters\n\nOtters sleep on their backs.")
    asked = process.ParserProcess._ask

    def ask(parser: process.ParserProcess, content: bytes, mime: str) -> object:
        if b"LOOP" in content:
            started = parser._started()
            subprocess.run(["kill", "-STOP", str(started.pid)], check=True)
            parser._timeout_s = 0.3
        try:
            return asked(parser, content, mime)
        finally:
            parser._timeout_s = 20

    monkeypatch.setattr(process.ParserProcess, "_ask", ask)
    run = desk.run()
    assert (run.status, run.counts["added"], run.counts["failed"]) == ("finished", 2, 1)
    (failure,) = desk.sync.failures(desk.connector_id)
    assert "longer than" in failure.cause
    assert failure.fix
    assert desk.titles("otters sleep", make_person("Ada")) == {"Otters"}


def test_a_file_of_500_mb_fails_alone_and_is_never_read(desk: Desk) -> None:
    desk.write("access.toml", EVERYONE)
    desk.write("small.md", "# Small\n\nA small file.")
    with (desk.root / "huge.md").open("wb") as file:
        file.truncate(500 * 1024 * 1024)
    desk.run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (desk.root / "huge.txt").open("wb") as file:
        file.truncate(500 * 1024 * 1024)
    run = desk.run()
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (run.status, run.counts["failed"]) == ("finished", 2)
    assert grown_mb < 100
    for failure in desk.sync.failures(desk.connector_id):
        assert "bytes" in failure.cause or "MB" in failure.cause
        assert failure.fix


# --- The machine ---


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of its own of 12 MB, or of the parameter's size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "12m")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class FreesTheDisk(threading.Event):
    """What a run waits on before it tries again to write how it ended: somebody frees some space meanwhile."""

    def __init__(self, filler: Path) -> None:
        super().__init__()
        self._filler = filler

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self._filler.unlink(missing_ok=True)
        return self.is_set()


def test_a_full_disk_fails_the_run_in_words_and_the_next_one_finishes(
    small_disk: Path, tmp_path: Path, embedder: Embedder
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "access.toml").write_text(EVERYONE)
    for number in range(12):
        words = f"The heron of page {number} waits in shallow water. " * 60
        (files / f"{number:03}.md").write_text(f"# Page {number}\n\n{words}")
    settings = Settings(
        data_dir=tmp_path / "data", database_url=f"sqlite:///{small_disk / 'desk.sqlite'}"
    )
    database = Database(settings.database)
    migrate(database)
    index = EdgeIndex(tmp_path / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    other = Settings(data_dir=tmp_path / "other")
    durable = Durable(other, Database(other.database))
    ledger, directory = Ledger(database), Directory(database)
    sync = Sync(database, ledger, index, embedder, directory, durable, settings)
    connector = sync.add(None, "folder", "Files", {"path": str(files)})
    filler = small_disk / "filler"
    room = 12 * 1024 * 1024 - sum(file.stat().st_size for file in small_disk.iterdir())
    filler.write_bytes(b"x" * (room - 48 * 1024))
    sync._engine.stopping = FreesTheDisk(filler)
    run_id, _ = sync._runs.open(connector)
    sync.run(run_id)
    filler.unlink(missing_ok=True)
    run = sync.run_row(run_id)
    assert isinstance(run, SyncRunRow)
    assert run.status == "failed"
    assert run.error == "The disk of the database is full."
    assert "Free some space" in run.fix
    assert index.count() == count(database, ChunkRow)  # nothing half visible
    again = sync.run_once(connector)
    assert again.status == "finished"
    assert count(database, DocumentRow) == 12
    assert index.count() == count(database, ChunkRow)
    index.close()
    database.close()


@pytest.mark.parametrize("small_disk", ["400m"], indirect=True)
def test_a_full_disk_of_the_index_fails_the_run_in_words_and_old_documents_are_still_found(
    small_disk: Path, settings: Settings, database: Database, embedder: Embedder, tmp_path: Path,
    make_person: MakePerson,
) -> None:  # fmt: skip
    """The engine maps its files into memory: writing one page more than there is room for would end the process."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "access.toml").write_text(EVERYONE)
    (files / "herons.md").write_text("# Herons\n\nHerons wait in shallow water.")
    index = EdgeIndex(small_disk / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)

    def started() -> Sync:
        durable, directory = Durable(settings, database), Directory(database)
        return Sync(database, Ledger(database), index, embedder, directory, durable, settings)

    sync = started()
    connector = sync.add(None, "folder", "Files", {"path": str(files)})
    assert sync.run_once(connector).status == "finished"
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        while shutil.disk_usage(small_disk).free > 40 * 1024 * 1024:
            file.write(b"x" * 1024 * 1024)
            file.flush()

    (files / "otters.md").write_text("# Otters\n\nOtters sleep on their backs.")
    run = sync.run_once(connector)
    assert run.status == "failed"
    assert "The disk of the search index is nearly full" in run.error
    assert "Free some space" in run.fix
    search, ada = Search(database, index, embedder), make_person("Ada")
    before = search.search("herons in shallow water", None, ada, 6)
    # The new one is in the database, and not half visible.
    assert {passage.title for passage in before.passages} == {"Herons"}
    index.close()
    with pytest.raises(IndexUnavailable, match="needed to open it safely"):
        EdgeIndex(small_disk / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)

    filler.unlink()
    index = EdgeIndex(small_disk / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    assert not index.fresh
    assert started().run_once(connector).status == "finished"
    assert index.count() == count(database, ChunkRow)
    assert count(database, OutboxRow) == 0
    found = Search(database, index, embedder).search("otters sleep", None, ada, 6)
    assert "Otters" in {passage.title for passage in found.passages}
    index.close()


@pytest.mark.parametrize("small_disk", ["400m"], indirect=True)
def test_an_index_lost_on_a_full_disk_is_made_anew_once_there_is_room(
    small_disk: Path, settings: Settings, database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    """Room enough to open it and too little to fill it: the schedule's later turns try again."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "access.toml").write_text(EVERYONE)
    (files / "herons.md").write_text("# Herons\n\nHerons wait in shallow water.")

    def started(index: EdgeIndex) -> Sync:
        durable, directory = Durable(settings, database), Directory(database)
        return Sync(database, Ledger(database), index, embedder, directory, durable, settings)

    index = EdgeIndex(small_disk / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    sync = started(index)
    connector = sync.add(None, "folder", "Files", {"path": str(files)})
    sync.run_once(connector)
    sync.pause(None, connector)  # so that no turn starts a sync of its own
    index.close()
    shutil.rmtree(small_disk / "index")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (180 * 1024 * 1024))
    index = EdgeIndex(small_disk / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    sync = started(index)
    with pytest.raises(IndexUnavailable, match="nearly full"):
        sync.recover()
    with pytest.raises(IndexUnavailable, match="nearly full"):
        sync._turn()
    assert index.count() == 0
    filler.unlink()
    sync._turn()
    assert index.count() == count(database, ChunkRow) == 1
    index.close()


# --- Renames ---


def test_a_renamed_file_is_not_embedded_again_and_its_new_place_decides_who_reads_it(
    desk: Desk, make_person: MakePerson
) -> None:
    ada, hal = make_person("Ada"), make_person("Hal", groups=("hr",))
    desk.write("access.toml", EVERYONE)
    desk.write("hr/access.toml", '[access]\ngroups = ["hr"]\n')
    desk.write("open/pay.md", "# Pay\n\nThe pay of an otter is 61,000 euros.")
    desk.write("other.md", "# Other\n\nSomething else entirely.")
    desk.run()
    assert desk.titles("pay of an otter", ada) == {"Pay"}
    (desk.root / "open/pay.md").rename(desk.root / "hr/salaries.md")
    run = desk.run()
    assert (run.counts["added"], run.counts["removed"]) == (1, 1)
    assert desk.embedder.texts == []
    assert "Pay" not in desk.titles("pay of an otter", ada)
    assert desk.titles("pay of an otter", hal) == {"Pay"}
    consistent(desk)
    again = desk.find("pay of an otter", hal).passages[0]
    desk.write("hr/salaries.md", "# Pay\n\nThe pay of an otter is 61,000 euros.\n\nAnd fish.")
    desk.run()
    assert desk.embedder.texts  # a change of content is embedded as ever
    assert again.document_id == desk.find("pay of an otter", hal).passages[0].document_id
