"""The sources as pages, commands and the schedule use them: add, change, pause, sync, look, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow, SyncFailureRow, SyncRunRow
from app.domain import Json, Person, now
from app.errors import InputError, NotFound
from app.identity.groups import Directory
from app.knowledge.embed import Embedder
from app.knowledge.index import VectorIndex
from app.knowledge.ingest.process import TIMEOUT_S
from app.knowledge.sync import overview
from app.knowledge.sync.engine import Engine
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import ACTIVE, ConnectorStatus, Preview
from app.knowledge.sync.runs import Runs
from app.knowledge.sync.schedule import Schedule
from app.knowledge.sync.sources import ConnectorKind, Sources
from app.records import Ledger
from app.records.events import ConnectorChanged, PreviewedAs
from app.settings import Settings
from connectors.contract import Check

log = structlog.get_logger(__name__)
SYNC, REMOVE = "sync", "remove_connector"
DAY_S = 86_400
SHORTEST_S = 60


class DurableWork(Protocol):
    """What is needed of `app.durable.Durable`."""

    def register(self, name: str, function: Callable[[Json], None]) -> None: ...

    def start(self, name: str, workflow_id: str, argument: Json, queue: Any = ...) -> None: ...

    def status(self, workflow_id: str) -> str | None: ...


class Sync:
    """`actor` is the person who asked, None for the system. Who may ask is decided by the caller's policy."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        index: VectorIndex,
        embedder: Embedder,
        directory: Directory,
        durable: DurableWork,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = now,
        parse_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._durable = durable
        self._default_every_s = settings.sync_every_minutes * 60
        self._clock = clock
        self._sources = Sources()
        self._follower = Follower(database, index, embedder)
        self._engine = Engine(
            database, self._follower, embedder, parse_timeout_s=parse_timeout_s, clock=clock
        )
        self._runs = Runs(
            database, ledger, directory, self._sources, self._follower, self._engine, clock
        )
        self._schedule = Schedule(self.start_due, self.recover)
        durable.register(
            SYNC, lambda argument: self.run(str(argument["run_id"]), str(argument["actor"]))
        )
        durable.register(REMOVE, lambda argument: self._runs.remove(str(argument["connector_id"])))

    # Sources

    def kinds(self) -> list[ConnectorKind]:
        return self._sources.kinds()

    def test(self, kind: str, settings: Mapping[str, Any]) -> list[Check]:
        """Asks the source itself. Raises InputError for settings that are wrong in form."""
        return self._sources.connector(kind, settings).validate()

    def add(
        self,
        actor: Person | None,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        sync_every_s: int | None = None,
    ) -> str:
        """Returns the connector's id; its first sync is due at once. Raises InputError."""
        every_s = _checked_every(sync_every_s or self._default_every_s)
        row = ConnectorRow(
            kind=kind,
            name=_checked_name(name),
            settings=self._sources.validated(kind, settings),
            sync_every_s=every_s,
            permissions_max_age_s=max(DAY_S, 3 * every_s),
            created_at=self._clock(),
        )
        try:
            with self._database.write() as session:
                session.add(row)
                session.flush()
                self._record(session, actor, row, "added", [])
        except IntegrityError as error:
            raise _name_taken(row.name) from error
        return row.id

    def change(
        self,
        actor: Person | None,
        connector_id: str,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        sync_every_s: int | None = None,
    ) -> None:
        """New settings make the next sync list everything again. Raises InputError, NotFound."""
        try:
            with self._database.write() as session:
                row = _connector(session, connector_id)
                before = row.model_dump()
                if name is not None:
                    row.name = _checked_name(name)
                if settings is not None:
                    row.settings = self._sources.validated(row.kind, settings)
                    row.checkpoint = {}
                if sync_every_s is not None:
                    row.sync_every_s = _checked_every(sync_every_s)
                    row.permissions_max_age_s = max(DAY_S, 3 * row.sync_every_s)
                after = row.model_dump()
                fields = sorted(field for field in after if after[field] != before[field])
                if fields:
                    row.version += 1
                    session.flush()
                    self._record(session, actor, row, "changed", fields)
        except IntegrityError as error:
            raise _name_taken(str(name)) from error

    def pause(self, actor: Person | None, connector_id: str) -> None:
        """Stops a running sync and the schedule; what was found stays until its permissions are too old."""
        with self._database.write() as session:
            row = _connector(session, connector_id)
            if row.status != "paused":
                row.status = "paused"
                self._record(session, actor, row, "paused", [])

    def resume(self, actor: Person | None, connector_id: str) -> None:
        with self._database.write() as session:
            row = _connector(session, connector_id)
            if row.status == "paused":
                row.status = "active" if row.last_sync_at else "scheduled"
                self._record(session, actor, row, "resumed", [])

    def remove(self, actor: Person | None, connector_id: str) -> None:
        """Hides its documents at once, then removes everything it brought, in the background."""
        with self._database.write() as session:
            row = _connector(session, connector_id)
            row.status = "deleting"
            self._record(session, actor, row, "deleted", [])
        self._durable.start(
            REMOVE, f"remove:{connector_id}", {"connector_id": connector_id}, "sync"
        )

    # Syncs

    def sync_now(self, connector_id: str, actor: Person | None = None) -> str:
        """Starts a sync in the background and returns its run id; a sync that is already under way is returned instead.

        Raises NotFound, and InputError for a paused connector.
        """
        run_id, new = self._runs.open(connector_id)
        if new:
            try:
                argument = {"run_id": run_id, "actor": _actor(actor)}
                self._durable.start(SYNC, _workflow(run_id), argument, "sync")
            except Exception:
                self._runs.close(run_id, "failed", {}, "It could not be started.", "Try again.")
                raise
        return run_id

    def run_once(self, connector_id: str, actor: Person | None = None) -> SyncRunRow:
        """Syncs here and now, and returns the finished run; for commands and tests."""
        run_id, _ = self._runs.open(connector_id)
        self.run(run_id, _actor(actor))
        run = self.run_row(run_id)
        if run is None:
            raise NotFound("The connector was removed during its sync.")
        return run

    def cancel(self, actor: Person | None, run_id: str) -> None:
        """A running sync stops at its next batch; what it stored stays."""
        del actor
        with self._database.write() as session:
            run = session.get(SyncRunRow, run_id)
            if run is not None and run.status in {"queued", "running"}:
                run.status = "cancelling"

    def run(self, run_id: str, actor_id: str = "system") -> None:
        """Does the work of a run. Harmless to repeat: a finished run is left alone, an interrupted one goes on."""
        self._runs.work(run_id, actor_id)

    # Looking

    def overview(self) -> list[ConnectorStatus]:
        with self._database.read() as session:
            return overview.statuses(session)

    def status(self, connector_id: str) -> ConnectorStatus:
        """Raises NotFound."""
        for status in self.overview():
            if status.id == connector_id:
                return status
        raise NotFound("There is no such connector.")

    def runs(self, connector_id: str, limit: int = 20) -> list[SyncRunRow]:
        """Newest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(SyncRunRow)
                    .where(col(SyncRunRow.connector_id) == connector_id)
                    .order_by(col(SyncRunRow.started_at).desc())
                    .limit(limit)
                ).scalars()
            )

    def run_row(self, run_id: str) -> SyncRunRow | None:
        with self._database.read() as session:
            return session.get(SyncRunRow, run_id)

    def failures(self, connector_id: str) -> list[SyncFailureRow]:
        with self._database.read() as session:
            return list(
                session.execute(
                    select(SyncFailureRow)
                    .where(col(SyncFailureRow.connector_id) == connector_id)
                    .order_by(col(SyncFailureRow.name))
                ).scalars()
            )

    def preview_as(self, person: Person, actor: Person | None = None) -> list[Preview]:
        """What `person` finds here and why, or why not; that `actor` looked is recorded."""
        with self._database.read() as session:
            found = overview.preview(session, person, self._clock())
        readable = sum(item.basis is not None for item in found)
        self._ledger.record(PreviewedAs(actor=_actor(actor), person=person.id, documents=readable))
        return found

    # The schedule

    def start_schedule(self) -> None:
        """Heals the index, settles what a crash left, then starts due syncs every 15 seconds, all in the background."""
        self._engine.stopping.clear()
        self._schedule.start()

    def stop_schedule(self) -> None:
        """Running syncs end at their next batch and are due at the next start."""
        self._engine.stopping.set()
        self._schedule.stop()

    def recover(self) -> None:
        """Runs that nobody works on any more are marked interrupted; their connectors are due at once. The index is healed."""
        with self._database.read() as session:
            runs = session.execute(
                select(SyncRunRow).where(col(SyncRunRow.status).in_(ACTIVE))
            ).scalars()
            left = [run.id for run in runs]
            removing = session.execute(
                select(col(ConnectorRow.id)).where(col(ConnectorRow.status) == "deleting")
            ).scalars()
            unfinished = list(removing)
        for run_id in left:
            if self._durable.status(_workflow(run_id)) not in {"ENQUEUED", "PENDING", "DELAYED"}:
                fix = "The next sync goes on where it stopped."
                self._runs.close(run_id, "interrupted", None, "Switchboard stopped during it.", fix)
        for connector_id in unfinished:
            self._durable.start(
                REMOVE, f"remove:{connector_id}", {"connector_id": connector_id}, "sync"
            )
        self._follower.heal()

    def start_due(self) -> None:
        """Starts a sync of each connector whose time has come."""
        at = self._clock()
        for status in self.overview():
            if status.next_sync_at is not None and status.next_sync_at <= at:
                self.sync_now(status.id)

    # Behind them

    def _record(
        self,
        session: Session,
        actor: Person | None,
        row: ConnectorRow,
        change: Any,
        fields: list[str],
    ) -> None:
        self._ledger.append(
            session,
            ConnectorChanged(
                actor=_actor(actor), subject=row.id, change=change, name=row.name, fields=fields
            ),
        )


def _connector(session: Session, connector_id: str) -> ConnectorRow:
    row = session.get(ConnectorRow, connector_id)
    if row is None or row.status == "deleting":
        raise NotFound("There is no such connector, or it is being removed.")
    return row


def _actor(person: Person | None) -> str:
    return person.id if person else "system"


def _workflow(run_id: str) -> str:
    return f"sync:{run_id}"


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise InputError("A connector needs a name of at most 80 characters.")
    return name


def _checked_every(seconds: int) -> int:
    if seconds < SHORTEST_S:
        raise InputError(f"The pause between syncs must be at least {SHORTEST_S} seconds.")
    return seconds


def _name_taken(name: str) -> InputError:
    return InputError(f"There is already a connector named '{name}'.", fix="Choose another name.")
