"""What every run of the sync engine shares, and how a run asks whether it is still wanted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow, SyncRunRow
from app.domain import Json, now
from app.identity.groups import Directory
from app.knowledge.embed import Embedder
from app.knowledge.sync.batch import Cancelled, Stopping
from app.knowledge.sync.outbox import Follower

COUNTS = ("seen", "added", "changed", "access", "removed", "failed", "chunks", "embedded")
POLL_S = 1.0


class Engine:
    """What every run shares. Runs of several connectors may go on at once.

    `between` is called with a connector's id between the batches of a long content run, so that permissions and groups keep
    their own clocks.
    """

    def __init__(
        self,
        database: Database,
        follower: Follower,
        embedder: Embedder,
        directory: Directory,
        *,
        parse_timeout_s: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.database = database
        self.follower = follower
        self.embedder = embedder
        self.directory = directory
        self.parse_timeout_s = parse_timeout_s
        self.clock = clock
        self.stopping = threading.Event()
        self.between: Callable[[str], None] = lambda _connector_id: None


class Progress:
    """Of one run: counts, stage, seconds by stage, and whether it is still wanted."""

    def __init__(self, engine: Engine, run_id: str, row: ConnectorRow) -> None:
        self._engine = engine
        self._run_id = run_id
        self._settings = row.settings
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._timings: Counter[str] = Counter()
        self._stage = "Listing"
        self._polled = 0.0
        self._stop = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - start)

    def took(self, name: str, seconds: float) -> None:
        """Adds to a stage. Embedding runs beside the others, so that the stages may be longer than the run."""
        self._timings[name] += seconds  # type: ignore[assignment]

    def told(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """What the connector says of itself."""
        self._stage = text[:200]
        if done is not None:
            self.counts["done"] = done
        if total is not None:
            self.counts["total"] = total

    def result(self) -> Json:
        return dict(self.counts)

    def write(self, session: Session) -> None:
        """Into the run's row, in the caller's transaction. Raises Cancelled, so that nothing is written after a cancel."""
        self.still_wanted(session)
        timings = session.execute(
            select(col(SyncRunRow.timings)).where(col(SyncRunRow.id) == self._run_id)
        ).scalar_one()
        spent = {name: round(seconds, 3) for name, seconds in self._timings.items()}
        session.execute(
            update(SyncRunRow)
            .where(col(SyncRunRow.id) == self._run_id)
            .values(counts=dict(self.counts), stage=self._stage, timings={**timings, **spent})
        )

    def still_wanted(self, session: Session) -> None:
        """Raises Cancelled inside the transaction, so that nothing is written after a cancel, a removal, or a change of
        settings: what an older run reads may have readers that an admin has just taken away."""
        status = session.execute(
            select(col(SyncRunRow.status), col(ConnectorRow.status), col(ConnectorRow.settings))
            .join(ConnectorRow, col(ConnectorRow.id) == col(SyncRunRow.connector_id))
            .where(col(SyncRunRow.id) == self._run_id)
        ).one_or_none()
        if (
            status is None
            or status[0] != "running"
            or status[1] in {"deleting", "paused"}
            or status[2] != self._settings
        ):
            self._stop = True
            raise Cancelled

    def go_on(self) -> None:
        """Raises Stopping when Switchboard is shutting down."""
        if self._engine.stopping.is_set():
            raise Stopping

    def cancelled(self) -> bool:
        """Asked by the connector as often as it likes; looks once a second."""
        if self._engine.stopping.is_set():
            return True
        if not self._stop and time.monotonic() - self._polled > POLL_S:
            self._polled = time.monotonic()
            try:
                with self._engine.database.read() as session:
                    self.still_wanted(session)
            except Cancelled:
                return True
        return self._stop

    def finish(self) -> Json:
        """The counts of a run that saw everything. Raises Cancelled or Stopping for one that was told to end."""
        self.go_on()
        if self.cancelled():
            raise Cancelled
        return self.result()
