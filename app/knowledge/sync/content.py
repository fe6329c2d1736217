"""One content run of one connector, from its listing to the index. Harmless to repeat and to cut off anywhere.

For each batch: parse and split what is new, embed it beside the batches before and after; then one transaction with documents,
readers, chunks, failures, outbox, checkpoint and progress; then the index follows. Unchanged content is neither parsed nor
embedded, a change of readers touches SQL and the index's copy only, a renamed document keeps its vectors, and what a listing
did not name goes only after that listing was complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import structlog
from sqlalchemy import select, update
from sqlmodel import col

from app.db.tables import ChunkRow, ConnectorRow
from app.db.types import new_id
from app.domain import Json
from app.errors import DocumentError
from app.knowledge.ingest import ParserProcess, split
from app.knowledge.ingest.split import embedding_text
from app.knowledge.sync.batch import Ahead, Batch, Known, Removals, read_known
from app.knowledge.sync.engine import Engine, Progress
from app.knowledge.sync.keeping import Keeper
from app.knowledge.sync.permission import Permission
from app.knowledge.sync.reuse import Reuse
from app.knowledge.sync.store import Prepared
from connectors.contract import (
    Access,
    Capability,
    Change,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Unchanged,
)

log = structlog.get_logger(__name__)
REMOVE_AT_ONCE = 200
REFETCH_AT_ONCE = 500


class ContentRun:
    """One run's memory: what is known, what was seen, what waits.

    `mode` is changes; full (everything is read, parsed and embedded anew); or refetch (the documents `ids` only).
    """

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        row: ConnectorRow,
        connector: Connector,
        progress: Progress,
        mode: str = "changes",
        ids: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._connector_id = row.id
        self._connector = connector
        self._progress = progress
        self._counts = progress.counts
        self._again = mode == "full"
        self._ids = ids if mode == "refetch" else ()
        self._batch = Batch()
        self._ahead = Ahead(engine.embedder)
        self._seen: set[str] = set()
        self._failed: set[str] = set()
        # A listing that resumes in its middle does not name what came before: it must not delete.
        self._whole = not row.checkpoint or bool(row.checkpoint.get("complete"))
        self._state: Mapping[str, object] = row.checkpoint.get("state", {})
        self._completed = False
        with engine.database.read() as session:
            self._known = read_known(session, row.id)
        self._reuse = Reuse(engine.database, engine.follower.index, self._known)
        self._removals = Removals(len(self._known), row.removal_share, row.removals_allowed)
        self._keeper = Keeper(engine, run_id, row.id, progress, self._known, again=self._again)

    def work(self) -> Json:
        """Returns the counts. Raises Cancelled, Stopping, TooManyRemovals, SourceFault, IndexUnavailable, or whatever the
        connector lets through."""
        self._counts["embedded"] += self._engine.follower.follow()
        with closing(self._ahead), ParserProcess(self._engine.parse_timeout_s) as parser:
            if self._ids:
                self._take_all(self._connector.refetch(list(self._ids)), parser)
            else:
                self._take_all(self._connector.changes(dict(self._state), self._versions()), parser)
            self._flush()
            counts = self._progress.finish()
            if not self._ids and not self._completed:
                self._compare_with_listing(parser)
                counts = self._progress.finish()
        return counts

    def _versions(self) -> dict[str, str]:
        if self._again:
            return {}
        return {source_id: known.version for source_id, known in self._known.items()}

    def _take_all(self, changes: Iterable[Change], parser: ParserProcess) -> None:
        iterator: Iterator[Change] = iter(changes)
        while True:
            with self._progress.stage("fetch"):
                change = next(iterator, None)
            if change is None:
                return
            self._take(change, parser)
            if self._batch.full:
                self._pass_on()

    def _take(self, change: Change, parser: ParserProcess) -> None:
        if not isinstance(change, Checkpoint) and (
            change.id in self._ahead.named or change.id in self._batch.named
        ):
            self._flush()  # two changes of one document keep their order
        match change:
            case Document():
                self._see(change.id)
                self._take_document(change, parser)
            case Unchanged():
                self._see(change.id)
                self._take_access(change.id, change.access, change.data_class)
            case Deletion():
                self._delete([change.id])
            case Failure():
                self._seen.add(change.id)
                self._fail(change)
            case Checkpoint():
                if not self._ids:
                    self._checkpoint(change)

    def _see(self, source_id: str) -> None:
        self._seen.add(source_id)
        self._counts["seen"] += 1

    def _take_document(self, document: Document, parser: ParserProcess) -> None:
        known = self._known.get(document.id)
        if known is not None and known.version == document.version and not self._again:
            self._take_access(document.id, document.access, document.data_class)
            return
        try:
            with self._progress.stage("parse"):
                item = self._prepare(document, known, parser)
        except DocumentError as error:
            if error.detail:
                log.info("document failed", connector=self._connector_id, detail=error.detail)
            self._fail(
                Failure(document.id, document.title or document.id, error.message, error.fix)
            )
            if known is not None:  # the last good text stays, under the readers of now
                self._take_access(document.id, document.access, document.data_class)
            return
        self._batch.documents.append(item)
        self._batch.bytes += len(item.text)

    def _prepare(self, document: Document, known: Known | None, parser: ParserProcess) -> Prepared:
        permission = self._permission(document.access, document.data_class)
        parsed = parser.parse(document.content, document.mime)
        title = document.title.strip() or parsed.title or _title(document.id)
        document_id = known.document_id if known else new_id("doc")
        chunks = split(document_id, title, parsed)
        ids = [chunk.id for chunk in chunks]
        present = self._present(ids) if known and not self._again else set()
        texts = {
            chunk.id: embedding_text(title, chunk.heading, chunk.text)
            for chunk in chunks
            if chunk.id not in present
        }
        reused = {} if known or self._again else self._reuse.vectors(document.version, texts)
        self._batch.vectors.update(reused)
        self._batch.embed.update((id, text) for id, text in texts.items() if id not in reused)
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
            permission = Permission.nobody()
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

    def _delete(self, source_ids: Sequence[str]) -> None:
        """Raises TooManyRemovals."""
        gone = [source_id for source_id in source_ids if source_id in self._known]
        self._removals.take(len(gone))
        self._batch.deletions.extend(source_ids)

    def _checkpoint(self, checkpoint: Checkpoint) -> None:
        self._flush()
        whole = checkpoint.complete and self._whole
        if whole:
            self._remove({*self._known} - self._seen)
        with self._engine.database.write() as session:
            self._progress.still_wanted(session)
            if whole:
                self._keeper.forget_failures_but(session, self._failed)
            stored = {"state": dict(checkpoint.state), "complete": checkpoint.complete}
            session.execute(
                update(ConnectorRow)
                .where(col(ConnectorRow.id) == self._connector_id)
                .values(checkpoint=stored)
            )
        if checkpoint.complete:
            self._completed = self._completed or whole
            self._whole = True
            self._seen.clear()
            self._failed.clear()

    def _remove(self, source_ids: set[str]) -> None:
        names = sorted(source_ids)
        self._removals.take(len(names))
        for start in range(0, len(names), REMOVE_AT_ONCE):
            self._batch.deletions.extend(names[start : start + REMOVE_AT_ONCE])
            self._flush()

    def _compare_with_listing(self, parser: ParserProcess) -> None:
        """A source that tells changes but not every deletion: its complete listing names what is still there."""
        if Capability.LISTING not in self._connector.capabilities:
            return
        listed: set[str] = set()
        for line in self._connector.list_ids():
            listed.add(line.id)
            if line.id in self._known:
                self._take_access(line.id, line.access, line.data_class)
            if self._batch.full:
                self._flush()
        self._flush()
        self._progress.finish()  # a listing that was cut off by a cancel is not complete
        self._remove({*self._known} - listed)
        with self._engine.database.write() as session:
            self._keeper.forget_failures_but(session, self._failed | listed)
        missing = sorted(listed - self._known.keys() - self._failed)[:REFETCH_AT_ONCE]
        if missing and Capability.REFETCH in self._connector.capabilities:
            self._take_all(
                (c for c in self._connector.refetch(missing) if not isinstance(c, Checkpoint)),
                parser,
            )
            self._flush()

    def _pass_on(self) -> None:
        """A full batch is embedded from now on; the one before it is stored meanwhile."""
        self._progress.go_on()
        batch, self._batch = self._batch, Batch()
        self._keep(self._ahead.put(batch))

    def _flush(self) -> None:
        """Stores all that waits."""
        self._pass_on()
        self._keep(self._ahead.take())

    def _keep(self, embedded: tuple[Batch, float] | None) -> None:
        if embedded is not None:
            batch, seconds = embedded
            self._progress.took("embed", seconds)
            self._keeper.keep(batch, self._failed)

    def _present(self, chunk_ids: list[str]) -> set[str]:
        with self._engine.database.read() as session:
            return set(
                session.execute(
                    select(col(ChunkRow.id)).where(col(ChunkRow.id).in_(chunk_ids))
                ).scalars()
            )


def _title(source_id: str) -> str:
    """`policies/travel-policy.md` is `Travel policy`."""
    name = source_id.rstrip("/").rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0] if "." in name.strip(".") else name
    words = stem.replace("-", " ").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or source_id
