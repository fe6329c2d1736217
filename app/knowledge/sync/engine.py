"""One sync of one connector, from its listing to the index. Harmless to repeat and to cut off anywhere.

For each batch: parse, split and embed what is new; then one transaction with documents, readers, chunks, failures, outbox,
checkpoint and progress; then the index follows. Unchanged content is neither parsed nor embedded, a change of readers
touches SQL and the index's copy only, and what a listing did not name goes only after that listing was complete.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ChunkRow, ConnectorRow, DocumentRow, SyncFailureRow, SyncRunRow
from app.db.types import new_id
from app.domain import Json, now
from app.errors import DocumentError
from app.knowledge.embed import Embedder, Vector
from app.knowledge.ingest import ParserProcess, split
from app.knowledge.ingest.split import embedding_text
from app.knowledge.sync import store
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.store import PIPELINE, Permission, Prepared
from connectors.contract import (
    Access,
    Change,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Unchanged,
)

log = structlog.get_logger(__name__)
BATCH_DOCUMENTS = 32
BATCH_CHUNKS = 96
BATCH_S = 2.0
REMOVE_AT_ONCE = 200
COUNTS = ("seen", "added", "changed", "access", "removed", "failed", "chunks", "embedded")


class Cancelled(Exception):
    """Somebody cancelled the run, paused the connector or is removing it."""


class Stopping(Exception):
    """Switchboard is being shut down; the run goes on at the next start."""


@dataclass(frozen=True, slots=True)
class Known:
    """A document as it is stored."""

    document_id: str
    version: str
    access_hash: str


@dataclass(slots=True)
class Batch:
    """Changes that wait for their transaction, and the vectors of their new chunks."""

    documents: list[Prepared] = field(default_factory=list)
    unchanged: list[tuple[str, Permission]] = field(default_factory=list)
    deletions: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
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
            len(self.documents) >= BATCH_DOCUMENTS
            or sum(len(item.chunks) for item in self.documents) >= BATCH_CHUNKS
            or time.monotonic() - self.since > BATCH_S
        )


class Engine:
    """What every run shares. `run` may be called for several connectors at once."""

    def __init__(
        self,
        database: Database,
        follower: Follower,
        embedder: Embedder,
        *,
        parse_timeout_s: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.database = database
        self.follower = follower
        self.embedder = embedder
        self.parse_timeout_s = parse_timeout_s
        self.clock = clock
        self.stopping = threading.Event()

    def run(self, run_id: str, row: ConnectorRow, connector: Connector) -> Json:
        """Returns the counts. Raises Cancelled, Stopping, SourceFault, IndexUnavailable, or whatever the connector lets through."""
        return Run(self, run_id, row, connector).work()


class Run:
    """One run's memory: what is known, what was seen, what waits."""

    def __init__(
        self, engine: Engine, run_id: str, row: ConnectorRow, connector: Connector
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._connector_id = row.id
        self._connector = connector
        self._counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._stage = "Listing"
        self._batch = Batch()
        self._seen: set[str] = set()
        self._failed: set[str] = set()
        # A listing that resumes in its middle does not name what came before: it must not delete.
        self._whole = not row.checkpoint or bool(row.checkpoint.get("complete"))
        self._state: Mapping[str, object] = row.checkpoint.get("state", {})
        self._known = self._read_known()
        self._polled = 0.0
        self._stop = False

    def work(self) -> Json:
        self._counts["embedded"] += self._engine.follower.follow()
        self._connector.context = Context(cancelled=self._cancelled, progress=self._progress)
        known = {source_id: known.version for source_id, known in self._known.items()}
        with ParserProcess(self._engine.parse_timeout_s) as parser:
            for change in self._connector.changes(dict(self._state), known):
                self._take(change, parser)
                if self._batch.full:
                    self._flush()
        self._flush()
        if self._cancelled():
            raise Cancelled
        return dict(self._counts)

    def _take(self, change: Change, parser: ParserProcess) -> None:
        if not isinstance(change, Checkpoint) and change.id in self._batch.named:
            self._flush()  # two changes of one document keep their order
        match change:
            case Document():
                self._see(change.id)
                self._take_document(change, parser)
            case Unchanged():
                self._see(change.id)
                self._take_access(change.id, change.access, change.data_class)
            case Deletion():
                self._batch.deletions.append(change.id)
            case Failure():
                self._seen.add(change.id)
                self._fail(change)
            case Checkpoint():
                self._checkpoint(change)

    def _see(self, source_id: str) -> None:
        self._seen.add(source_id)
        self._counts["seen"] += 1

    def _take_document(self, document: Document, parser: ParserProcess) -> None:
        known = self._known.get(document.id)
        if known is not None and known.version == document.version:
            self._take_access(document.id, document.access, document.data_class)
            return
        try:
            item = self._prepare(document, known, parser)
        except DocumentError as error:
            if error.detail:
                log.info("document failed", connector=self._connector_id, detail=error.detail)
            self._fail(Failure(document.id, _name(document), error.message, error.fix))
            if known is not None:  # the last good text stays, under the readers of now
                self._take_access(document.id, document.access, document.data_class)
            return
        self._batch.documents.append(item)

    def _prepare(self, document: Document, known: Known | None, parser: ParserProcess) -> Prepared:
        permission = self._permission(document.access, document.data_class)
        parsed = parser.parse(document.content, document.mime)
        title = document.title.strip() or parsed.title or _title(document.id)
        document_id = known.document_id if known else new_id("doc")
        chunks = split(document_id, title, parsed)
        present = self._present([chunk.id for chunk in chunks]) if known else set()
        new = [chunk for chunk in chunks if chunk.id not in present]
        texts = [embedding_text(title, chunk.heading, chunk.text) for chunk in new]
        vectors = self._engine.embedder.documents(texts)
        self._batch.vectors.update(
            (chunk.id, vector) for chunk, vector in zip(new, vectors, strict=True)
        )
        self._counts["embedded"] += len(new)
        return Prepared(document, document_id, title, parsed.text, chunks, permission)

    def _take_access(self, source_id: str, access: Access, data_class: str) -> None:
        if source_id not in self._known:
            cause = "The connector called it unchanged, but it was never sent."
            self._fail(Failure(source_id, source_id, cause, "Report it to the connector's author."))
            return
        try:
            permission = self._permission(access, data_class)
        except DocumentError as error:
            self._fail(Failure(source_id, source_id, error.message, error.fix))
            return
        self._batch.unchanged.append((source_id, permission))

    def _permission(self, access: Access, data_class: str) -> Permission:
        try:
            return Permission.of(access, data_class, self._connector_id)
        except ValueError as error:
            raise DocumentError(
                f"Its data class is wrong: {error}.", fix="Correct it at the source."
            ) from error

    def _fail(self, failure: Failure) -> None:
        self._failed.add(failure.id)
        self._batch.failures.append(failure)
        self._counts["failed"] += 1

    def _checkpoint(self, checkpoint: Checkpoint) -> None:
        self._flush()
        if checkpoint.complete and self._whole:
            self._remove_unseen()
        with self._engine.database.write() as session:
            self._still_wanted(session)
            if checkpoint.complete and self._whole:
                self._forget_old_failures(session)
            stored = {"state": dict(checkpoint.state), "complete": checkpoint.complete}
            session.execute(
                update(ConnectorRow)
                .where(col(ConnectorRow.id) == self._connector_id)
                .values(checkpoint=stored)
            )
        if checkpoint.complete:
            self._whole = True
            self._seen.clear()
            self._failed.clear()

    def _remove_unseen(self) -> None:
        gone = {s: k.document_id for s, k in self._known.items() if s not in self._seen}
        names = sorted(gone)
        for start in range(0, len(names), REMOVE_AT_ONCE):
            part = {name: gone[name] for name in names[start : start + REMOVE_AT_ONCE]}
            self._batch.deletions.extend(part)
            self._flush()

    def _flush(self) -> None:
        """Commits the batch, then lets the index follow."""
        if self._engine.stopping.is_set():
            raise Stopping
        batch, self._batch = self._batch, Batch()
        with self._engine.database.write() as session:
            self._still_wanted(session)
            self._store(session, batch)
            session.execute(
                update(SyncRunRow)
                .where(col(SyncRunRow.id) == self._run_id)
                .values(counts=dict(self._counts), stage=self._stage)
            )
        self._counts["embedded"] += self._engine.follower.follow(batch.vectors)

    def _store(self, session: Session, batch: Batch) -> None:
        at = self._engine.clock()
        for item in batch.documents:
            new = store.put_document(session, self._connector_id, item, at)
            self._counts["added" if new else "changed"] += 1
            self._counts["chunks"] += len(item.chunks)
            self._known[item.document.id] = Known(
                item.document_id, item.document.version, item.permission.hash
            )
        for source_id, permission in batch.unchanged:
            known = self._known[source_id]
            self._counts["access"] += store.set_access(
                session, known.document_id, known.access_hash, permission, at
            )
            self._known[source_id] = Known(known.document_id, known.version, permission.hash)
        store.forget_failure(
            session, self._connector_id, [s for s, _ in batch.unchanged if s not in self._failed]
        )
        gone = {s: self._known.pop(s).document_id for s in batch.deletions if s in self._known}
        if gone:
            store.remove_documents(session, self._connector_id, gone)
            self._counts["removed"] += len(gone)
        for failure in batch.failures:
            store.record_failure(session, self._connector_id, failure, at)

    def _forget_old_failures(self, session: Session) -> None:
        """Failures of what is no longer at the source, or no longer fails."""
        named = session.execute(
            select(col(SyncFailureRow.source_id)).where(
                col(SyncFailureRow.connector_id) == self._connector_id
            )
        ).scalars()
        store.forget_failure(session, self._connector_id, set(named) - self._failed)

    def _read_known(self) -> dict[str, Known]:
        """A version written by another pipeline counts as none, so that the document is sent again."""
        with self._engine.database.read() as session:
            rows = session.execute(
                select(
                    col(DocumentRow.source_id),
                    col(DocumentRow.id),
                    col(DocumentRow.content_hash),
                    col(DocumentRow.access_hash),
                ).where(col(DocumentRow.connector_id) == self._connector_id)
            ).all()
        prefix = f"{PIPELINE}:"
        return {
            source_id: Known(
                document_id, content[len(prefix) :] if content.startswith(prefix) else "", access
            )
            for source_id, document_id, content, access in rows
        }

    def _present(self, chunk_ids: list[str]) -> set[str]:
        with self._engine.database.read() as session:
            return set(
                session.execute(
                    select(col(ChunkRow.id)).where(col(ChunkRow.id).in_(chunk_ids))
                ).scalars()
            )

    def _still_wanted(self, session: Session) -> None:
        """Raises Cancelled inside the transaction, so that nothing is written after a cancel or a removal."""
        status = session.execute(
            select(col(SyncRunRow.status), col(ConnectorRow.status))
            .join(ConnectorRow, col(ConnectorRow.id) == col(SyncRunRow.connector_id))
            .where(col(SyncRunRow.id) == self._run_id)
        ).one_or_none()
        if status is None or status[0] != "running" or status[1] in {"deleting", "paused"}:
            self._stop = True
            raise Cancelled

    def _cancelled(self) -> bool:
        """Asked by the connector as often as it likes; looks once a second."""
        if self._engine.stopping.is_set():
            return True
        if not self._stop and time.monotonic() - self._polled > 1:
            self._polled = time.monotonic()
            try:
                with self._engine.database.read() as session:
                    self._still_wanted(session)
            except Cancelled:
                return True
        return self._stop

    def _progress(self, text: str, _done: int | None = None, _total: int | None = None) -> None:
        self._stage = text[:200]


def _name(document: Document) -> str:
    return document.title or document.id


def _title(source_id: str) -> str:
    """`policies/travel-policy.md` is `Travel policy`."""
    name = source_id.rstrip("/").rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0] if "." in name.strip(".") else name
    words = stem.replace("-", " ").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or source_id
