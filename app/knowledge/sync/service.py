"""The sources as pages, commands and the schedule use them: add, change, pause, sync, look, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import (
    ConnectorRow,
    ReaderChangeRow,
    SyncFailureRow,
    SyncRequestRow,
    SyncRunRow,
)
from app.domain import Json, Person, now
from app.errors import InputError, NotFound
from app.identity.groups import Directory
from app.knowledge.embed import Embedder
from app.knowledge.index import VectorIndex
from app.knowledge.ingest.process import TIMEOUT_S
from app.knowledge.sync import clocks, freshness, overview
from app.knowledge.sync.clocks import ACTIVE, CONTENT
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.engine import Engine
from app.knowledge.sync.live import LiveCheck
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import ConnectorStatus, Preview
from app.knowledge.sync.runs import INTERRUPTED, Runs
from app.knowledge.sync.schedule import Schedule
from app.knowledge.sync.sources import ConnectorKind, Sources
from app.knowledge.sync.trial import DryRun, Trial
from app.knowledge.sync.watchers import Watchers
from app.knowledge.sync.workshop import Workshop
from app.records import Ledger
from app.records.events import ConnectorChanged, PreviewedAs
from app.sealing import open_sealer
from app.settings import Settings
from connectors.contract import Capability, Check, Event, Handled, Limits

log = structlog.get_logger(__name__)
SYNC, REMOVE = "sync", "remove_connector"
DAY_S = 86_400
DEFAULT_EVERY_S = Limits().content_every_s
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
        sources: Sources | None = None,
        clock: Callable[[], datetime] = now,
        parse_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._durable = durable
        self._default_every_s = settings.sync_every_minutes * 60
        self.credentials = Credentials(database, ledger, open_sealer(settings))
        self._clock = clock
        self._sources = sources or Sources()
        self._follower = Follower(database, index, embedder)
        self._engine = Engine(
            database,
            self._follower,
            embedder,
            directory,
            parse_timeout_s=parse_timeout_s,
            clock=clock,
        )
        self._runs = Runs(
            database,
            ledger,
            directory,
            self._sources,
            self.credentials,
            self._follower,
            self._engine,
            clock,
        )
        self._trial = Trial(database, self._sources, self.credentials)
        self._workshop = Workshop(self._sources, self.credentials, clock)
        self._watchers = Watchers(self._workshop, self._noticed)
        self.live = LiveCheck(database, self._sources, self.credentials, clock=clock)
        self._schedule = Schedule(self.start_due, self.recover)
        durable.register(
            SYNC, lambda argument: self.run(str(argument["run_id"]), str(argument["actor"]))
        )
        durable.register(REMOVE, lambda argument: self._runs.remove(str(argument["connector_id"])))

    # Sources

    def kinds(self) -> list[ConnectorKind]:
        return self._sources.kinds()

    def test(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
    ) -> list[Check]:
        """Asks the source itself. Raises InputError for settings that are wrong in form."""
        return self._trial.checks(kind, settings, secrets, credential_id)

    def dry_run(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
        connector_id: str | None = None,
    ) -> DryRun:
        """What a sync would do, without doing it; looks for half a minute at most. Raises InputError, SourceFault."""
        return self._trial.dry_run(kind, settings, secrets, credential_id, connector_id)

    def add(
        self,
        actor: Person | None,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        sync_every_s: int | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
    ) -> str:
        """Returns the connector's id; its first sync is due at once. New secrets become a credential of the same name.

        Raises InputError; then nothing is kept.
        """
        limits = self._sources.limits(kind)
        own = limits.content_every_s != DEFAULT_EVERY_S
        default_s = limits.content_every_s if own else self._default_every_s
        every_s = _checked_every(sync_every_s or default_s)
        row = ConnectorRow(
            kind=kind,
            name=_checked_name(name),
            settings=self._sources.validated(kind, settings),
            sync_every_s=every_s,
            permissions_every_s=limits.permissions_every_s,
            groups_every_s=limits.groups_every_s,
            permissions_max_age_s=self._promised(kind, settings, every_s),
            requests_per_minute=limits.requests_per_minute,
            removal_share=limits.removal_share,
            created_at=self._clock(),
        )
        checked = self._checked_secrets(kind, secrets, credential_id)
        made = self.credentials.add(actor, kind, row.name, checked) if checked else None
        row.credential_id = made or credential_id
        try:
            with self._database.write() as session:
                session.add(row)
                session.flush()
                self._record(session, actor, row, "added", [])
        except IntegrityError as error:
            if made is not None:
                self.credentials.remove(actor, made)
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
        permissions_every_s: int | None = None,
        groups_every_s: int | None = None,
        permissions_max_age_s: int | None = None,
        requests_per_minute: int | None = None,
        removal_share: float | None = None,
        credential_id: str | None = None,
    ) -> None:
        """New settings make the next sync list everything again. Raises InputError, NotFound."""
        plain: dict[str, Any] = {
            "sync_every_s": sync_every_s and _checked_every(sync_every_s),
            "permissions_every_s": permissions_every_s and _checked_every(permissions_every_s),
            "groups_every_s": groups_every_s and _checked_every(groups_every_s),
            "permissions_max_age_s": permissions_max_age_s
            and _checked_every(permissions_max_age_s),
            "requests_per_minute": requests_per_minute and _checked_rate(requests_per_minute),
            "removal_share": None if removal_share is None else _checked_share(removal_share),
            "credential_id": credential_id,
        }
        try:
            with self._database.write() as session:
                row = _connector(session, connector_id)
                before = row.model_dump()
                if name is not None:
                    row.name = _checked_name(name)
                if settings is not None:
                    row.settings = self._sources.validated(row.kind, settings)
                    if row.settings != before["settings"]:
                        row.checkpoint, row.access_state = {}, {}
                for field, value in plain.items():
                    if value is not None:
                        setattr(row, field, value)
                if sync_every_s is not None and permissions_max_age_s is None:
                    own = self._promised(row.kind, row.settings, row.sync_every_s)
                    row.permissions_max_age_s = max(row.permissions_max_age_s, own)
                after = row.model_dump()
                fields = sorted(field for field in after if after[field] != before[field])
                if fields:
                    row.version += 1
                    session.flush()
                    self._record(session, actor, row, "changed", fields)
        except IntegrityError as error:
            raise _name_taken(str(name)) from error
        if (
            "settings" in fields
        ):  # a run under way ends at its next batch; the new settings start at once
            self._request(connector_id, CONTENT, [""])

    def swap_secrets(
        self, actor: Person | None, connector_id: str, secrets: Mapping[str, str]
    ) -> None:
        """New secrets for a connector; where it shares its credential, for all that use it. Fields left empty stay."""
        with self._database.read() as session:
            row = _connector(session, connector_id)
        stored = self.credentials.open(row.credential_id)
        filled = {name: value for name, value in secrets.items() if value}
        checked = self._sources.secrets(row.kind, {**stored, **filled})
        if row.credential_id is not None:
            self.credentials.swap(actor, row.credential_id, checked)
        else:
            made = self.credentials.add(actor, row.kind, row.name, checked)
            self.change(actor, connector_id, credential_id=made)

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

    def sync_now(
        self,
        connector_id: str,
        actor: Person | None = None,
        *,
        scope: str = CONTENT,
        mode: str = "changes",
    ) -> str:
        """Starts a run in the background and returns its id; one of the same scope under way is returned instead.

        `mode` full reads, parses and embeds everything anew. Raises NotFound, and InputError for a paused connector.
        """
        run_id, new = self._runs.open(connector_id, scope, mode)
        if new:
            try:
                argument = {"run_id": run_id, "actor": _actor(actor)}
                self._durable.start(SYNC, _workflow(run_id), argument, "sync")
            except Exception:
                self._runs.close(run_id, "failed", {}, "It could not be started.", "Try again.")
                raise
        return run_id

    def run_once(
        self,
        connector_id: str,
        actor: Person | None = None,
        *,
        scope: str = CONTENT,
        mode: str = "changes",
    ) -> SyncRunRow:
        """Syncs here and now, and returns the finished run; for commands and tests."""
        run_id, _ = self._runs.open(connector_id, scope, mode)
        self.run(run_id, _actor(actor))
        run = self.run_row(run_id)
        if run is None:
            raise NotFound("The connector was removed during its sync.")
        return run

    def retry_failed(
        self, actor: Person | None, connector_id: str, source_ids: Sequence[str] | None = None
    ) -> int:
        """Asks again for documents that failed (all of them by default); returns how many. The schedule starts within
        seconds. A source that cannot fetch single documents is listed anew."""
        del actor
        with self._database.read() as session:
            row = _connector(session, connector_id)
        failed = [failure.source_id for failure in self.failures(connector_id)]
        wanted = [s for s in failed if source_ids is None or s in source_ids]
        can_fetch = Capability.REFETCH in self._sources.capabilities(row.kind, row.settings)
        if wanted:
            self._request(connector_id, CONTENT, wanted if can_fetch else [""])
        if wanted and not can_fetch:
            with self._database.write() as session:
                _connector(session, connector_id).checkpoint = {}
        return len(wanted)

    def allow_removals(self, actor: Person | None, connector_id: str) -> None:
        """An admin looked: what a held sync would have removed may go. Raises NotFound, InputError for one not held."""
        with self._database.write() as session:
            row = _connector(session, connector_id)
            if row.status != "held":
                raise InputError(f"'{row.name}' does not wait for an answer.")
            row.removals_allowed = len(overview.document_ids(session, connector_id))
            self._record(session, actor, row, "removals_allowed", [])
        self.sync_now(connector_id, actor)

    def handle_event(self, connector_id: str, event: Event) -> Handled:
        """A webhook call: what it names is looked at again within seconds.

        Raises NotFound for a connector that is not there or takes no events, BadEvent for a call that is not from the source.
        """
        with self._database.read() as session:
            row = _connector(session, connector_id)
        if Capability.EVENTS not in self._sources.capabilities(row.kind, row.settings):
            raise NotFound("There is no such connector, or it is being removed.")
        with self._workshop.connector(row) as connector:
            handled = connector.handle_event(event)
        for scope in self._scopes(row):
            if scope == CONTENT and (handled.ids or handled.content):
                self._request(connector_id, scope, [""] if handled.content else handled.ids)
            elif scope != CONTENT and getattr(handled, scope):
                self._request(connector_id, scope, [""])
        return handled

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
            return overview.statuses(session, self._scopes)

    def status(self, connector_id: str) -> ConnectorStatus:
        """Raises NotFound."""
        for status in self.overview():
            if status.id == connector_id:
                return status
        raise NotFound("There is no such connector.")

    def runs(
        self, connector_id: str, limit: int = 20, scope: str | None = None
    ) -> list[SyncRunRow]:
        """Newest first; of one scope where it is given."""
        statement = select(SyncRunRow).where(col(SyncRunRow.connector_id) == connector_id)
        if scope is not None:
            statement = statement.where(col(SyncRunRow.scope) == scope)
        with self._database.read() as session:
            newest = statement.order_by(col(SyncRunRow.started_at).desc()).limit(limit)
            return list(session.execute(newest).scalars())

    def reader_changes(self, connector_id: str, limit: int = 100) -> list[ReaderChangeRow]:
        """What changed in who may see what, newest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(ReaderChangeRow)
                    .where(col(ReaderChangeRow.connector_id) == connector_id)
                    .order_by(col(ReaderChangeRow.seq).desc())
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
        self._watchers.stop()

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
                self._runs.close(run_id, "interrupted", None, *INTERRUPTED)
        for connector_id in unfinished:
            self._durable.start(
                REMOVE, f"remove:{connector_id}", {"connector_id": connector_id}, "sync"
            )
        self._follower.heal()

    def start_due(self) -> None:
        """Starts what is due on each clock, sees to the watchers, and records what grew stale."""
        at = self._clock()
        statuses = self.overview()
        for status in statuses:
            due = [scope for scope, when in status.due.items() if when <= at]
            if CONTENT in due:  # it looks after the others itself
                self.sync_now(status.id, mode=self._mode(status, at))
            else:
                for scope in due:
                    self.sync_now(status.id, scope=scope)
        freshness.record(self._database, self._ledger, statuses, at)
        self._watchers.settle(self._watched())

    def _mode(self, status: ConnectorStatus, at: datetime) -> str:
        """Only what was asked for, where the clock itself has not run out."""
        with self._database.read() as session:
            row = _connector(session, status.id)
            asked = session.execute(
                select(col(SyncRequestRow.source_id)).where(
                    col(SyncRequestRow.connector_id) == status.id,
                    col(SyncRequestRow.scope) == CONTENT,
                )
            ).scalars()
            ids = list(asked)
        clock = clocks.next_due(row, CONTENT, status.run)
        only_ids = bool(ids) and all(ids) and (clock is None or clock > at)
        fetches = Capability.REFETCH in self._sources.capabilities(row.kind, row.settings)
        return "refetch" if only_ids and fetches else "changes"

    def _watched(self) -> dict[tuple[str, int], ConnectorRow]:
        with self._database.read() as session:
            rows = session.execute(
                select(ConnectorRow).where(col(ConnectorRow.status).not_in(clocks.AT_REST))
            ).scalars()
            return {
                (row.id, row.version): row
                for row in rows
                if Capability.WATCH in self._sources.capabilities(row.kind, row.settings)
            }

    def _noticed(self, connector_id: str) -> None:
        """A watcher saw a change: one request is enough, however many changes there are."""
        try:
            self._request(connector_id, CONTENT, [""])
        except IntegrityError:  # removed meanwhile
            return
        self._schedule.wake()

    def _request(self, connector_id: str, scope: str, source_ids: Sequence[str]) -> None:
        with self._database.write() as session:
            present = set(
                session.execute(
                    select(col(SyncRequestRow.source_id)).where(
                        col(SyncRequestRow.connector_id) == connector_id,
                        col(SyncRequestRow.scope) == scope,
                    )
                ).scalars()
            )
            session.add_all(
                SyncRequestRow(
                    connector_id=connector_id, scope=scope, source_id=source_id, at=self._clock()
                )
                for source_id in dict.fromkeys(source_ids)
                if source_id not in present
            )
        self._schedule.wake()

    # Behind them

    def _scopes(self, row: ConnectorRow) -> tuple[str, ...]:
        return clocks.scopes(self._sources.capabilities(row.kind, row.settings))

    def _promised(self, kind: str, settings: Mapping[str, Any], every_s: int) -> int:
        """How old permissions may be: as the connector states where it has a clock of its own for them; otherwise they are
        confirmed with the content, and may miss that twice."""
        capabilities = self._sources.capabilities(kind, self._sources.validated(kind, settings))
        if clocks.PERMISSIONS in clocks.scopes(capabilities):
            return max(self._sources.limits(kind).permissions_max_age_s, SHORTEST_S)
        return max(DAY_S, 3 * every_s)

    def _checked_secrets(
        self, kind: str, secrets: Mapping[str, str] | None, credential_id: str | None
    ) -> dict[str, str]:
        if credential_id is not None:
            known = {found.id: found for found in self.credentials.all(kind)}
            if credential_id not in known:
                raise InputError("There is no such credential for this kind of source.")
            return {}
        return self._sources.secrets(kind, secrets or {})

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


def _checked_rate(per_minute: int) -> int:
    if not 1 <= per_minute <= 100_000:
        raise InputError("Requests a minute must be between 1 and 100,000.")
    return per_minute


def _checked_share(share: float) -> float:
    if not 0 <= share <= 1:
        raise InputError("The share that a sync may remove must be between 0 and 1.")
    return share


def _name_taken(name: str) -> InputError:
    return InputError(f"There is already a connector named '{name}'.", fix="Choose another name.")
