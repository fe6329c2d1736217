"""The sources as pages, commands and the schedule use them: add, change, pause, sync, look, remove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ConnectorRow, SyncRunRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.identity.groups import Directory
from app.knowledge.embed import Embedder
from app.knowledge.index import VectorIndex
from app.knowledge.ingest.process import TIMEOUT_S
from app.knowledge.sync import clocks, freshness, overview
from app.knowledge.sync.attempt import INTERRUPTED
from app.knowledge.sync.background import Background, DurableWork
from app.knowledge.sync.clocks import ACTIVE, CONTENT
from app.knowledge.sync.closing import Closer
from app.knowledge.sync.configuration import Configuration, actor_id, existing
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.engine import Engine
from app.knowledge.sync.first_syncs import FirstSyncs
from app.knowledge.sync.history import History
from app.knowledge.sync.live import LiveCheck
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.overview import ConnectorStatus
from app.knowledge.sync.requests import Requests, waiting
from app.knowledge.sync.runs import Runs
from app.knowledge.sync.schedule import Schedule
from app.knowledge.sync.sources import Sources
from app.knowledge.sync.watchers import Watchers
from app.knowledge.sync.workshop import Workshop
from app.records import Ledger
from app.sealing import open_sealer
from app.settings import Settings
from connectors.contract import Capability, Event, Handled

log = structlog.get_logger(__name__)


class Sync(Configuration, History):
    """`actor` is the person who asked, None for the system. Who may ask is decided by the caller's policy.

    Here is the work itself: runs, what starts them, and the schedule. Changing sources and looking at them are its two halves.
    """

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
        found = sources or Sources()
        credentials = Credentials(database, ledger, open_sealer(settings))
        self._schedule = Schedule(self._turn, self.recover)
        self._healed = False
        requests = Requests(database, clock, self._schedule.wake)
        default_every_s = settings.sync_every_minutes * 60
        Configuration.__init__(
            self, database, ledger, found, credentials, requests, default_every_s, clock
        )
        History.__init__(self, database, ledger, found, clock)
        self._follower = Follower(database, index, embedder)
        self._engine = Engine(
            database,
            self._follower,
            embedder,
            directory,
            parse_timeout_s=parse_timeout_s,
            clock=clock,
        )
        self._closer = Closer(database, ledger, clock)
        self._runs = Runs(
            database,
            directory,
            self._sources,
            self.credentials,
            self._follower,
            self._engine,
            self._closer,
            clock,
        )
        self._workshop = Workshop(self._sources, self.credentials, clock)
        self._watchers = Watchers(self._workshop, self._noticed)
        self.live = LiveCheck(database, self._sources, self.credentials, clock=clock)
        self.first_syncs = FirstSyncs(database)
        self._background = Background(durable, self._runs.work, self._runs.remove)

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
                self._background.start_run(run_id, actor_id(actor))
            except Exception:
                self._closer.close(run_id, "failed", {}, "It could not be started.", "Try again.")
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
        self.run(run_id, actor_id(actor))
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
            row = existing(session, connector_id)
        failed = [failure.source_id for failure in self.failures(connector_id)]
        wanted = [s for s in failed if source_ids is None or s in source_ids]
        can_fetch = Capability.REFETCH in self._sources.capabilities(row.kind, row.settings)
        if wanted:
            self._requests.ask(connector_id, CONTENT, wanted if can_fetch else [""])
        if wanted and not can_fetch:
            with self._database.write() as session:
                existing(session, connector_id).checkpoint = {}
        return len(wanted)

    def allow_removals(self, actor: Person | None, connector_id: str) -> None:
        """An admin looked: what a held sync would have removed may go. Raises NotFound, InputError for one not held."""
        with self._database.write() as session:
            row = existing(session, connector_id)
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
            row = existing(session, connector_id)
        if Capability.EVENTS not in self._sources.capabilities(row.kind, row.settings):
            raise NotFound("There is no such connector, or it is being removed.")
        with self._workshop.connector(row) as connector:
            handled = connector.handle_event(event)
        for scope in self._scopes(row):
            if scope == CONTENT and (handled.ids or handled.content):
                self._requests.ask(connector_id, scope, [""] if handled.content else handled.ids)
            elif scope != CONTENT and getattr(handled, scope):
                self._requests.ask(connector_id, scope)
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

    def remove(self, actor: Person | None, connector_id: str) -> None:
        """Hides its documents at once, then removes everything it brought, in the background."""
        with self._database.write() as session:
            row = existing(session, connector_id)
            row.status = "deleting"
            self._record(session, actor, row, "deleted", [])
        self._background.start_removal(connector_id)

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
            if not self._background.has_run(run_id):
                self._closer.close(run_id, "interrupted", None, *INTERRUPTED)
        for connector_id in unfinished:
            self._background.start_removal(connector_id)
        self._heal()

    def _heal(self) -> None:
        self._follower.heal()
        self._healed = True

    def _turn(self) -> None:
        """An index that could not be healed at the start, its disk full or its server away, is tried again."""
        try:
            if not self._healed:
                self._heal()
        finally:
            self.start_due()

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
            row = existing(session, status.id)
            ids = waiting(session, status.id, CONTENT)
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
        """A watcher saw a change."""
        try:
            self._requests.ask(connector_id, CONTENT)
        except IntegrityError:
            log.info("a change was noticed at a connector that is gone", connector=connector_id)
