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

from sqlalchemy import insert, select, update
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ChainHeadRow, EventRow
from app.domain import Json, now
from app.records.events import Event

GENESIS = "0" * 64


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
        """Needs a `Database.write()` session; the chain's head row is locked until it commits."""
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
            session.execute(insert(EventRow), rows)
            session.execute(
                update(ChainHeadRow).where(col(ChainHeadRow.id) == 1).values(seq=seq, hash=previous)
            )

    def _lock_head(self, session: Session) -> tuple[int, str]:
        statement = select(col(ChainHeadRow.seq), col(ChainHeadRow.hash)).where(
            col(ChainHeadRow.id) == 1
        )
        row = session.execute(statement.with_for_update()).one_or_none()
        if row is None:
            session.execute(insert(ChainHeadRow), [{"id": 1, "seq": 0, "hash": GENESIS}])
            return 0, GENESIS
        return row[0], row[1]

    def verify(self) -> Verified:
        """Walks the whole chain. Memory stays flat."""
        previous, seq = GENESIS, 0
        with self._database.read() as session:
            for row in session.execute(
                select(EventRow).order_by(col(EventRow.seq)).execution_options(yield_per=1000)
            ).scalars():
                if row.seq != seq + 1:
                    return Verified(
                        seq, previous, Break(seq + 1, f"missing; the next is {row.seq}")
                    )
                if row.previous != previous:
                    return Verified(
                        seq, previous, Break(row.seq, "does not follow its predecessor")
                    )
                if row.hash != chain_hash(previous, row.seq, row.at, row.body):
                    return Verified(seq, previous, Break(row.seq, "its content was changed"))
                if _columns_differ(row):
                    return Verified(
                        seq, previous, Break(row.seq, "its columns contradict its body")
                    )
                previous, seq = row.hash, row.seq
            head = session.execute(select(ChainHeadRow)).scalars().one_or_none()
        recorded = (head.seq, head.hash) if head else (0, GENESIS)
        if recorded != (seq, previous):
            return Verified(seq, previous, Break(seq + 1, f"cut off; the head says {recorded[0]}"))
        return Verified(seq, previous, None)

    def export(self) -> Iterator[str]:
        """One JSON object a line, oldest first, with the chain's own fields."""
        with self._database.read() as session:
            for row in session.execute(
                select(EventRow).order_by(col(EventRow.seq)).execution_options(yield_per=1000)
            ).scalars():
                yield json.dumps(
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
