"""The index follows SQL: every change of documents leaves a row here in the same transaction, and goes once applied.

A row names a document (and chunk ids); what is done is read from SQL as it is now, so replaying a row, or rows out of order,
ends in the same index.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, func, insert, select
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ChunkRow, DocumentReaderRow, DocumentRow, OutboxRow
from app.knowledge.embed import Embedder, Vector
from app.knowledge.index import IndexPoint, VectorIndex
from app.knowledge.ingest.split import bm25_text, embedding_text

log = structlog.get_logger(__name__)
ROWS = 64
PUT, ACCESS, DELETE = "put", "access", "delete"


def note(session: Session, operation: str, document_id: str, chunk_ids: Iterable[str] = ()) -> None:
    """Leaves word for the index, in the caller's transaction."""
    session.execute(
        insert(OutboxRow),
        [{"operation": operation, "document_id": document_id, "chunk_ids": list(chunk_ids)}],
    )


@dataclass(frozen=True, slots=True)
class _Document:
    title: str
    connector_id: str
    data_class: int
    readers: frozenset[str]


class Follower:
    """Applies the outbox. One at a time in a process; vectors that the caller just made are not made again."""

    def __init__(self, database: Database, index: VectorIndex, embedder: Embedder) -> None:
        self._database = database
        self.index = index
        self._embedder = embedder
        self._one = threading.Lock()

    def follow(self, vectors: Mapping[str, Vector] | None = None) -> int:
        """Applies every row and returns how many chunks had to be embedded here. Raises IndexUnavailable; rows stay then."""
        embedded = 0
        with self._one:
            while rows := self._next():
                embedded += self._apply(rows, vectors or {})
                self.index.flush()
                with self._database.write() as session:
                    done = [row.seq for row in rows]
                    session.execute(delete(OutboxRow).where(col(OutboxRow.seq).in_(done)))
        return embedded

    def heal(self) -> int:
        """Follows, and puts everything again when the index does not hold what SQL does; returns the chunks embedded."""
        self.follow()
        if not self._differs():
            return 0
        with self._database.write() as session:
            ids: dict[str, list[str]] = {}
            for document_id, chunk_id in session.execute(
                select(col(ChunkRow.document_id), col(ChunkRow.id))
            ):
                ids.setdefault(document_id, []).append(chunk_id)
            for document_id, chunk_ids in ids.items():
                note(session, PUT, document_id, chunk_ids)
        return self.follow()

    def _differs(self) -> bool:
        """Compares while nothing is applied and nothing waits, so that a sync at work is no difference."""
        with self._one, self._database.read() as session:
            if session.execute(select(col(OutboxRow.seq)).limit(1)).first() is not None:
                return False
            stored = select(func.count()).select_from(ChunkRow)
            chunks = int(session.execute(stored).scalar_one())
            held = self.index.count()
        if held != chunks:
            log.warning("the index is rebuilt", held=held, stored=chunks)
        return held != chunks

    def _next(self) -> list[OutboxRow]:
        with self._database.read() as session:
            return list(
                session.execute(
                    select(OutboxRow).order_by(col(OutboxRow.seq)).limit(ROWS)
                ).scalars()
            )

    def _apply(self, rows: Sequence[OutboxRow], vectors: Mapping[str, Vector]) -> int:
        named = {chunk_id for row in rows for chunk_id in row.chunk_ids}
        with self._database.read() as session:
            chunks = _chunks(session, sorted(named))
            documents = _documents(session, sorted({row.document_id for row in rows}))
        wanted = {c for row in rows if row.operation == PUT for c in row.chunk_ids} & chunks.keys()
        embedded = self._put([chunks[chunk_id] for chunk_id in sorted(wanted)], documents, vectors)
        for document_id in dict.fromkeys(r.document_id for r in rows if r.operation == ACCESS):
            document = documents.get(document_id)
            if document is not None:
                self.index.set_access(document_id, document.readers, document.data_class)
        gone = {c for row in rows if row.operation == DELETE for c in row.chunk_ids} - chunks.keys()
        self.index.delete(sorted(gone))
        return embedded

    def _put(
        self,
        chunks: Sequence[ChunkRow],
        documents: Mapping[str, _Document],
        vectors: Mapping[str, Vector],
    ) -> int:
        known = [chunk for chunk in chunks if chunk.document_id in documents]
        missing = [chunk for chunk in known if chunk.id not in vectors]
        texts = [embedding_text(documents[c.document_id].title, c.heading, c.text) for c in missing]
        made = dict(
            zip((c.id for c in missing), self._embedder.documents(texts), strict=True)
            if missing
            else ()
        )
        points = []
        for chunk in known:
            document = documents[chunk.document_id]
            points.append(
                IndexPoint(
                    chunk_id=chunk.id,
                    document_id=chunk.document_id,
                    connector_id=document.connector_id,
                    data_class=document.data_class,
                    readers=document.readers,
                    vector=made[chunk.id] if chunk.id in made else vectors[chunk.id],
                    words=bm25_text(document.title, chunk.heading, chunk.text),
                )
            )
        self.index.upsert(points)
        return len(missing)


def _chunks(session: Session, ids: Sequence[str]) -> dict[str, ChunkRow]:
    found: dict[str, ChunkRow] = {}
    for start in range(0, len(ids), 500):
        rows = session.execute(
            select(ChunkRow).where(col(ChunkRow.id).in_(ids[start : start + 500]))
        ).scalars()
        found.update((row.id, row) for row in rows)
    return found


def _documents(session: Session, ids: Sequence[str]) -> dict[str, _Document]:
    """Readers are nobody's where they are not known."""
    readers: dict[str, set[str]] = {document_id: set() for document_id in ids}
    for document_id, principal in session.execute(
        select(col(DocumentReaderRow.document_id), col(DocumentReaderRow.principal)).where(
            col(DocumentReaderRow.document_id).in_(ids)
        )
    ):
        readers[document_id].add(principal)
    rows = session.execute(
        select(
            col(DocumentRow.id),
            col(DocumentRow.title),
            col(DocumentRow.connector_id),
            col(DocumentRow.data_class),
            col(DocumentRow.access_known),
        ).where(col(DocumentRow.id).in_(ids))
    )
    return {
        document_id: _Document(
            title,
            connector_id,
            data_class,
            frozenset(readers[document_id] if access_known else ()),
        )
        for document_id, title, connector_id, data_class, access_known in rows
    }
