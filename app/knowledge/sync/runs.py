"""One run at a time for a connector: opened, worked on, closed and recorded; picked up again after a crash."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow, DocumentRow, SyncRequestRow, SyncRunRow
from app.domain import Json
from app.errors import InputError, NotFound, SwitchboardError
from app.identity.groups import Directory
from app.knowledge.sync import clocks, machine, store
from app.knowledge.sync.access import GroupsRun, PermissionsRun
from app.knowledge.sync.batch import Cancelled, Stopping, TooManyRemovals
from app.knowledge.sync.clocks import ACTIVE, CONTENT, GROUPS
from app.knowledge.sync.content import REMOVE_AT_ONCE, ContentRun
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.engine import Engine, Progress
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import latest_runs
from app.knowledge.sync.sources import Sources
from app.knowledge.sync.workshop import Workshop
from app.records import Ledger
from app.records.events import SyncDone
from connectors import http
from connectors.contract import Connector, SourceFault

log = structlog.get_logger(__name__)
NEWS = ("access", "changed", "removed", "failed")
KEPT_RUNS = timedelta(days=14)
Result = TypeVar("Result")
INSIST_EVERY_S = 2.0
INTERRUPTED = ("Switchboard stopped during it.", "The next sync goes on where it stopped.")


class Runs:
    """The work behind `Sync`. Every method may be repeated after a crash."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        directory: Directory,
        sources: Sources,
        credentials: Credentials,
        follower: Follower,
        engine: Engine,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._directory = directory
        self._sources = sources
        self._credentials = credentials
        self._workshop = Workshop(sources, credentials, clock)
        self._follower = follower
        self._engine = engine
        self._clock = clock
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        engine.between = self._between

    def open(
        self, connector_id: str, scope: str = CONTENT, mode: str = "changes"
    ) -> tuple[str, bool]:
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
                    col(SyncRunRow.scope) == scope,
                    col(SyncRunRow.status).in_(ACTIVE),
                )
            ).scalar()
            if under_way is not None:
                return under_way, False
            run = SyncRunRow(
                connector_id=connector_id,
                scope=scope,
                mode=mode,
                started_at=self._clock(),
                stage="Waiting",
            )
            session.add(run)
            session.flush()
            return run.id, True

    def work(self, run_id: str, actor_id: str) -> None:
        """Does the work of a run. Harmless to repeat: a finished run is left alone, an interrupted one goes on."""
        run, row = self._read(run_id)
        if run is None or row is None or run.status not in ACTIVE:
            return
        with self._busy[row.id]:
            if not self._insist(lambda: self._begin(run_id)):
                self.close(run_id, "cancelled", {}, actor_id=actor_id)
                return
            if run.scope == CONTENT and run.mode != "refetch":
                self._inline(row.id, GROUPS)
            self._do(run_id, actor_id)

    def _do(self, run_id: str, actor_id: str) -> None:
        run, row = self._read(run_id)
        if run is None or row is None:
            return
        requested = self._requested(row.id, run.scope)
        status, counts, error, fix, detail = self._attempt(run, row, [r for _, r in requested])
        done = [seq for seq, _ in requested] if status == "finished" else []
        self._insist(
            lambda: self.close(
                run_id, status, counts, error, fix, actor_id, detail=detail, done=done
            )
        )

    def _insist(self, write: Callable[[], Result]) -> Result:
        """Repeats what tells how a run stands while the disk is full or the database away: otherwise the run would stand as
        running until the next start, which settles it too. Ends when Switchboard is being shut down."""
        while True:
            try:
                return write()
            except DBAPIError as error:
                if machine.told(error) is None or self._engine.stopping.wait(INSIST_EVERY_S):
                    raise

    def _attempt(
        self, run: SyncRunRow, row: ConnectorRow, requested: list[str]
    ) -> tuple[str, Json | None, str, str, str]:
        """Status, counts (None: as the last batch wrote them), an error with its way out, and detail."""
        progress = Progress(self._engine, run.id, row)
        try:
            with self._workshop.connector(
                row, cancelled=progress.cancelled, progress=progress.told
            ) as connector:
                return "finished", self._scope(run, row, connector, progress, requested), "", "", ""
        except (Cancelled, http.Cancelled):
            if self._engine.stopping.is_set():
                return "interrupted", None, *INTERRUPTED, ""
            return "cancelled", None, "", "", ""
        except Stopping:
            return "interrupted", None, *INTERRUPTED, ""
        except TooManyRemovals as held:
            return "held", None, *_held_words(held), ""
        except (SourceFault, SwitchboardError) as error:
            return "failed", None, error.message, error.fix, _cause(error)
        except Exception as error:
            if (words := machine.told(error)) is not None:
                log.exception("sync could not be stored", connector=row.id, run=run.id)
                return "failed", None, *words, type(error).__name__
            # A connector is somebody's code: whatever it raises ends this run, in words, and nothing else.
            log.exception("sync broke", connector=row.id, run=run.id)
            cause = f"The connector broke ({type(error).__name__})."
            fix = "The detail is in the log; tell the connector's author."
            return "failed", None, cause, fix, _place(error)

    def _scope(
        self,
        run: SyncRunRow,
        row: ConnectorRow,
        connector: Connector,
        progress: Progress,
        requested: list[str],
    ) -> Json:
        if run.scope == GROUPS:
            return GroupsRun(self._engine, row, connector, progress).work()
        if run.scope == clocks.PERMISSIONS:
            return PermissionsRun(self._engine, run.id, row, connector, progress).work()
        ids = sorted({source_id for source_id in requested if source_id})
        if run.mode == "refetch" and not ids:
            return progress.result()
        return ContentRun(self._engine, run.id, row, connector, progress, run.mode, ids).work()

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

    def remove(self, connector_id: str) -> None:
        """Takes everything a connector brought: documents in parts, then groups, secrets and the row. Harmless to repeat."""
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
                row = session.get(ConnectorRow, connector_id)
                credential_id = row.credential_id if row else None
                self._directory.replace_groups(session, connector_id, {})
                self._directory.forget_audiences(session, connector_id, set())
                self._directory.expand_all(session)
                session.execute(delete(ConnectorRow).where(col(ConnectorRow.id) == connector_id))
                self._credentials.remove_unused(session, credential_id)

    # Behind them

    def _read(self, run_id: str) -> tuple[SyncRunRow | None, ConnectorRow | None]:
        with self._database.read() as session:
            run = session.get(SyncRunRow, run_id)
            return run, session.get(ConnectorRow, run.connector_id) if run else None

    def _begin(self, run_id: str) -> bool:
        with self._database.write() as session:
            run = session.get(SyncRunRow, run_id)
            row = session.get(ConnectorRow, run.connector_id) if run else None
            if run is None or row is None or row.status in clocks.AT_REST:
                return False
            if run.status not in {"queued", "running"}:
                return False
            at = self._clock()
            if run.began_at is None:
                waited = max(0.0, (at - run.started_at).total_seconds())
                run.began_at, run.timings = at, {"queue": round(waited, 3)}
            run.status, run.stage = "running", "Starting"
            if run.mode == "full" and run.counts == {}:
                row.checkpoint = {}
                run.counts = {"seen": 0}
            return True

    def _requested(self, connector_id: str, scope: str) -> list[tuple[int, str]]:
        with self._database.read() as session:
            rows = session.execute(
                select(col(SyncRequestRow.seq), col(SyncRequestRow.source_id)).where(
                    col(SyncRequestRow.connector_id) == connector_id,
                    col(SyncRequestRow.scope) == scope,
                )
            )
            return [(row.seq or 0, row.source_id) for row in rows]

    def _between(self, connector_id: str) -> None:
        """In the middle of a long content run: permissions and groups whose clock has run out."""
        with self._database.read() as session:
            row = session.get(ConnectorRow, connector_id)
            runs = latest_runs(session, connector_id)
        if row is None:
            return
        for scope in clocks.scopes(self._sources.capabilities(row.kind, row.settings)):
            if clocks.due_between(row, scope, runs.get((connector_id, scope)), self._clock()):
                self._inline(connector_id, scope)

    def _inline(self, connector_id: str, scope: str) -> None:
        """A lighter run inside a content run, by the same thread; its failure is its own."""
        with self._database.read() as session:
            row = session.get(ConnectorRow, connector_id)
        capabilities = self._sources.capabilities(row.kind, row.settings) if row else frozenset()
        if scope not in clocks.scopes(capabilities):
            return
        try:
            run_id, new = self.open(connector_id, scope)
        except SwitchboardError:  # paused or removed meanwhile: the content run will see it
            return
        if new and self._begin(run_id):
            self._do(run_id, "system")


def _made_up_for(session: Session, connector_id: str, run: SyncRunRow) -> bool:
    """Whether content runs have confirmed every document's readers since this permissions run failed to."""
    if run.status != "failed":
        return False
    checked = col(DocumentRow.permissions_checked_at)
    unconfirmed = select(col(DocumentRow.id)).where(
        col(DocumentRow.connector_id) == connector_id, checked <= run.finished_at
    )
    return session.execute(unconfirmed.limit(1)).first() is None


def _held_words(held: TooManyRemovals) -> tuple[str, str]:
    return (
        f"It would remove {held.removed} of {held.documents} documents, more than this connector may at once.",
        "Look at the source. If they are really gone, choose 'Remove them'; otherwise correct it and sync again.",
    )


def _cause(error: BaseException) -> str:
    """Types only: what libraries write may repeat a secret."""
    cause = error.__cause__
    return f"{type(error).__name__} from {type(cause).__name__}" if cause else type(error).__name__


def _place(error: BaseException) -> str:
    """Where it broke, without what was passed there."""
    trace, lines = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines[-4:]))
