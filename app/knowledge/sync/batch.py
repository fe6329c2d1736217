"""What a content run knows and what waits for its next transaction."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlmodel import Session, col

from app.db.tables import DocumentRow
from app.knowledge.embed import Embedder, Vector
from app.knowledge.sync.permission import Permission
from app.knowledge.sync.store import PIPELINE, Prepared
from connectors.contract import Failure

DOCUMENTS = 64
CHUNKS = 128
BYTES = 16_000_000
"""Of text: what bounds the memory of a batch."""
WAIT_S = 2.0


class Cancelled(Exception):
    """Somebody cancelled the run, paused the connector or is removing it."""


class Stopping(Exception):
    """Switchboard is being shut down; the run goes on at the next start."""


class TooManyRemovals(Exception):
    """A run would remove more than its connector's share; nothing of it was removed."""

    def __init__(self, removed: int, documents: int) -> None:
        super().__init__(f"{removed} of {documents}")
        self.removed = removed
        self.documents = documents


@dataclass(frozen=True, slots=True)
class Known:
    """A document as it is stored."""

    document_id: str
    version: str
    access_hash: str


@dataclass(slots=True)
class Batch:
    documents: list[Prepared] = field(default_factory=list)
    embed: dict[str, str] = field(default_factory=dict)
    """Chunk id to the text that its vector is made of."""
    unchanged: list[tuple[str, Permission]] = field(default_factory=list)
    deletions: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
    bytes: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def named(self) -> set[str]:
        """Source ids in it."""
        return {
            *(item.document.id for item in self.documents),
            *(source_id for source_id, _ in self.unchanged),
            *self.deletions,
        }

    @property
    def full(self) -> bool:
        return (
            len(self.documents) >= DOCUMENTS
            or len(self.embed) >= CHUNKS
            or self.bytes >= BYTES
            or len(self.unchanged) >= 10 * DOCUMENTS
            or time.monotonic() - self.since > WAIT_S
        )


class Ahead:
    """Embeds one batch beside the parsing of the next and the storing of the one before."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embed-ahead")
        self._put: tuple[Batch, Future[float]] | None = None

    @property
    def named(self) -> set[str]:
        """Source ids in the batch that was put and not taken."""
        return self._put[0].named if self._put else set()

    def put(self, batch: Batch) -> tuple[Batch, float] | None:
        """Begins with `batch`; returns the batch before it, as `take` does."""
        future = self._pool.submit(self._embed, batch)
        before = self.take()
        self._put = batch, future
        return before

    def take(self) -> tuple[Batch, float] | None:
        """Waits for the batch that was put last; returns it with its vectors, and the seconds they took. None when it was
        taken already. Raises what the embedder raised."""
        put, self._put = self._put, None
        return (put[0], put[1].result()) if put else None

    def close(self) -> None:
        """Returns when nothing is being embedded; what waits is given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _embed(self, batch: Batch) -> float:
        start = time.perf_counter()
        vectors = self._embedder.documents(list(batch.embed.values()))
        batch.vectors.update(zip(batch.embed, vectors, strict=True))
        return time.perf_counter() - start


def read_known(session: Session, connector_id: str) -> dict[str, Known]:
    """A version written by another pipeline counts as none, so that the document is sent again."""
    rows = session.execute(
        select(
            col(DocumentRow.source_id),
            col(DocumentRow.id),
            col(DocumentRow.content_hash),
            col(DocumentRow.access_hash),
        ).where(col(DocumentRow.connector_id) == connector_id)
    ).all()
    prefix = f"{PIPELINE}:"
    return {
        source_id: Known(
            document_id, content[len(prefix) :] if content.startswith(prefix) else "", access
        )
        for source_id, document_id, content, access in rows
    }


class Removals:
    """The guard against mass deletion: a run may remove `share` of what there was, or what an admin allowed.

    A handful may always go (of 4 documents, 2 are half), but not the last of several: an empty source is a suspicious one.
    """

    ALWAYS = 10

    def __init__(self, documents: int, share: float, allowed: int) -> None:
        self._documents = documents
        handful = min(self.ALWAYS, documents - 1) if documents > 1 else 1
        self._limit = max(handful, int(documents * share), allowed)
        self._removed = 0

    def take(self, count: int) -> None:
        """Raises TooManyRemovals, before anything of this run's share is removed where it is asked for all at once."""
        if self._removed + count > self._limit:
            raise TooManyRemovals(self._removed + count, self._documents)
        self._removed += count
