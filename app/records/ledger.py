"""The append-only, hash-chained log.

Each row holds the canonical JSON of its event and `hash = SHA-256(previous + "\\n" + seq + "\\n" + at + "\\n" + body)`. The head row
names the last seq and hash, so a removed tail shows as well as a change, a gap or a swap. The chain proves tampering to
whoever kept an earlier head (`audit verify` prints it); it cannot stop somebody who may write to the database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from sqlalchemy import Insert, Select, Update, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ChainHeadRow, EventRow
from app.domain import Json, now
from app.records.events import Event

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class _Statements:
    lock_head: Select[int, str]
    add: Insert
    move_head: Update


@cache
def _statements() -> _Statements:
    """Built once, and run on the connection itself: several events are appended for every question."""
    head = ChainHeadRow.__table__  # type: ignore[attr-defined]
    return _Statements(
        select(head.c.seq, head.c.hash).where(head.c.id == 1).with_for_update(),
        insert(EventRow.__table__),  # type: ignore[attr-defined]
        update(head).where(head.c.id == 1).values(seq=bindparam("seq"), hash=bindparam("hash")),
    )


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold: `seq` of the first wrong row and what is wrong with it."""

    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    events: int
    head: str
    broken: Break | None


class Ledger:
    """Appends inside the caller's transaction, so a change and its record commit together or not at all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *events: Event) -> None:
        """Appends in a transaction of its own; for what changes nothing else, such as a denial."""
        with self._database.write() as session:
            self.append(session, *events)

    def append(self, session: Session, *events: Event) -> None:
        """Needs a `Database.write()` session; the chain's head row is locked until it commits.

        What the session has to write goes first: whoever holds the head must not wait for a row whose owner waits for the head.
        """
        session.flush()
        seq, previous = self._lock_head(session)
        rows: list[Json] = []
        for event in events:
            seq += 1
            at = now()
            body = canonical(event)
            digest = chain_hash(previous, seq, at, body)
            rows.append(
                {
                    "seq": seq,
                    "at": at,
                    "type": event.type,
                    "actor": event.actor,
                    "subject": event.subject,
                    "body": body,
                    "previous": previous,
                    "hash": digest,
                }
            )
            previous = digest
        if rows:
            connection = session.connection()
            connection.execute(_statements().add, rows)
            connection.execute(_statements().move_head, {"seq": seq, "hash": previous})

    def _lock_head(self, session: Session) -> tuple[int, str]:
        connection = session.connection()
        row = connection.execute(_statements().lock_head).one_or_none()
        if row is None:  # the first event ever; on PostgreSQL another process may be at it too
            insert_new = sqlite.insert if self._database.is_sqlite else postgresql.insert
            connection.execute(
                insert_new(ChainHeadRow)
                .values(id=1, seq=0, hash=GENESIS)
                .on_conflict_do_nothing(index_elements=["id"])
            )
            row = connection.execute(_statements().lock_head).one()
        return row[0], row[1]

    def verify(self, kept_head: str = "") -> Verified:
        """Walks the whole chain, in one snapshot. Memory stays flat.

        `kept_head` is a head that somebody noted earlier: a chain that was rewritten as a whole does not contain it.
        """
        with self._database.read() as session:
            if not self._database.is_sqlite:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            walk = _Walk(kept_head)
            broken = walk.through(session)
            head = session.execute(
                select(col(ChainHeadRow.seq), col(ChainHeadRow.hash))
            ).one_or_none()
        if broken is None:
            broken = walk.end(*(head or (0, GENESIS)))
        return Verified(walk.seq, walk.previous, broken)

    def export(self) -> Iterator[str]:
        """One JSON object a line, oldest first, with the chain's own fields."""
        with self._database.read() as session:
            for row in session.execute(
                select(EventRow).order_by(col(EventRow.seq)).execution_options(yield_per=1000)
            ).scalars():
                yield line(row)


def line(row: EventRow) -> str:
    """One event as one line of JSON."""
    return json.dumps(
        {
            "seq": row.seq,
            "at": row.at.isoformat(),
            "event": json.loads(row.body),
            "previous": row.previous,
            "hash": row.hash,
        },
        ensure_ascii=False,
    )


def canonical(event: Event) -> str:
    return json.dumps(
        event.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def chain_hash(previous: str, seq: int, at: datetime, body: str) -> str:
    text = f"{previous}\n{seq}\n{at.astimezone(UTC).isoformat()}\n{body}"
    return hashlib.sha256(text.encode()).hexdigest()


def _columns_differ(row: EventRow) -> bool:
    body = json.loads(row.body)
    return (row.type, row.actor, row.subject) != (body["type"], body["actor"], body["subject"])


class _Walk:
    """Where a verification stands: the last event that held, and its hash."""

    def __init__(self, kept_head: str) -> None:
        self.seq = 0
        self.previous = GENESIS
        self._kept_head = kept_head
        self._kept_seen = kept_head in ("", GENESIS)

    def through(self, session: Session) -> Break | None:
        rows = session.execute(
            select(EventRow).order_by(col(EventRow.seq)).execution_options(yield_per=1000)
        ).scalars()
        try:
            for row in rows:
                problem = self._problem(row)
                if problem:
                    return Break(min(row.seq, self.seq + 1), problem)
                self.previous, self.seq = row.hash, row.seq
                self._kept_seen = self._kept_seen or row.hash == self._kept_head
        except (ValueError, TypeError):  # a column that no longer holds a value of its type
            return self._unreadable(session)
        return None

    def end(self, head_seq: int, head_hash: str) -> Break | None:
        if (head_seq, head_hash) != (self.seq, self.previous):
            return Break(
                min(head_seq, self.seq) + 1,
                f"the end was changed: the head says {head_seq} events, the log has {self.seq}",
            )
        if not self._kept_seen:
            return Break(1, "the whole log was rewritten: the head you kept is not in it")
        return None

    def _problem(self, row: EventRow) -> str:
        if row.seq != self.seq + 1:
            return f"missing; the next is {row.seq}"
        if row.previous != self.previous:
            return "does not follow its predecessor"
        if row.hash != chain_hash(self.previous, row.seq, row.at, row.body):
            return "its content was changed"
        if _columns_differ(row):
            return "its columns contradict its body"
        return ""

    def _unreadable(self, session: Session) -> Break:
        """Rows come in batches, so the one that cannot be read is looked for one by one."""
        while True:
            seq = self.seq + 1
            try:
                row = session.execute(select(EventRow).where(col(EventRow.seq) == seq)).scalar()
            except (ValueError, TypeError):
                return Break(seq, "it cannot be read; a column was changed")
            problem = self._problem(row) if row is not None else "missing"
            if row is None or problem:
                return Break(seq, problem)
            self.previous, self.seq = row.hash, row.seq
