"""Whether a source is being read for the first time: whoever asks meanwhile is told that an answer may still be missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import select
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import ConnectorRow
from app.knowledge.sync.clocks import ACTIVE, AT_REST, CONTENT
from app.knowledge.sync.overview import latest_runs

GOES_ON = (*ACTIVE, "interrupted")
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
    """One whose newest run failed waits for its admin and is not being read, and neither is one that rests."""
    never = select(col(ConnectorRow.id)).where(
        col(ConnectorRow.last_sync_at).is_(None), col(ConnectorRow.status).not_in(AT_REST)
    )
    for connector_id in session.execute(never).scalars().all():
        run = latest_runs(session, connector_id).get((connector_id, CONTENT))
        if run is None or run.status in GOES_ON:
            return True
    return False
