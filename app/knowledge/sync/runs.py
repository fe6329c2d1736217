"""One run at a time for a connector: opened, worked on and closed; picked up again after a crash."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ConnectorRow, DocumentRow, SyncRequestRow, SyncRunRow
from app.errors import InputError, NotFound, SwitchboardError
from app.identity.groups import Directory
from app.knowledge.sync import clocks, machine, store
from app.knowledge.sync.attempt import attempt
from app.knowledge.sync.clocks import ACTIVE, CONTENT, GROUPS
from app.knowledge.sync.closing import Closer
from app.knowledge.sync.content import REMOVE_AT_ONCE
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.engine import Engine
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import latest_runs
from app.knowledge.sync.sources import Sources
from app.knowledge.sync.workshop import Workshop

Result = TypeVar("Result")
INSIST_EVERY_S = 2.0


class Runs:
    """The work behind `Sync`. Every method may be repeated after a crash."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        sources: Sources,
        credentials: Credentials,
        follower: Follower,
        engine: Engine,
        closer: Closer,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._directory = directory
        self._sources = sources
        self._credentials = credentials
        self._workshop = Workshop(sources, credentials, clock)
        self._follower = follower
        self._engine = engine
        self._closer = closer
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
                self._closer.close(run_id, "cancelled", {}, actor_id=actor_id)
                return
            if run.scope == CONTENT and run.mode != "refetch":
                self._inline(row.id, GROUPS)
            self._do(run_id, actor_id)

    def _do(self, run_id: str, actor_id: str) -> None:
        run, row = self._read(run_id)
        if run is None or row is None:
            return
        requested = self._requested(row.id, run.scope)
        status, counts, error, fix, detail = attempt(
            self._engine, self._workshop, run, row, [r for _, r in requested]
        )
        done = [seq for seq, _ in requested] if status == "finished" else []
        self._insist(
            lambda: self._closer.close(
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
