"""A thread that looks every few seconds for connectors whose time has come."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)
EVERY_S = 15.0


class Schedule:
    """Calls `first` once and then `look` at each turn, in a daemon thread. A look that fails is logged and tried again."""

    def __init__(
        self, look: Callable[[], None], first: Callable[[], None], every_s: float = EVERY_S
    ) -> None:
        self._look = look
        self._first = first
        self._every_s = every_s
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="sync-schedule", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended, or after 5 seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def wake(self) -> None:
        """Something was asked for: the next look is now."""
        self._woken.set()

    def _run(self) -> None:
        self._try(self._first)
        while not self._stopping.is_set():
            self._try(self._look)
            self._woken.wait(self._every_s)
            self._woken.clear()

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            # The database may be busy or the index down: the next turn tries again.
            log.warning("sync schedule failed", cause=repr(error))
