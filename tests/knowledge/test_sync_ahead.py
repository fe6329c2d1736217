"""Embedding runs beside the reading of the next documents, and what it raises ends the run like anything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from app.db.tables import ChunkRow, DocumentRow, OutboxRow
from app.durable import Durable
from app.identity.groups import Directory
from app.knowledge.embed import Embedder, Vector
from app.knowledge.ingest import ParserProcess
from app.knowledge.ingest.parsed import Parsed
from app.knowledge.sync import Sync
from app.knowledge.sync.batch import DOCUMENTS
from app.knowledge.sync.sources import Sources
from app.settings import Settings
from connectors.contract import Access, Change, Checkpoint
from tests.conftest import MakePerson
from tests.knowledge.conftest import EVERYONE, Desk
from tests.knowledge.memory_source import TOKEN, WORLDS, MemorySource, World

MANY = DOCUMENTS * 2 + 5
EVERYBODY = Access(known=True, everyone=True)


@pytest.fixture
def many(desk: Desk) -> Desk:
    """More documents than two batches hold."""
    desk.write("access.toml", EVERYONE)
    for number in range(MANY):
        desk.write(f"{number:03}.md", f"# Page {number}\n\nThe otter of page {number} sleeps.")
    return desk


def count(desk: Desk, table: type) -> int:
    with desk.database.read() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


def test_the_next_documents_are_read_while_a_batch_is_embedded(
    many: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, beyond = [], threading.Event()
    parse, embed = ParserProcess.parse, many.embedder.documents

    def counted(parser: ParserProcess, content: bytes, mime: str) -> Parsed:
        parsed.append(mime)
        if len(parsed) > DOCUMENTS:
            beyond.set()
        return parse(parser, content, mime)

    def waiting(texts: Sequence[str]) -> Vector:
        assert beyond.wait(30), "nothing was read while the first batch waited for its vectors"
        return embed(texts)

    monkeypatch.setattr(ParserProcess, "parse", counted)
    monkeypatch.setattr(many.embedder, "documents", waiting)
    run = many.run()
    assert (run.status, run.counts["added"], run.counts["embedded"]) == ("finished", MANY, MANY)
    assert many.index.count() == count(many, ChunkRow) == MANY
    assert run.timings["embed"] > 0


def test_an_embedder_that_fails_ends_the_run_and_the_next_one_finishes(
    many: Desk, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, calls = many.embedder.documents, []

    def failing(texts: Sequence[str]) -> Vector:
        calls.append(len(texts))
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return embed(texts)

    monkeypatch.setattr(many.embedder, "documents", failing)
    run = many.run()
    assert run.status == "failed"
    assert run.error
    assert count(many, DocumentRow) == many.index.count() == DOCUMENTS  # what had its vectors
    assert count(many, OutboxRow) == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("embed-ahead")]
    again = many.run()
    assert (again.status, again.counts["added"]) == ("finished", MANY - DOCUMENTS)
    assert many.index.count() == count(many, ChunkRow) == MANY
    assert many.titles(f"otter of page {MANY - 1}", make_person("Ada"))


class Repeating(MemorySource):
    """Tells of one page twice in a listing, with more than a batch of others in between."""

    kind: ClassVar[str] = "repeating"

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        del checkpoint, known
        world = self._world("changes")
        world.put("leave", "The heron wakes.", EVERYBODY)
        yield self._change("leave")
        for number in range(DOCUMENTS + 3):
            world.put(f"page {number}", f"Page {number} sleeps.", EVERYBODY)
            yield self._change(f"page {number}")
        world.put("leave", "The beaver builds.", EVERYBODY)
        yield self._change("leave")
        yield Checkpoint({"log": len(world.log)})


def test_two_changes_of_one_document_keep_their_order_across_batches(
    desk: Desk, settings: Settings, embedder: Embedder
) -> None:
    WORLDS["twice"] = World()
    sources = Sources()
    sources.add("tests", Repeating)
    database = desk.database
    directory, durable = Directory(database), Durable(settings, database)
    sync = Sync(
        database, desk.ledger, desk.index, embedder, directory, durable, settings, sources=sources
    )
    secrets = {"token": TOKEN}
    connector = sync.add(None, "repeating", "Twice", {"world": "twice"}, secrets=secrets)
    run = sync.run_once(connector)
    del WORLDS["twice"]
    assert run.status == "finished"
    with database.read() as session:
        texts = session.execute(select(col(ChunkRow.text))).scalars().all()
    assert len(texts) == desk.index.count() == DOCUMENTS + 4
    assert [text for text in texts if "beaver" in text]
    assert not [text for text in texts if "heron" in text]
