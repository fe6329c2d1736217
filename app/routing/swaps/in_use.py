"""Which versions are in use, published or as a canary, and the routing table as each person has it by them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from sqlalchemy import select
from sqlmodel import col

from app.db import Database
from app.db.tables import RouteVersionRow
from app.domain import Person
from app.routing.swaps.laid_over import laid_over, pick
from app.routing.table import RoutingTable

REREAD_S = 5.0


class InUse:
    """Thread-safe. A change made by another process is seen within five seconds, one of this process after `forget`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._live: dict[str, tuple[RouteVersionRow | None, RouteVersionRow | None]] = {}
        self._read_at: float | None = None
        self._tables: dict[tuple[str, ...], tuple[RoutingTable, RoutingTable]] = {}

    def current(self) -> dict[str, tuple[RouteVersionRow | None, RouteVersionRow | None]]:
        """Published and canary by intent, for intents that have either."""
        at = time.monotonic()
        if self._read_at is None or at - self._read_at > REREAD_S:
            with self._database.read() as session:
                rows = session.execute(
                    select(RouteVersionRow).where(
                        col(RouteVersionRow.status).in_(("published", "canary"))
                    )
                ).scalars()
                found: dict[str, dict[str, RouteVersionRow]] = {}
                for row in rows:
                    found.setdefault(row.intent, {})[row.status] = row
            with self._lock:
                self._live = {i: (r.get("published"), r.get("canary")) for i, r in found.items()}
                self._tables.clear()
                self._read_at = at
        return self._live

    def table(self, person: Person, base: RoutingTable) -> RoutingTable:
        """`base` as it is for this person now."""
        live = self.current()
        if not live:
            return base
        chosen = {
            intent: pick(published, canary, person.id)
            for intent, (published, canary) in live.items()
        }
        key = (str(id(base)), *(f"{i}:{r.id if r else 0}:{a}" for i, (r, a) in chosen.items()))
        with self._lock:
            if key not in self._tables:
                entries = tuple(laid_over(e, live, chosen) for e in base.entries)
                # The base is kept too: another one that got its id would be taken for it.
                self._tables[key] = (base, replace(base, entries=entries))
            return self._tables[key][1]

    def forget(self) -> None:
        """The next look reads anew."""
        self._read_at = None


def naming(database: Database, base: RoutingTable) -> dict[str, dict[str, str]]:
    """For each model that a route of `base` names: the intents, and where first of `published` (as by the file, where nothing
    is), `canary` and `draft`."""
    with database.read() as session:
        rows = list(
            session.execute(
                select(RouteVersionRow).where(
                    col(RouteVersionRow.status).in_(("published", "canary", "draft"))
                )
            ).scalars()
        )
    found: dict[str, dict[str, str]] = {}
    for entry in base.entries:
        own = {row.status: row.models for row in rows if row.intent == entry.name}
        own.setdefault("published", list(entry.models))
        for place in ("published", "canary", "draft"):
            for model in own.get(place, ()):
                found.setdefault(model, {}).setdefault(entry.name, place)
    return found
