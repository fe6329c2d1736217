"""What is kept of rehearsals: how each stands, and, for the person with whose eyes it looked, the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import RehearsalResultRow, RehearsalRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import RehearsalChange, RehearsalChanged
from app.rehearsal.golden import Golden
from app.rehearsal.judge import Opinion
from app.rehearsal.measure import Side, Verdict
from app.routing.spending import Purse

STALE = timedelta(seconds=30)
KEPT = 20
"""Rehearsals of an intent that are kept; the oldest go when another begins."""
End = Literal["finished", "stopped", "cancelled", "interrupted", "failed"]
"""`stopped`: a budget had no room for the next call."""

_golden: TypeAdapter[Golden] = TypeAdapter(Golden)
_side: TypeAdapter[Side] = TypeAdapter(Side)
_opinion: TypeAdapter[Opinion] = TypeAdapter(Opinion)


@dataclass(frozen=True, slots=True)
class Result:
    """One golden question with both answers."""

    id: str
    golden: Golden
    before: Side
    after: Side
    verdict: Verdict
    reasons: tuple[str, ...]
    opinion: Opinion | None


class Runs:
    """Blocking. `verdicts` and sums are for every admin; `results` for the person who rehearsed."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def open(self, row: RehearsalRow) -> None:
        """Raises InputError while another one of the intent runs."""
        with self._database.write() as session:
            last = self._of(session, row.intent)
            self._alone(last)
            for old in last[KEPT - 1 :]:
                session.delete(old)
            session.add(row)
            self._record(session, row, "started")

    def take_over(self, old_id: str, row: RehearsalRow, kept: Collection[str]) -> None:
        """`row` goes on with one that is over: it gets the results `kept` and what all of it has cost, and the old one is gone,
        so that a process that still believes to be at work on that keeps nothing more. Raises NotFound, and InputError while
        another one of the intent runs."""
        with self._database.write() as session:
            old = _existing(session, old_id)
            self._alone(self._of(session, row.intent))
            if old.status == "running":
                self._record(session, old, "interrupted", "system")
            row.questions, row.done, row.cost_usd = (
                row.questions + len(kept),
                len(kept),
                old.cost_usd,
            )
            session.add(row)
            session.flush()
            session.execute(
                update(RehearsalResultRow)
                .where(
                    col(RehearsalResultRow.rehearsal_id) == old_id,
                    col(RehearsalResultRow.id).in_(kept),
                )
                .values(rehearsal_id=row.id)
            )
            session.execute(delete(RehearsalRow).where(col(RehearsalRow.id) == old_id))
            self._record(session, row, "resumed", continues=old_id)

    def answered(self, rehearsal_id: str) -> dict[str, Golden]:
        """What was asked and could be paid for, by the result's id."""
        with self._database.read() as session:
            rows = session.execute(
                select(col(RehearsalResultRow.id), col(RehearsalResultRow.golden)).where(
                    col(RehearsalResultRow.rehearsal_id) == rehearsal_id,
                    col(RehearsalResultRow.verdict) != "unpaid",
                )
            ).all()
        return {row[0]: _golden.validate_python(row[1]) for row in rows}

    def keep(self, rehearsal_id: str, position: int, result: Result) -> None:
        """One question is done, or as far as money reached. A run that was cancelled meanwhile keeps it too: it has been paid for."""
        with self._database.write() as session:
            session.add(
                RehearsalResultRow(
                    id=result.id,
                    rehearsal_id=rehearsal_id,
                    position=position,
                    golden=_golden.dump_python(result.golden, mode="json"),
                    before=_side.dump_python(result.before, mode="json"),
                    after=_side.dump_python(result.after, mode="json"),
                    verdict=result.verdict,
                    reasons=list(result.reasons),
                    opinion=_opinion.dump_python(result.opinion, mode="json")
                    if result.opinion
                    else None,
                )
            )
            self._move_on(session, rehearsal_id, 0.0, done=int(result.verdict != "unpaid"))

    def pay(self, rehearsal_id: str, purse: Purse) -> None:
        """What the purse's calls have cost, here and in every budget that held it. The purse is closed."""
        cost = sum(attempt.cost_usd for attempt in purse.attempts)
        with self._database.write() as session:
            self._move_on(session, rehearsal_id, cost, done=0)
            purse.settle(session)

    def beat(self, rehearsal_id: str) -> bool:
        """Shows that it is alive. False when it has been cancelled, perhaps by another process."""
        with self._database.write() as session:
            moved = session.execute(
                update(RehearsalRow)
                .where(col(RehearsalRow.id) == rehearsal_id, col(RehearsalRow.status) == "running")
                .values(heartbeat_at=self._clock())
            )
        return bool(moved.rowcount)  # type: ignore[attr-defined]

    def end(self, rehearsal_id: str, status: End, actor: str = "system") -> bool:
        """Once; later calls change nothing and return False."""
        with self._database.write() as session:
            row = session.execute(
                select(RehearsalRow).where(col(RehearsalRow.id) == rehearsal_id).with_for_update()
            ).scalar_one_or_none()
            if row is None or row.status != "running":
                return False
            row.status, row.finished_at = status, self._clock()
            session.add(row)
            self._record(session, row, status, actor)
        return True

    def interrupt_stale(self, *, all_running: bool) -> int:
        """At start: what a process that died left running. `all_running` where no other process can be alive."""
        with self._database.read() as session:
            running = session.execute(
                select(RehearsalRow).where(col(RehearsalRow.status) == "running")
            ).scalars()
            stale = [r.id for r in running if all_running or self._status(r) == "interrupted"]
        return sum(self.end(rehearsal_id, "interrupted") for rehearsal_id in stale)

    def of(self, intent: str) -> list[RehearsalRow]:
        """Newest first. One whose process stopped moving it on is shown as interrupted."""
        with self._database.read() as session:
            rows = self._of(session, intent)
        for row in rows:
            row.status = self._status(row)
        return rows

    def get(self, rehearsal_id: str) -> RehearsalRow:
        """Raises NotFound."""
        with self._database.read() as session:
            row = _existing(session, rehearsal_id)
        row.status = self._status(row)
        return row

    def verdicts(self, rehearsal_id: str) -> dict[str, int]:
        with self._database.read() as session:
            return _verdicts(session, rehearsal_id)

    def results(self, person: Person, rehearsal_id: str) -> list[Result]:
        """In the golden set's order; empty for anybody but the person who rehearsed: they saw what they may see."""
        with self._database.read() as session:
            if _existing(session, rehearsal_id).person_id != person.id:
                return []
            rows = session.execute(
                select(RehearsalResultRow)
                .where(col(RehearsalResultRow.rehearsal_id) == rehearsal_id)
                .order_by(col(RehearsalResultRow.position))
            ).scalars()
            return [_result(row) for row in rows]

    def remove(self, actor: Person, rehearsal_id: str) -> None:
        """With its answers. Raises NotFound, and InputError while it runs."""
        with self._database.write() as session:
            row = _existing(session, rehearsal_id)
            if self._status(row) == "running":
                raise InputError("It is running.", fix="Cancel it first.")
            self._record(session, row, "removed", actor.id)
            session.execute(delete(RehearsalRow).where(col(RehearsalRow.id) == rehearsal_id))

    def _alone(self, rows: Iterable[RehearsalRow]) -> None:
        if any(self._status(row) == "running" for row in rows):
            raise InputError(
                "A rehearsal of this intent is running.", fix="Wait for it, or cancel it."
            )

    def _of(self, session: Session, intent: str) -> list[RehearsalRow]:
        return list(
            session.execute(
                select(RehearsalRow)
                .where(col(RehearsalRow.intent) == intent)
                .order_by(col(RehearsalRow.started_at).desc())
            ).scalars()
        )

    def _status(self, row: RehearsalRow) -> str:
        stale = row.status == "running" and self._clock() - row.heartbeat_at > STALE
        return "interrupted" if stale else row.status

    def _move_on(self, session: Session, rehearsal_id: str, cost_usd: float, done: int) -> None:
        session.execute(
            update(RehearsalRow)
            .where(col(RehearsalRow.id) == rehearsal_id)
            .values(
                done=col(RehearsalRow.done) + done,
                cost_usd=col(RehearsalRow.cost_usd) + cost_usd,
                heartbeat_at=self._clock(),
            )
        )

    def _record(
        self,
        session: Session,
        row: RehearsalRow,
        change: RehearsalChange,
        actor: str = "",
        continues: str = "",
    ) -> None:
        self._ledger.append(
            session,
            RehearsalChanged(
                actor=actor or row.person_id,
                subject=row.id,
                change=change,
                intent=row.intent,
                version=row.number,
                questions=row.questions,
                verdicts=_verdicts(session, row.id),
                judge=row.judge,
                cost_usd=round(row.cost_usd, 8),
                continues=continues,
            ),
        )


def _result(row: RehearsalResultRow) -> Result:
    return Result(
        row.id,
        _golden.validate_python(row.golden),
        _side.validate_python(row.before),
        _side.validate_python(row.after),
        cast(Verdict, row.verdict),
        tuple(row.reasons),
        _opinion.validate_python(row.opinion) if row.opinion else None,
    )


def _verdicts(session: Session, rehearsal_id: str) -> dict[str, int]:
    rows = session.execute(
        select(col(RehearsalResultRow.verdict), func.count())
        .where(col(RehearsalResultRow.rehearsal_id) == rehearsal_id)
        .group_by(col(RehearsalResultRow.verdict))
    ).all()
    return {row[0]: row[1] for row in rows}


def _existing(session: Session, rehearsal_id: str) -> RehearsalRow:
    row = session.get(RehearsalRow, rehearsal_id)
    if row is None:
        raise NotFound("There is no such rehearsal.", fix="Reload the page.")
    return row
