"""What may be used: one hybrid search in the index, re-checked in SQL before anything leaves this room.

The index answers with chunk ids and scores only. Everything shown (title, text, address, class) is read from SQL, and only
for documents that `app.access.readers.readable` lets this person read now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, Select, bindparam, select
from sqlmodel import Session, col

from app.access.readers import readable
from app.db.engine import Database
from app.db.tables import ChunkRow, DocumentRow
from app.domain import AccessBasis, DataClass, Found, Passage, Person, now
from app.knowledge.embed import Embedder
from app.knowledge.index import Hit, Readers, VectorIndex, Words, fuse_again

CANDIDATES = 50
DEFAULT_LIMIT = 6


CHECKED_FIRST = 24
SOFT_CAP = 3


LOOKUP_WORDS = 5


class LiveReaders(Protocol):
    """Sources that can be asked now."""

    def denied(self, person: Person, document_ids: Iterable[str]) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Relevance:
    """When a hit is worth showing, so that nonsense finds nothing. Cosines of the MiniLM embedder.

    On two handbooks the nearest chunk of 29 fitting questions had a cosine of .33 to .82, that of 24 unfitting ones .11 to
    .32. So a question must come `near` to something. Then a hit counts when it is near itself, or has words in common and
    is not `far`; hits whose fused score lies more than `gap` below the best go too.
    """

    near: float = 0.33
    far: float = 0.22
    gap: float = 0.45

    def among(self, hits: Sequence[Hit]) -> list[Hit]:
        cosines = [hit.dense for hit in hits if hit.dense is not None]
        if not cosines or max(cosines) < self.near:
            return []
        unseen = min(
            cosines
        )  # what is not among the nearest cannot be nearer than the last of them
        return [
            hit
            for hit in hits
            if (unseen if hit.dense is None else hit.dense)
            >= (self.far if hit.sparse else self.near)
            and hit.score >= hits[0].score - self.gap
        ]


class Search:
    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        embedder: Embedder,
        *,
        relevance: Relevance | None = None,
        live: LiveReaders | None = None,
        first_sync: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._index = index
        self._embedder = embedder
        self._relevance = relevance or Relevance()
        self._words = Words()
        self._live = live
        self._first_sync = first_sync
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
        # Asked before the index: what is stored in between is found, or is told to be missing.
        first_sync = self._first_sync()
        return replace(self._found(text, vector, person, limit), first_sync=first_sync)

    def _found(self, text: str, vector: NDArray[np.float32], person: Person, limit: int) -> Found:
        hits = self._index.search(vector, text, Readers.of(person), CANDIDATES)
        first, lookup = self._relevant(hits, text)
        first = first[: max(CHECKED_FIRST, limit)]
        if not first:
            return Found()
        with self._database.read() as session:
            checked = self._check(session, person, first)
            withheld = checked.withheld
            if checked.stale:
                # Hidden or deleted chunks took part in ranking the visible ones: rank again without them.
                checked = self._check(session, person, hits)
                withheld = sum(checked.hidden(hit) for hit in first)
                visible = fuse_again([hit for hit in hits if checked.permits(hit)])
                first, lookup = self._relevant(visible, text)
        if lookup:
            first = [hit for hit in first if self._has_every_word(checked, hit, text)]
        passages, denied = self._confirmed(person, first, checked, limit)
        withheld += denied
        return Found(passages, withheld, len({passage.document_id for passage in passages}))

    def _relevant(self, hits: Sequence[Hit], text: str) -> tuple[list[Hit], bool]:
        """Hits near enough, best first. Of a few words that are near to nothing, such as a name or a number, the hits that
        share words; the second value is True then, and only those with every word count."""
        relevant = self._relevance.among(hits)
        if relevant or len(self._words.query(text)[0]) > LOOKUP_WORDS:
            return relevant, False
        return sorted((hit for hit in hits if hit.sparse), key=lambda hit: -hit.sparse), True

    def _confirmed(
        self, person: Person, hits: Sequence[Hit], checked: _Checked, limit: int
    ) -> tuple[tuple[Passage, ...], int]:
        """The passages to show, and how many hits their sources denied when they were asked just now."""
        chosen = _spread(hits, checked, limit)
        if self._live is None or not chosen:
            return tuple(checked.passage(hit) for hit in chosen), 0
        # Asked once, with a few in reserve: another round would spend the budget twice.
        reserve = _spread(hits, checked, 2 * limit)
        documents = {checked.rows[hit.chunk_id].document_id for hit in [*chosen, *reserve]}
        denied = self._live.denied(person, documents)
        if not denied:
            return tuple(checked.passage(hit) for hit in chosen), 0
        kept = [h for h in hits if checked.rows[h.chunk_id].document_id in documents - denied]
        left = len([h for h in chosen if checked.rows[h.chunk_id].document_id in denied])
        return tuple(checked.passage(hit) for hit in _spread(kept, checked, limit)), left

    def _has_every_word(self, checked: _Checked, hit: Hit, text: str) -> bool:
        row = checked.rows[hit.chunk_id]
        there = self._words.document(f"{row.title}\n{row.heading}\n{row.text}")[0]
        return set(self._words.query(text)[0]) <= set(there)

    def _check(self, session: Session, person: Person, hits: Sequence[Hit]) -> _Checked:
        """Two statements: the chunks with their documents, and who may read those."""
        wanted = {"ids": [hit.chunk_id for hit in hits]}
        rows = session.connection().execute(_chunks(), wanted).all()
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
