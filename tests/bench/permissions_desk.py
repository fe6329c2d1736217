"""The product as the permissions benchmark runs it: tables, index, groups and search, filled and changed by its own code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from sqlalchemy import select
from sqlmodel import col

from app.db import Database, migrate
from app.db.tables import ConnectorRow, DocumentRow, PersonRow
from app.domain import EVERYONE, DataClass, Found, Person, Role, now
from app.identity.accounts import Accounts
from app.identity.groups import PROVIDER, Directory
from app.knowledge.embed import Embedder, Vector
from app.knowledge.index import EdgeIndex, IndexPoint, VectorIndex
from app.knowledge.ingest import Chunk, Parsed, Section, split
from app.knowledge.ingest.split import bm25_text, embedding_text
from app.knowledge.search import Relevance, Search
from app.knowledge.sync import store
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.permission import Permission
from app.records import Ledger
from connectors.contract import Access, Document
from tests.bench.permissions_own import Own
from tests.bench.permissions_rows import Rows, Text, Truth

CONNECTOR = "bench"
BATCH = 64
PASSAGES = 30
READER = Person("own", "own@people.test", "Own", Role.EMPLOYEE, "", frozenset({EVERYONE}))


@dataclass
class Desk:
    """Filtered search in one shared index, and beside it `own`: the same search over one person's documents alone."""

    database: Database
    index: EdgeIndex
    embedder: Embedder
    directory: Directory
    accounts: Accounts
    follower: Follower
    search: Search
    own: Own
    own_search: Search
    points: Sequence[IndexPoint]

    def person(self, person: str) -> Person:
        """As the product loads whoever asks, at each question."""
        found = self.accounts.person(person)
        assert found is not None, person
        return found

    def ask(self, text: str, vector: Vector, person: Person) -> Found:
        return self.search.search(text, vector, person, limit=PASSAGES)

    def ask_own(self, text: str, vector: Vector) -> Found:
        """Of the documents that `own` holds now."""
        return self.own_search.search(text, vector, READER, limit=PASSAGES)

    def set_readers(self, document: str, readers: frozenset[str]) -> None:
        """What a sync does when a source's permissions changed; the index follows later."""
        stored = select(col(DocumentRow.access_hash)).where(col(DocumentRow.id) == document)
        with self.database.write() as session:
            before = session.execute(stored).scalar_one()
            store.set_access(session, document, before, _permission(readers), now())

    def set_groups(self, truth: Truth) -> None:
        """What a sync of groups does: all memberships, then everybody's principals."""
        with self.database.write() as session:
            self.directory.replace_groups(session, PROVIDER, principals(truth))
            self.directory.expand_all(session)


@contextmanager
def opened(
    folder: Path, rows: Rows, embedder: Embedder, relevance: Relevance | None = None
) -> Iterator[Desk]:
    """Everything stored, split, embedded and indexed as the product does it. `relevance` replaces the product's floor."""
    with ExitStack() as stack:
        database = _database(folder / "shared.sqlite", stack)
        beside = _database(folder / "own.sqlite", stack)
        index = EdgeIndex(folder / "index", dimension=embedder.dimension, embedder=embedder.name)
        stack.callback(index.close)
        chunks = {text.id: _chunks(text) for text in rows.documents}
        points = _points(rows.documents, chunks, embedder)
        own = Own(points)
        directory = Directory(database)
        desk = Desk(
            database,
            index,
            embedder,
            directory,
            Accounts(database, Ledger(database), directory),
            Follower(database, index, embedder),
            Search(database, index, embedder, relevance=relevance),
            own,
            # A search asks its index for nothing else than `search`.
            Search(beside, cast(VectorIndex, own), embedder, relevance=relevance),
            points,
        )
        with database.write() as session:
            session.add_all(PersonRow(id=p, email=email(p), name=p) for p in rows.people)
        desk.set_groups(Truth.of(rows))
        _put(database, rows.documents, chunks, rows.readers)
        everyone = frozenset({EVERYONE})
        _put(beside, rows.documents, chunks, {t.id: everyone for t in rows.documents})
        desk.follower.follow({point.chunk_id: point.vector for point in points})
        yield desk


def _database(file: Path, stack: ExitStack) -> Database:
    database = Database(f"sqlite:///{file}")
    stack.callback(database.close)
    migrate(database)
    with database.write() as session:
        session.add(ConnectorRow(id=CONNECTOR, kind=CONNECTOR, name=CONNECTOR))
    return database


def _chunks(text: Text) -> list[Chunk]:
    return split(text.id, text.title, Parsed(text.title, (Section((), text.text),)))


def _points(
    texts: Sequence[Text], chunks: dict[str, list[Chunk]], embedder: Embedder
) -> list[IndexPoint]:
    pairs = [(text, chunk) for text in texts for chunk in chunks[text.id]]
    vectors: list[Vector] = []
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        made = embedder.documents([embedding_text(t.title, c.heading, c.text) for t, c in batch])
        vectors.extend(np.asarray(made))
        print(f"\r{start + len(batch)} of {len(pairs)} chunks embedded", end="", file=sys.stderr)
    print(file=sys.stderr)
    return [
        IndexPoint(
            chunk_id=chunk.id,
            document_id=text.id,
            connector_id=CONNECTOR,
            data_class=int(DataClass.INTERNAL),
            readers=frozenset(),
            vector=vector,
            words=bm25_text(text.title, chunk.heading, chunk.text),
        )
        for (text, chunk), vector in zip(pairs, vectors, strict=True)
    ]


def _put(
    database: Database,
    texts: Sequence[Text],
    chunks: dict[str, list[Chunk]],
    readers: Mapping[str, frozenset[str]],
) -> None:
    for start in range(0, len(texts), BATCH):
        with database.write() as session:
            for text in texts[start : start + BATCH]:
                content = text.text.encode()
                document = Document(
                    text.id, text.title, content, "text/plain", "1", Access(known=True)
                )
                item = store.Prepared(
                    document,
                    text.id,
                    text.title,
                    text.text,
                    chunks[text.id],
                    _permission(readers[text.id]),
                )
                store.put_document(session, CONNECTOR, item, now())


def _permission(readers: frozenset[str]) -> Permission:
    access = Access(
        known=True,
        everyone=EVERYONE in readers,
        users=frozenset(
            email(name.removeprefix("user:")) for name in readers if name.startswith("user:")
        ),
        groups=frozenset(
            name.removeprefix("group:") for name in readers if name.startswith("group:")
        ),
        company_groups=True,
    )
    return Permission.of(access, "internal", CONNECTOR)


def principals(truth: Truth) -> dict[str, list[str]]:
    """Groups and their members in the app's words."""
    return {group: [_principal(m) for m in members] for group, members in truth.members.items()}


def email(person: str) -> str:
    return (person if "@" in person else f"{person}@people.test").lower()


def _principal(name: str) -> str:
    """A member in the app's words."""
    if name.startswith("user:"):
        return f"user:{email(name.removeprefix('user:'))}"
    if name.startswith("group:"):
        return f"group:{PROVIDER}/{name.removeprefix('group:')}"
    return name
