"""Facts become sums: `UsageRollupRow` by day, team, person, intent and model. Pages read only the sums.

A refresh recomputes the whole slice of each day on which a fact is new or changed, so running it twice, late, or in two
processes at once gives the same sums. The marks are taken before the sums are read: a fact that arrives in between is
counted now and once more at the next refresh, never lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import UsageFactRow, UsageRollupRow
from app.db.types import UtcDateTime
from app.domain import now
from app.usage.facts import ACTION, QUESTION

EVERY_S = 15.0
LOCK = 7_215_301
"""Key of the PostgreSQL advisory lock that lets one refresh work at a time; SQLite's write transaction does it there."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RollUps:
    """Keeps the sums current: `refresh()` on demand, or every 15 seconds between `start()` and `stop()`."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock
        self._as_of: datetime | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def as_of(self) -> datetime | None:
        """Every fact older than this is in the sums; None before the first refresh of this process."""
        return self._as_of

    def refresh(self) -> int:
        """Recomputes the days whose facts changed and returns how many; one cheap query when there is none."""
        begun = self._clock()
        with self._database.read() as session:
            days = session.scalars(
                select(col(UsageFactRow.day)).where(~col(UsageFactRow.rolled_up)).distinct()
            ).all()
        done = sum(self._recompute(day, begun) for day in sorted(days))
        self._as_of = begun
        return done

    def start(self, every_s: float = EVERY_S) -> None:
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._run, args=(every_s,), name="usage-rollups", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; harmless when it never started."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, every_s: float) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except SQLAlchemyError:
                log.exception("roll-ups not refreshed; the next try follows")
            self._stopping.wait(every_s)

    def _recompute(self, day: date, at: datetime) -> bool:
        with self._database.write() as session:
            _one_at_a_time(session)
            marked = session.execute(
                update(UsageFactRow)
                .where(col(UsageFactRow.day) == day, ~col(UsageFactRow.rolled_up))
                .values(rolled_up=True)
                .execution_options(synchronize_session=False)
            )
            if not marked.rowcount:  # type: ignore[attr-defined]
                return False  # another process was here first
            session.execute(delete(UsageRollupRow).where(col(UsageRollupRow.day) == day))
            slice_ = _slice(day, at)
            session.execute(
                insert(UsageRollupRow).from_select(slice_.selected_columns.keys(), slice_)
            )
        return True


def _one_at_a_time(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def _slice(day: date, at: datetime) -> Select[*tuple[Any, ...]]:
    """The sums of one day, one row for each team, person, intent and model."""
    keys = [
        col(UsageFactRow.day),
        col(UsageFactRow.team),
        col(UsageFactRow.person_id),
        col(UsageFactRow.intent),
        col(UsageFactRow.model),
    ]
    question = col(UsageFactRow.kind) == QUESTION
    status, feedback = col(UsageFactRow.status), col(UsageFactRow.feedback)
    return (
        select(
            *keys,
            _count(question).label("questions"),
            _count(question & (status == "finished") & col(UsageFactRow.with_sources)).label(
                "with_sources"
            ),
            _count(question & (status == "stopped")).label("stopped"),
            _count(question & status.in_(("failed", "interrupted"))).label("failed"),
            _count(question & (feedback == 1)).label("thumbs_up"),
            _count(question & (feedback == 0)).label("thumbs_down"),
            _count(col(UsageFactRow.kind) == ACTION).label("actions"),
            func.sum(col(UsageFactRow.cost_usd)).label("cost_usd"),
            func.sum(col(UsageFactRow.prompt_tokens)).label("prompt_tokens"),
            func.sum(col(UsageFactRow.completion_tokens)).label("completion_tokens"),
            literal(at, UtcDateTime).label("updated_at"),
        )
        .where(col(UsageFactRow.day) == day)
        .group_by(*keys)
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
