"""One run at a time for a connector: opened, worked on, closed and recorded; picked up again after a crash."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import delete, select
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ConnectorRow, DocumentRow, SyncRunRow
from app.domain import Json
from app.errors import InputError, NotFound, SwitchboardError
from app.identity.groups import Directory
from app.knowledge.sync import store
from app.knowledge.sync.engine import REMOVE_AT_ONCE, Cancelled, Engine, Stopping
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import ACTIVE
from app.knowledge.sync.sources import Sources
from app.records import Ledger
from app.records.events import SyncDone
from connectors.contract import Capability, Connector, SourceFault

log = structlog.get_logger(__name__)
INTERRUPTED = ("Switchboard stopped during it.", "The next sync goes on where it stopped.")


class Runs:
    """The work behind `Sync`. Every method may be repeated after a crash."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        directory: Directory,
        sources: Sources,
        follower: Follower,
        engine: Engine,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._directory = directory
        self._sources = sources
        self._follower = follower
        self._engine = engine
        self._clock = clock
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def open(self, connector_id: str) -> tuple[str, bool]:
        """The id of the run under way, or of a new one; the second value says whether it is new.

        Raises NotFound, and InputError for a paused connector.
        """
        with self._database.write() as session:
            row = session.get(ConnectorRow, connector_id)
            if row is None or row.status == "deleting":
                raise NotFound("There is no such connector, or it is being removed.")
            if row.status == "paused":
                raise InputError(f"'{row.name}' is paused.", fix="Resume it first.")
            under_way = session.execute(
                select(col(SyncRunRow.id)).where(
                    col(SyncRunRow.connector_id) == connector_id,
                    col(SyncRunRow.status).in_(ACTIVE),
                )
            ).scalar()
            if under_way is not None:
                return under_way, False
            run = SyncRunRow(connector_id=connector_id, started_at=self._clock(), stage="Waiting")
            session.add(run)
            session.flush()
            return run.id, True

    def work(self, run_id: str, actor_id: str) -> None:
        """Does the work of a run. Harmless to repeat: a finished run is left alone, an interrupted one goes on."""
        with self._database.read() as session:
            run = session.get(SyncRunRow, run_id)
            row = session.get(ConnectorRow, run.connector_id) if run else None
        if run is None or row is None or run.status not in ACTIVE:
            return
        with self._busy[row.id]:
            if not self._begin(run_id):
                self.close(run_id, "cancelled", {}, actor_id=actor_id)
                return
            status, counts, error, fix = self._attempt(run_id, row)
            self.close(run_id, status, counts, error, fix, actor_id)

    def _attempt(self, run_id: str, row: ConnectorRow) -> tuple[str, Json | None, str, str]:
        """The run's status, counts (None: as the last batch wrote them), and an error with its way out."""
        try:
            connector = self._sources.connector(row.kind, row.settings)
            self._sync_groups(row.id, connector)
            return "finished", self._engine.run(run_id, row, connector), "", ""
        except Cancelled:
            return "cancelled", None, "", ""
        except Stopping:
            return "interrupted", None, *INTERRUPTED
        except (SourceFault, SwitchboardError) as error:
            return "failed", None, error.message, error.fix
        except Exception as error:
            # A connector is somebody's code: whatever it raises ends this run, in words, and nothing else.
            log.exception("sync broke", connector=row.id, run=run_id)
            cause = f"The connector broke ({type(error).__name__})."
            return "failed", None, cause, "The detail is in the log; tell the connector's author."

    def close(
        self,
        run_id: str,
        status: str,
        counts: Json | None,
        error: str = "",
        fix: str = "",
        actor_id: str = "system",
    ) -> None:
        """Ends the run, updates its connector and records it; `counts` None keeps what the last batch wrote."""
        with self._database.write() as session:
            run = session.get(SyncRunRow, run_id)
            row = session.get(ConnectorRow, run.connector_id) if run else None
            if run is None or row is None or run.status not in ACTIVE:
                return
            run.status, run.stage, run.finished_at = status, "", self._clock()
            run.error, run.fix = error, fix
            run.counts = run.counts if counts is None else counts
            if status == "finished":
                row.last_sync_at = run.finished_at
            if status in {"finished", "failed"} and row.status not in {"paused", "deleting"}:
                row.status = "active" if status == "finished" else "failing"
            self._ledger.append(
                session,
                SyncDone(
                    actor=actor_id,
                    subject=row.id,
                    run=run_id,
                    status=status,
                    counts=dict(run.counts),
                    error=error,
                ),
            )

    def remove(self, connector_id: str) -> None:
        """Takes everything a connector brought: documents in parts, then groups, then the row. Harmless to repeat."""
        with self._busy[connector_id]:
            while True:
                with self._database.write() as session:
                    part = session.execute(
                        select(col(DocumentRow.source_id), col(DocumentRow.id))
                        .where(col(DocumentRow.connector_id) == connector_id)
                        .limit(REMOVE_AT_ONCE)
                    ).all()
                    if part:
                        gone = {row.source_id: row.id for row in part}
                        store.remove_documents(session, connector_id, gone)
                self._follower.follow()
                if not part:
                    break
            with self._database.write() as session:
                self._directory.replace_groups(session, connector_id, {})
                self._directory.expand_all(session)
                session.execute(delete(ConnectorRow).where(col(ConnectorRow.id) == connector_id))

    def _begin(self, run_id: str) -> bool:
        with self._database.write() as session:
            run = session.get(SyncRunRow, run_id)
            row = session.get(ConnectorRow, run.connector_id) if run else None
            if run is None or row is None or row.status in {"paused", "deleting"}:
                return False
            if run.status not in {"queued", "running"}:
                return False
            run.status, run.stage = "running", "Starting"
            return True

    def _sync_groups(self, connector_id: str, connector: Connector) -> None:
        if Capability.GROUPS not in connector.capabilities:
            return
        groups = {
            name: frozenset(_member(connector_id, member) for member in members)
            for name, members in connector.groups().items()
        }
        with self._database.write() as session:
            self._directory.replace_groups(session, connector_id, groups)
            self._directory.expand_all(session)


def _member(connector_id: str, member: str) -> str:
    if member.startswith("group:"):
        return f"group:{connector_id}/{member.removeprefix('group:')}"
    return f"user:{member.strip().lower()}"
