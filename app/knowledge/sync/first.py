"""Whether a source is being read for the first time: whoever asks meanwhile is told that an answer may still be missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import or_, select
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow, SyncRunRow
from app.knowledge.sync.clocks import ACTIVE, AT_REST, CONTENT

LOOKED_EVERY_S = 5.0  # every question asks for it, and it changes a few times in a source's life


class FirstSyncs:
    """Names no source: whether there is one that somebody may not know of is not told. Safe to call from any thread."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: tuple[float, bool] | None = None

    def under_way(self) -> bool:
        """As it was at most `LOOKED_EVERY_S` ago."""
        known, at = self._known, self._clock()
        if known is None or at - known[0] >= LOOKED_EVERY_S:
            with self._database.read() as session:
                known = at, _under_way(session)
            self._known = known
        return known[1]


def _under_way(session: Session) -> bool:
    """One that failed and waits for its admin is not being read, and neither is one that rests."""
    runs = select(col(SyncRunRow.id)).where(
        col(SyncRunRow.connector_id) == col(ConnectorRow.id), col(SyncRunRow.scope) == CONTENT
    )
    going_on = runs.where(col(SyncRunRow.status).in_((*ACTIVE, "interrupted")))
    found = select(col(ConnectorRow.id)).where(
        col(ConnectorRow.last_sync_at).is_(None),
        col(ConnectorRow.status).not_in(AT_REST),
        or_(~runs.exists(), going_on.exists()),
    )
    return session.execute(found.limit(1)).first() is not None
