"""Reading the log: newest first by the page, by type, person or subject, and as JSON lines.

Whoever calls this has asked the policy: the log names people and documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import EventRow, PersonRow
from app.domain import Json
from app.errors import InputError
from app.records.events import event_types
from app.records.ledger import line

LONGEST_PAGE = 200
BATCH = 1000
TYPES: tuple[str, ...] = tuple(sorted(kind.model_fields["type"].default for kind in event_types))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to look at; an empty field means any. `since` is included, `until` is not."""

    types: tuple[str, ...] = ()
    actor: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventView:
    """`actor_name` is the person's name, or the actor itself (`system`, `visitor`, somebody gone). `fields` is the rest."""

    seq: int
    at: datetime
    type: str
    actor: str
    actor_name: str
    subject: str
    fields: Json
    hash: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """`older` goes into the next call as `before`; None at the end."""

    events: tuple[EventView, ...]
    older: int | None


class EventLog:
    """The log for people. Appending is the Ledger's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, wanted: EventFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> EventPage:
        """The newest `limit` (1 to 200) events, older than seq `before`. Raises InputError for a type that is none."""
        limit = max(1, min(limit, LONGEST_PAGE))
        clauses = _clauses(wanted or EventFilter())
        if before is not None:
            clauses.append(col(EventRow.seq) < before)
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow).where(*clauses).order_by(col(EventRow.seq).desc()).limit(limit + 1)
            ).all()
            views = _views(session, rows[:limit])
        return EventPage(views, views[-1].seq if len(rows) > limit else None)

    def about(self, subject: str) -> tuple[EventView, ...]:
        """Everything that happened to one turn, session, connector…, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow).where(col(EventRow.subject) == subject).order_by(col(EventRow.seq))
            ).all()
            return _views(session, rows)

    def export(self, wanted: EventFilter | None = None) -> Iterator[str]:
        """JSON lines, oldest first, with the chain's own fields, in bounded memory.

        A filtered export has gaps by nature: only the whole one can be verified.
        """
        clauses = _clauses(wanted or EventFilter())
        return self._lines(clauses)

    def _lines(self, clauses: list[ColumnElement[bool]]) -> Iterator[str]:
        with self._database.read() as session:
            for row in session.scalars(
                select(EventRow)
                .where(*clauses)
                .order_by(col(EventRow.seq))
                .execution_options(yield_per=BATCH)
            ):
                yield line(row)


def _clauses(wanted: EventFilter) -> list[ColumnElement[bool]]:
    unknown = sorted(set(wanted.types) - set(TYPES))
    if unknown:
        raise InputError(f"There is no event type '{unknown[0]}'.", fix=f"Use {', '.join(TYPES)}.")
    clauses: list[ColumnElement[bool]] = []
    if wanted.types:
        clauses.append(col(EventRow.type).in_(wanted.types))
    if wanted.actor:
        clauses.append(col(EventRow.actor) == wanted.actor)
    if wanted.subject:
        clauses.append(col(EventRow.subject) == wanted.subject)
    if wanted.since is not None:
        clauses.append(col(EventRow.at) >= wanted.since)
    if wanted.until is not None:
        clauses.append(col(EventRow.at) < wanted.until)
    return clauses


def _views(session: Session, rows: Sequence[EventRow]) -> tuple[EventView, ...]:
    actors = {row.actor for row in rows}
    people = session.execute(
        select(col(PersonRow.id), col(PersonRow.name)).where(col(PersonRow.id).in_(actors))
    ).all()
    names = {row[0]: row[1] for row in people}
    return tuple(_view(row, names.get(row.actor, row.actor)) for row in rows)


def _view(row: EventRow, actor_name: str) -> EventView:
    body = json.loads(row.body)
    fields = {k: v for k, v in body.items() if k not in ("type", "actor", "subject")}
    return EventView(
        row.seq, row.at, row.type, row.actor, actor_name, row.subject, fields, row.hash
    )
