"""The guard over canaries: looks at each every few seconds and rolls back the one that does worse than its margins allow."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import SwitchboardError
from app.routing.swaps.comparison import Margins, compare
from app.routing.swaps.versions import RouteVersions

EVERY_S = 10.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CanaryWatch:
    """`check()` on demand, or every ten seconds between `start()` and `stop()`. Costs one cached look where no canary runs."""

    def __init__(
        self, database: Database, versions: RouteVersions, margins: Margins | None = None
    ) -> None:
        self._database = database
        self._versions = versions
        self.margins = margins or Margins()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> list[str]:
        """The ids of the canaries that were rolled back just now."""
        ended = []
        for canary in self._versions.canaries():
            found = compare(self._database, canary, self.margins)
            if found.reasons:
                why = "; ".join(found.reasons)
                self._versions.roll_back("system", canary.id, f"{why[:1].upper()}{why[1:]}.")
                log.warning("canary rolled back", intent=canary.intent, version=canary.number)
                ended.append(canary.id)
        return ended

    def start(self, every_s: float = EVERY_S) -> None:
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._run, args=(every_s,), name="canary-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; harmless when it never started."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, every_s: float) -> None:
        while not self._stopping.wait(every_s):
            try:
                self.check()
            except (SQLAlchemyError, SwitchboardError):
                # The database may be away for a moment, or an admin was quicker: the next look tells.
                log.exception("canaries could not be judged")
