"""What may be used: one hybrid search in the index, re-checked in SQL before anything leaves this room.

The index answers with chunk ids and scores only. Everything shown (title, text, address, class) is read from SQL, and only
for documents that `app.access.readers.readable` lets this person read now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, Select, bindparam, select
from sqlmodel import Session, col

from app.access.readers import readable
from app.db.engine import Database
from app.db.tables import ChunkRow, DocumentRow
from app.domain import AccessBasis, DataClass, Found, Passage, Person, now
from app.knowledge.embed import Embedder
from app.knowledge.index import Hit, Readers, VectorIndex, fuse_again

CANDIDATES = 50
DEFAULT_LIMIT = 6


CHECKED_FIRST = 24
SOFT_CAP = 3


@dataclass(frozen=True, slots=True)
class Relevance:
    """When a hit is worth showing, so that nonsense and small talk find nothing. Cosines of the MiniLM embedder.

    A hit counts when it is near in meaning (`alone`), or nearly so (`with_words`) and shares words with the question.
    Hits whose fused score lies more than `gap` below the best go too.
    """

    alone: float = 0.30
    with_words: float = 0.20
    gap: float = 0.45

    def among(self, hits: Sequence[Hit]) -> list[Hit]:
        return [hit for hit in hits if self._near(hit) and hit.score >= hits[0].score - self.gap]

    def _near(self, hit: Hit) -> bool:
        if hit.dense is None:
            return hit.sparse > 0
        return hit.dense >= (self.with_words if hit.sparse > 0 else self.alone)


class Search:
    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        embedder: Embedder,
        *,
        relevance: Relevance | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._index = index
        self._embedder = embedder
        self._relevance = relevance or Relevance()
        self._clock = clock

    def search(
        self,
        text: str,
        vector: NDArray[np.float32] | None,
        person: Person,
        limit: int = DEFAULT_LIMIT,
    ) -> Found:
        """At most `limit` passages that `person` may read now, best first; none when nothing is near enough.

        `vector` is the embedder's vector of `text`, made here when None. Raises IndexUnavailable.
        """
        if not text.strip() or not person.principals:
            return Found()
        if vector is None:
            vector = self._embedder.query(text)
        hits = self._index.search(vector, text, Readers.of(person), CANDIDATES)
        relevant = self._relevance.among(hits)
        if not relevant:
            return Found()
        with self._database.read() as session:
            checked = self._check(session, person, relevant[: max(CHECKED_FIRST, limit)])
            withheld = checked.withheld
            if checked.stale:
                # Hidden or deleted chunks took part in ranking the visible ones: rank again without them.
                checked = self._check(session, person, hits)
                withheld = sum(checked.hidden(hit) for hit in relevant)
                permitted = [hit for hit in hits if checked.permits(hit)]
                relevant = self._relevance.among(fuse_again(permitted))
        passages = tuple(checked.passage(hit) for hit in _spread(relevant, checked, limit))
        return Found(passages, withheld, len({passage.document_id for passage in passages}))

    def _check(self, session: Session, person: Person, hits: Sequence[Hit]) -> _Checked:
        """Two statements: the chunks with their documents, and who may read those."""
        rows = session.execute(_chunks(), {"ids": [hit.chunk_id for hit in hits]}).all()
        documents = {row.document_id for row in rows}
        basis = readable(session, person, documents, now=self._clock())
        return _Checked({row.chunk_id: row for row in rows}, basis, len(hits))


@dataclass(frozen=True, slots=True)
class _Checked:
    """Chunks as SQL has them now, and on what permission each readable document rests."""

    rows: Mapping[str, Row[Any]]
    basis: Mapping[str, AccessBasis]
    asked: int

    @property
    def withheld(self) -> int:
        return sum(row.document_id not in self.basis for row in self.rows.values())

    @property
    def stale(self) -> bool:
        """The index named a chunk that this person may not read, or that is gone."""
        return len(self.rows) < self.asked or self.withheld > 0

    def permits(self, hit: Hit) -> bool:
        row = self.rows.get(hit.chunk_id)
        return row is not None and row.document_id in self.basis

    def hidden(self, hit: Hit) -> bool:
        row = self.rows.get(hit.chunk_id)
        return row is not None and row.document_id not in self.basis

    def passage(self, hit: Hit) -> Passage:
        row = self.rows[hit.chunk_id]
        return Passage(
            chunk_id=row.chunk_id,
            document_id=row.document_id,
            connector_id=row.connector_id,
            title=row.title,
            heading=row.heading,
            text=row.text,
            url=row.url,
            space=row.space,
            data_class=DataClass(row.data_class),
            score=round(hit.score, 4),
            basis=self.basis[row.document_id],
            synced_at=row.synced_at,
        )


def _spread(hits: Sequence[Hit], checked: _Checked, limit: int) -> list[Hit]:
    """The best `limit` permitted hits in order, at most `SOFT_CAP` from one document unless places would stay empty."""
    taken: list[Hit] = []
    over: list[Hit] = []
    per_document: Counter[str] = Counter()
    for hit in hits:
        if len(taken) == limit:
            break
        if not checked.permits(hit):
            continue
        document_id = checked.rows[hit.chunk_id].document_id
        per_document[document_id] += 1
        (taken if per_document[document_id] <= SOFT_CAP else over).append(hit)
    chosen = taken + over[: limit - len(taken)]
    return sorted(chosen, key=lambda hit: (-hit.score, hit.chunk_id))


@lru_cache(maxsize=1)
def _chunks() -> Select[*tuple[Any, ...]]:
    return (
        select(
            col(ChunkRow.id).label("chunk_id"),
            col(ChunkRow.document_id),
            col(ChunkRow.heading),
            col(ChunkRow.text),
            col(DocumentRow.connector_id),
            col(DocumentRow.title),
            col(DocumentRow.url),
            col(DocumentRow.space),
            col(DocumentRow.data_class),
            col(DocumentRow.synced_at),
        )
        .join(DocumentRow, col(DocumentRow.id) == col(ChunkRow.document_id))
        .where(col(ChunkRow.id).in_(bindparam("ids", expanding=True)))
    )
