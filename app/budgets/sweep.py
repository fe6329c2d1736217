"""Looks now and then for reservations that nobody will settle."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.budgets.reservations import Reservations

EVERY_S = 60.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Sweep:
    """A thread between `start()` and `stop()`."""

    def __init__(self, reservations: Reservations) -> None:
        self._reservations = reservations
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, every_s: float = EVERY_S) -> None:
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._run, args=(every_s,), name="budget-sweep", daemon=True
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
                if expired := self._reservations.sweep():
                    log.info("budget reservations expired", count=expired)
            except SQLAlchemyError as error:
                log.warning("budget sweep failed", cause=type(error).__name__)
