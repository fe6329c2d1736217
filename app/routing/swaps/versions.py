"""Versions of an intent's route: drafted, tried by a share of people, published, rolled back. Each step is recorded.

The routing table's file is version 0. What is published here stands in its place; a canary stands there for those people
whose hash falls into its share, the same people at every question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import RouteVersionRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import RouteChanged
from app.routing.swaps.draft import Draft, Names, check, check_still
from app.routing.swaps.in_use import InUse
from app.routing.swaps.laid_over import applied, content_of
from app.routing.table import RouteEntry, RoutingTable

OPEN = ("draft", "canary")
Step = Literal[
    "drafted", "discarded", "canary_started", "canary_stopped", "published", "rolled_back"
]


class RouteVersions:
    """Thread-safe. A change made by another process is seen within five seconds. `table` gives the table as it is without
    versions: its intents may change (app.routing.live)."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        table: Callable[[], RoutingTable],
        names: Names,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._table = table
        self._names = names
        self._clock = clock
        self._in_use = InUse(database)

    # Looking.

    def table(self, person: Person, base: RoutingTable | None = None) -> RoutingTable:
        """The routing table as it is for this person now."""
        return self._in_use.table(person, base or self._table())

    def with_version(self, base: RoutingTable, row: RouteVersionRow) -> RoutingTable:
        """The table as it would be for everybody if this version were published."""
        entries = tuple(applied(e, row) if e.name == row.intent else e for e in base.entries)
        return replace(base, entries=entries)

    def entry(self, intent: str) -> RouteEntry:
        """As it is for people outside any canary. Raises NotFound for an unknown intent."""
        entry = next((e for e in self._table().entries if e.name == intent), None)
        if entry is None:
            raise NotFound(f"There is no intent '{intent}'.", fix="Choose one from the list.")
        published, _ = self._in_use.current().get(intent, (None, None))
        return applied(entry, published) if published else entry

    def in_use(self, intent: str) -> RouteVersionRow:
        """The same as a version that is stored nowhere, to be compared with a draft. Raises NotFound."""
        entry = self.entry(intent)
        return RouteVersionRow(
            intent=entry.name,
            number=entry.version,
            content=content_of(
                entry.models, entry.difficulty.worth_usd if entry.difficulty else None
            ),
            prompt=entry.prompt,
            temperature=entry.temperature,
            max_tokens=entry.max_tokens,
        )

    def foreseen(self) -> RoutingTable:
        """Each intent as its draft or canary would have it where that weighs score and cost, else as it is in use: what has to
        be learned before anybody decides."""
        base = self._table()
        with self._database.read() as session:
            rows = session.execute(
                select(RouteVersionRow).where(col(RouteVersionRow.status).in_((*OPEN, "published")))
            ).scalars()
            # A draft or canary comes last, and so counts.
            versions = sorted(rows, key=lambda row: row.status in OPEN)
        found = {entry.name: entry for entry in base.entries}
        for row in versions:
            plain = next((entry for entry in base.entries if entry.name == row.intent), None)
            if plain is None:
                continue
            changed = applied(plain, row)
            if changed.difficulty is not None or row.status == "published":
                found[row.intent] = changed
        return replace(base, entries=tuple(found.values()))

    def history(self, intent: str) -> list[RouteVersionRow]:
        """Newest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(RouteVersionRow)
                    .where(col(RouteVersionRow.intent) == intent)
                    .order_by(col(RouteVersionRow.number).desc())
                ).scalars()
            )

    def open_version(self, intent: str) -> RouteVersionRow | None:
        """The draft or canary of an intent; there is one at most."""
        return next((row for row in self.history(intent) if row.status in OPEN), None)

    def canaries(self) -> list[RouteVersionRow]:
        return [canary for _, canary in self._in_use.current().values() if canary is not None]

    def get(self, version_id: str) -> RouteVersionRow:
        with self._database.read() as session:
            return _existing(session, version_id)

    # Changing. The caller has asked Policy.administer.

    def draft(self, actor: Person, intent: str, draft: Draft) -> RouteVersionRow:
        """Makes the intent's draft, or changes the one there is. Raises NotFound, and InputError for names that do not exist,
        while a canary runs, or when another admin drafted at the same moment."""
        self.entry(intent)
        check(draft, self._names)
        try:
            return self._drafted(actor, intent, draft)
        except IntegrityError:
            raise InputError(
                "Somebody else drafted this route at the same moment.", fix="Reload the page."
            ) from None

    def _drafted(self, actor: Person, intent: str, draft: Draft) -> RouteVersionRow:
        with self._database.write() as session:
            row = _open(session, intent)
            if row is not None and row.status == "canary":
                raise InputError(
                    "A canary of this intent is running.", fix="Stop or publish it first."
                )
            if row is None:
                row = RouteVersionRow(
                    intent=intent,
                    number=_next_number(session, intent),
                    content={},
                    prompt="",
                    temperature=0,
                    max_tokens=0,
                    created_by=actor.id,
                    created_at=self._clock(),
                )
            row.content, row.prompt = content_of(draft.models, draft.worth_usd), draft.prompt
            row.temperature, row.max_tokens = draft.temperature, draft.max_tokens
            return self._step(session, row, "drafted", actor.id)

    def discard(self, actor: Person, version_id: str) -> None:
        """Raises InputError for what is no draft any more."""
        with self._database.write() as session:
            row = _existing(session, version_id)
            _expect(row, "draft")
            row.status, row.ended_at = "discarded", self._clock()
            self._step(session, row, "discarded", actor.id)

    def start_canary(self, actor: Person, version_id: str, share: float) -> None:
        """`share` of people, 0 to 1, answered by this version from now on. Raises InputError."""
        if not 0 < share < 1:
            raise InputError("A canary is for more than nobody and fewer than everybody.")
        with self._database.write() as session:
            row = _existing(session, version_id)
            _expect(row, "draft")
            check_still(row, self._names)
            row.status, row.share, row.canary_since = "canary", share, self._clock()
            self._step(session, row, "canary_started", actor.id)

    def stop_canary(self, actor: Person, version_id: str) -> None:
        """Back to a draft. Raises InputError for what is no canary."""
        with self._database.write() as session:
            row = _existing(session, version_id)
            _expect(row, "canary")
            row.status, row.share = "draft", 0.0
            self._step(session, row, "canary_stopped", actor.id)

    def publish(self, actor: Person, version_id: str) -> None:
        """For everybody from the next question on. Raises InputError for what is neither draft nor canary, or names what is
        not there any more."""
        with self._database.write() as session:
            row = _existing(session, version_id)
            _expect(row, *OPEN)
            check_still(row, self._names)
            for before in _with_status(session, row.intent, "published"):
                before.status, before.ended_at = "retired", self._clock()
                session.add(before)
            row.status, row.share, row.published_at = "published", 0.0, self._clock()
            self._step(session, row, "published", actor.id)

    def roll_back(self, actor_id: str, version_id: str, reason: str) -> None:
        """A canary ends at once; a published version gives way to the one before it. `actor_id` is `system` for the guard.

        Raises InputError for a version that is not in use; harmless to repeat for one that was rolled back already.
        """
        with self._database.write() as session:
            row = _existing(session, version_id)
            if row.status == "rolled_back":
                return
            _expect(row, "canary", "published")
            if row.status == "published":
                self._restore_before(session, row)
            row.status, row.note, row.ended_at, row.share = (
                "rolled_back",
                reason,
                self._clock(),
                0.0,
            )
            self._step(session, row, "rolled_back", actor_id, reason)

    def _restore_before(self, session: Session, row: RouteVersionRow) -> None:
        if last := before_it(_with_status(session, row.intent, "retired")):
            last.status, last.ended_at = "published", None
            session.add(last)

    def _step(
        self, session: Session, row: RouteVersionRow, change: Step, actor: str, reason: str = ""
    ) -> RouteVersionRow:
        session.add(row)
        self._ledger.append(
            session,
            RouteChanged(
                actor=actor,
                subject=row.id,
                change=change,
                intent=row.intent,
                version=row.number,
                reason=reason,
                values={
                    **content_of(row.models, row.worth_usd),
                    "prompt": row.prompt,
                    "temperature": row.temperature,
                    "max_tokens": row.max_tokens,
                    "share": row.share,
                },
            ),
        )
        self._in_use.forget()
        return row


def before_it(rows: Iterable[RouteVersionRow]) -> RouteVersionRow | None:
    """Of an intent's versions the one that answers when the published one is rolled back; None for the file."""
    earlier = [row for row in rows if row.status == "retired" and row.published_at]
    return max(earlier, key=lambda row: row.published_at or row.created_at, default=None)


def _existing(session: Session, version_id: str) -> RouteVersionRow:
    row = session.get(RouteVersionRow, version_id)
    if row is None:
        raise NotFound("There is no such version.", fix="Go back to the list of routes.")
    return row


def _with_status(session: Session, intent: str, *statuses: str) -> list[RouteVersionRow]:
    return list(
        session.execute(
            select(RouteVersionRow).where(
                col(RouteVersionRow.intent) == intent, col(RouteVersionRow.status).in_(statuses)
            )
        ).scalars()
    )


def _open(session: Session, intent: str) -> RouteVersionRow | None:
    return next(iter(_with_status(session, intent, *OPEN)), None)


def _next_number(session: Session, intent: str) -> int:
    last = session.execute(
        select(func.max(col(RouteVersionRow.number))).where(col(RouteVersionRow.intent) == intent)
    ).scalar()
    return (last or 0) + 1


def _expect(row: RouteVersionRow, *statuses: str) -> None:
    if row.status not in statuses:
        raise InputError(
            f"Version {row.number} is {row.status.replace('_', ' ')} now.",
            fix="Reload the page to see what changed.",
        )
