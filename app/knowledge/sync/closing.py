"""How a run is closed: in one transaction with the state of its connector and the requests it fulfilled, and recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow, DocumentRow, SyncRequestRow, SyncRunRow
from app.domain import Json
from app.knowledge.sync import clocks, store
from app.knowledge.sync.clocks import ACTIVE, CONTENT
from app.knowledge.sync.overview import latest_runs
from app.records import Ledger
from app.records.events import SyncDone

NEWS = ("access", "changed", "removed", "failed")
KEPT_RUNS = timedelta(days=14)


class Closer:
    """A run that is closed already is left alone."""

    def __init__(self, database: Database, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def close(
        self,
        run_id: str,
        status: str,
        counts: Json | None,
        error: str = "",
        fix: str = "",
        actor_id: str = "system",
        *,
        detail: str = "",
        done: list[int] | None = None,
    ) -> None:
        """Ends the run, updates its connector and records it; `counts` None keeps what the last batch wrote. `done` are the
        requests it fulfilled."""
        with self._database.write() as session:
            run = session.get(SyncRunRow, run_id)
            row = session.get(ConnectorRow, run.connector_id) if run else None
            if run is None or row is None or run.status not in ACTIVE:
                return
            run.status, run.stage, run.finished_at = status, "", self._clock()
            run.error, run.fix, run.detail = error, fix, detail
            run.counts = run.counts if counts is None else counts
            if done:
                session.execute(delete(SyncRequestRow).where(col(SyncRequestRow.seq).in_(done)))
            if status == "finished" and run.scope == CONTENT and run.mode != "refetch":
                row.last_sync_at = run.finished_at
                row.removals_allowed = 0
            session.flush()
            store.forget_old_changes(session, row.id)
            self._settle_status(session, row)
            if run.scope != CONTENT:
                self._forget_old_runs(session, run)
                if status == "finished" and not any(run.counts.get(k) for k in NEWS):
                    return  # every five minutes nothing new: the history has it, the log needs it not
            self._ledger.append(
                session,
                SyncDone(
                    actor=actor_id,
                    subject=row.id,
                    scope=run.scope,
                    run=run_id,
                    status=status,
                    counts={k: v for k, v in run.counts.items() if isinstance(v, int)},
                    error=error,
                ),
            )

    def _forget_old_runs(self, session: Session, run: SyncRunRow) -> None:
        session.execute(
            delete(SyncRunRow).where(
                col(SyncRunRow.connector_id) == run.connector_id,
                col(SyncRunRow.scope) == run.scope,
                col(SyncRunRow.started_at) < self._clock() - KEPT_RUNS,
            )
        )

    def _settle_status(self, session: Session, row: ConnectorRow) -> None:
        """A connector fails while the newest run of any of its clocks did."""
        if row.status in clocks.AT_REST:
            return
        newest = {
            scope: run
            for (owner, scope), run in latest_runs(session, row.id).items()
            if owner == row.id
        }
        permissions = newest.get(clocks.PERMISSIONS)
        if permissions and _made_up_for(session, row.id, permissions):
            del newest[clocks.PERMISSIONS]
        statuses = {run.status for run in newest.values()}
        if "held" in statuses:
            row.status = "held"
        elif "failed" in statuses:
            row.status = "failing"
        elif row.last_sync_at is not None:
            row.status = "active"


def _made_up_for(session: Session, connector_id: str, run: SyncRunRow) -> bool:
    """Whether content runs have confirmed every document's readers since this permissions run failed to."""
    if run.status != "failed":
        return False
    checked = col(DocumentRow.permissions_checked_at)
    unconfirmed = select(col(DocumentRow.id)).where(
        col(DocumentRow.connector_id) == connector_id, checked <= run.finished_at
    )
    return session.execute(unconfirmed.limit(1)).first() is None
