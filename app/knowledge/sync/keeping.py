"""What a content run does with a batch that is embedded: one transaction, then the index follows."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set

from sqlalchemy import select
from sqlmodel import Session, col

from app.db.tables import SyncFailureRow
from app.knowledge.sync import store
from app.knowledge.sync.batch import Batch, Known
from app.knowledge.sync.engine import Engine, Progress
from app.knowledge.sync.permission import Permission

BETWEEN_S = 5.0


class Keeper:
    """Keeps `known`, the run's documents by their source id, in step with what it commits."""

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        connector_id: str,
        progress: Progress,
        known: dict[str, Known],
        *,
        again: bool,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._connector_id = connector_id
        self._progress = progress
        self._counts = progress.counts
        self._known = known
        self._again = again
        self._looked_between = time.monotonic()

    def keep(self, batch: Batch, failed: Set[str]) -> None:
        """Commits `batch` with the run's progress. `failed`: source ids whose failure stays on record.

        Raises Cancelled, Stopping, IndexUnavailable.
        """
        self._counts["embedded"] += len(batch.embed)
        with self._progress.stage("store"), self._engine.database.write() as session:
            self._progress.still_wanted(session)
            self._store(session, batch, failed)
            self._progress.write(session)
        with self._progress.stage("index"):
            self._counts["embedded"] += self._engine.follower.follow(batch.vectors)
        if time.monotonic() - self._looked_between > BETWEEN_S:
            self._engine.between(self._connector_id)
            self._looked_between = time.monotonic()

    def forget_failures_but(self, session: Session, kept: Set[str]) -> None:
        """Failures of what is no longer at the source, or no longer fails."""
        named = session.execute(
            select(col(SyncFailureRow.source_id)).where(
                col(SyncFailureRow.connector_id) == self._connector_id
            )
        ).scalars()
        store.forget_failure(session, self._connector_id, set(named) - kept)

    def _store(self, session: Session, batch: Batch, failed: Set[str]) -> None:
        at = self._engine.clock()
        permissions = [item.permission for item in batch.documents]
        permissions += [permission for _, permission in batch.unchanged]
        if audiences := {k: v for p in permissions for k, v in p.audiences.items()}:
            self._engine.directory.add_audiences(session, self._connector_id, audiences)
        for item in batch.documents:
            new = store.put_document(
                session, self._connector_id, item, at, run_id=self._run_id, again=self._again
            )
            self._counts["added" if new else "changed"] += 1
            self._counts["chunks"] += len(item.chunks)
            self._known[item.document.id] = Known(
                item.document_id, item.document.version, item.permission.hash
            )
        self._store_access(session, batch.unchanged, failed)
        gone = {s: self._known.pop(s).document_id for s in batch.deletions if s in self._known}
        if gone:
            store.remove_documents(session, self._connector_id, gone)
            self._counts["removed"] += len(gone)
        for failure in batch.failures:
            store.record_failure(session, self._connector_id, failure, at)

    def _store_access(
        self, session: Session, unchanged: Sequence[tuple[str, Permission]], failed: Set[str]
    ) -> None:
        """Compares with what is stored now: a permission run may have been here meanwhile."""
        at = self._engine.clock()
        wanted = {self._known[s].document_id: (s, p) for s, p in unchanged if s in self._known}
        stored = store.access_hashes(session, list(wanted))
        same = [d for d, before in stored.items() if before == wanted[d][1].hash]
        store.confirm_access(session, same, at)
        for document_id, before in stored.items():
            source_id, permission = wanted[document_id]
            if before != permission.hash:
                self._counts["access"] += store.set_access(
                    session, document_id, before, permission, at, run_id=self._run_id
                )
                version = self._known[source_id].version
                self._known[source_id] = Known(document_id, version, permission.hash)
        healed = [s for s, _ in unchanged if s not in failed]
        store.forget_failure(session, self._connector_id, healed)
