"""Property: over random nested groups, documents and people, with permissions changing between questions and the index
lagging behind, nobody ever gets a passage, title, citation, count or document that a brute-force oracle denies them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlmodel import col

from app.db import Database, migrate
from app.db.tables import ConnectorRow, DocumentRow, PersonPrincipalRow, PersonRow
from app.domain import EVERYONE, DataClass, Person, Role, now
from app.errors import NotFound, Withheld
from app.identity.groups import Directory
from app.knowledge.cite import cite
from app.knowledge.documents import SILENCE, Documents
from app.knowledge.embed import Embedder, Vector
from app.knowledge.index import EdgeIndex, IndexPoint, Readers
from app.knowledge.ingest import Chunk
from app.knowledge.ingest.split import bm25_text, embedding_text
from app.knowledge.search import Relevance, Search
from app.knowledge.sync import overview, store
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.permission import Permission
from app.records import Ledger
from connectors.contract import Access, Document

TOPICS = ("salary", "holiday", "travel", "laptop", "customer", "incident", "budget", "training")
PEOPLE = [f"p{i}@example.test" for i in range(6)]
GROUPS = [f"g{i}" for i in range(8)]
DOCUMENTS = 24
STEPS = 10
QUESTIONS = ("What is the salary and travel budget?", "customer incident", "holiday training")
ALL = Relevance(near=-1.0, far=-1.0, gap=9.0)


@dataclass
class World:
    """The truth as plain sets, and the product beside it."""

    rng: random.Random
    database: Database
    index: EdgeIndex
    embedder: Embedder
    vectors: dict[str, Vector]
    members: dict[str, set[str]] = field(default_factory=dict)
    readers: dict[str, Access] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    deleting: bool = False

    def __post_init__(self) -> None:
        self.follower = Follower(self.database, self.index, self.embedder)
        self.directory = Directory(self.database)
        self.search = Search(self.database, self.index, self.embedder, relevance=ALL)
        self.documents = Documents(self.database, Ledger(self.database))
        with self.database.write() as session:
            session.add(ConnectorRow(id="con", kind="test", name="test"))
            session.add_all(PersonRow(id=email, email=email, name=email) for email in PEOPLE)
        self.change_groups()
        for number in range(DOCUMENTS):
            self.put(f"doc{number}")
        self.follower.follow(self.vectors)

    # What changes

    def change_groups(self) -> None:
        for group in self.rng.sample(GROUPS, 4):
            people = {f"user:{e}" for e in self.rng.sample(PEOPLE, self.rng.randint(0, 2))}
            nested = {f"group:idp/{g}" for g in self.rng.sample(GROUPS, self.rng.randint(0, 2))}
            self.members[group] = people | nested
        with self.database.write() as session:
            self.directory.replace_groups(session, "idp", self.members)
            self.directory.expand_all(session)

    def access(self) -> Access:
        kind = self.rng.random()
        if kind < 0.15:
            return Access.nobody()
        return Access(
            known=True,
            everyone=kind < 0.3,
            users=frozenset(self.rng.sample(PEOPLE, self.rng.randint(0, 2))),
            groups=frozenset(self.rng.sample(GROUPS, self.rng.randint(0, 2))),
            company_groups=True,
        )

    def put(self, document_id: str) -> None:
        self.readers[document_id] = access = self.access()
        self.stale.discard(document_id)
        text = f"About {' and '.join(self.rng.sample(TOPICS, 3))}, known to {document_id}."
        chunk = Chunk(_uuid(self.rng), 0, "", text)
        title = f"Title of {document_id}"
        self.vectors[chunk.id] = self.embedder.documents([embedding_text(title, "", text)])[0]
        document = Document(document_id, title, text.encode(), "text/plain", text, access)
        permission = Permission.of(access, "internal", "con")
        item = store.Prepared(document, document_id, title, text, [chunk], permission)
        with self.database.write() as session:
            store.put_document(session, "con", item, now())

    def change_readers(self, document_id: str) -> None:
        self.readers[document_id] = access = self.access()
        self.stale.discard(document_id)
        permission = Permission.of(access, "internal", "con")
        with self.database.write() as session:
            store.set_access(session, document_id, "", permission, now())

    def remove(self, document_id: str) -> None:
        del self.readers[document_id]
        with self.database.write() as session:
            store.remove_documents(session, "con", {document_id: document_id})

    def age(self, document_id: str) -> None:
        self.stale.add(document_id)
        with self.database.write() as session:
            session.execute(
                update(DocumentRow)
                .where(col(DocumentRow.id) == document_id)
                .values(permissions_checked_at=now() - timedelta(days=2))
            )

    def toggle_removal(self) -> None:
        self.deleting = not self.deleting
        with self.database.write() as session:
            status = "deleting" if self.deleting else "active"
            session.execute(update(ConnectorRow).values(status=status))

    def step(self) -> None:
        present = sorted(self.readers)
        some = self.rng.choice(present)
        move = self.rng.choices(
            ["groups", "readers", "put", "remove", "age", "removal"], [3, 5, 2, 1, 1, 1]
        )[0]
        if move == "groups":
            self.change_groups()
        elif move == "readers":
            for document_id in self.rng.sample(present, min(4, len(present))):
                self.change_readers(document_id)
        elif move == "put":
            self.put(some)
        elif move == "remove" and len(present) > 8:
            self.remove(some)
        elif move == "age":
            self.age(some)
        elif move == "removal" and self.rng.random() < 0.4:
            self.toggle_removal()

    # What is true

    def belongs(self, email: str, group: str, seen: frozenset[str] = frozenset()) -> bool:
        if group in seen:
            return False
        members = self.members.get(group, set())
        return f"user:{email}" in members or any(
            self.belongs(email, member.removeprefix("group:idp/"), seen | {group})
            for member in members
            if member.startswith("group:")
        )

    def may_read(self, email: str, document_id: str) -> bool:
        access = self.readers.get(document_id)
        if access is None or not access.known or self.deleting or document_id in self.stale:
            return False
        return (
            access.everyone
            or email in access.users
            or any(self.belongs(email, group) for group in access.groups)
        )

    def person(self, email: str) -> Person:
        with self.database.read() as session:
            principals = frozenset(
                session.execute(
                    select(col(PersonPrincipalRow.principal)).where(
                        col(PersonPrincipalRow.person_id) == email
                    )
                ).scalars()
            )
        return Person(email, email, email, Role.EMPLOYEE, "", principals)

    # What is promised

    def check(self, email: str) -> None:
        person = self.person(email)
        permitted = {d for d in self.readers if self.may_read(email, d)}
        for question in QUESTIONS:
            found = self.search.search(question, None, person, limit=50)
            seen = {passage.document_id for passage in found.passages}
            assert seen <= permitted
            assert found.sources == len(seen)
            for passage in found.passages:
                assert passage.title == f"Title of {passage.document_id}"
                assert passage.text.endswith(f"known to {passage.document_id}.")
                assert passage.basis.principal in person.principals
            marks = "".join(f"[{n}]" for n in range(1, 60))
            cited = {c.passage.document_id for c in cite(marks, found.passages).citations}
            assert cited <= permitted
        with self.database.read() as session:
            previews = overview.preview(session, person, now())
        assert {p.document_id for p in previews if p.basis is not None} == permitted
        for document_id in [*sorted(self.readers)[:6], "doc_that_never_was"]:
            if document_id in permitted:
                assert self.documents.open(person, document_id).basis.principal in person.principals
            else:
                with pytest.raises((NotFound, Withheld)) as refusal:
                    self.documents.open(person, document_id)
                assert refusal.value.message == SILENCE
                assert document_id not in str(refusal.value)

    def check_equal_to_own_index(self, email: str, folder: Path) -> None:
        """With the index up to date, every ranking is the one that an index of this person's documents alone gives."""
        person = self.person(email)
        permitted = {d for d in self.readers if self.may_read(email, d)}
        own = EdgeIndex(folder, dimension=self.embedder.dimension, embedder="own")
        points = [p for p in self.points() if p.document_id in permitted]
        own.upsert([replace(point, readers=frozenset({EVERYONE})) for point in points])
        alone = Readers(frozenset({EVERYONE}))
        try:
            for question in QUESTIONS:
                vector = self.embedder.query(question)
                there = own.search(vector, question, alone, 50)
                here = self.index.search(vector, question, Readers.of(person), 50)
                if not self.stale and not self.deleting:
                    assert [hit.chunk_id for hit in here] == [hit.chunk_id for hit in there]
                    assert np.allclose([h.score for h in here], [h.score for h in there], atol=1e-5)
                found = self.search.search(question, vector, person, limit=50)
                assert {p.chunk_id for p in found.passages} == {hit.chunk_id for hit in there}
                exact = sorted(points, key=lambda p: (-float(p.vector @ vector), p.chunk_id))
                nearest = sorted(
                    (hit for hit in there if hit.dense is not None),
                    key=lambda hit: (-float(hit.dense or 0), hit.chunk_id),
                )
                assert [hit.chunk_id for hit in nearest[:10]] == [p.chunk_id for p in exact[:10]]
        finally:
            own.close()

    def points(self) -> Iterator[IndexPoint]:
        from app.db.tables import ChunkRow

        with self.database.read() as session:
            rows = session.execute(
                select(ChunkRow, DocumentRow).join(
                    DocumentRow, col(DocumentRow.id) == col(ChunkRow.document_id)
                )
            ).all()
        for chunk, document in rows:
            words = bm25_text(document.title, chunk.heading, chunk.text)
            vector = self.vectors[chunk.id]
            internal = int(DataClass.INTERNAL)
            yield IndexPoint(chunk.id, document.id, "con", internal, frozenset(), vector, words)


def _uuid(rng: random.Random) -> str:
    import uuid

    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nobody_ever_sees_what_they_may_not(
    seed: int, tmp_path_factory: pytest.TempPathFactory, embedder: Embedder
) -> None:
    folder = tmp_path_factory.mktemp("world")
    database = Database(f"sqlite:///{folder / 'test.sqlite'}")
    migrate(database)
    index = EdgeIndex(folder / "index", dimension=embedder.dimension, embedder=embedder.name)
    try:
        world = World(random.Random(seed), database, index, embedder, {})
        for number in range(STEPS):
            world.step()
            for email in world.rng.sample(PEOPLE, 3):
                world.check(email)
            if number % 3 == 2:
                world.follower.follow(world.vectors)
                world.check(world.rng.choice(PEOPLE))
        world.follower.follow(world.vectors)
        for number, email in enumerate(world.rng.sample(PEOPLE, 3)):
            world.check(email)
            world.check_equal_to_own_index(email, folder / f"own{number}")
    finally:
        index.close()
        database.close()
