"""Sources that tell when they change: each watched one leaves word for the next look of the schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import structlog

from app.db.tables import ConnectorRow
from app.errors import SwitchboardError
from app.knowledge.sync.workshop import Workshop
from connectors.contract import SourceFault

log = structlog.get_logger(__name__)


class Watchers:
    """Used by the schedule's thread only; `changed` is called from the watchers' own threads."""

    def __init__(self, workshop: Workshop, changed: Callable[[str], None]) -> None:
        self._workshop = workshop
        self._changed = changed
        self._running: dict[tuple[str, int], ExitStack] = {}

    def settle(self, wanted: Mapping[tuple[str, int], ConnectorRow]) -> None:
        """Ends watchers of connectors that changed, rest or are gone, and begins those that are missing."""
        for key in self._running.keys() - wanted.keys():
            self._running.pop(key).close()
        for key in wanted.keys() - self._running.keys():
            self._begin(key, wanted[key])

    def stop(self) -> None:
        self.settle({})

    def _begin(self, key: tuple[str, int], row: ConnectorRow) -> None:
        stack = ExitStack()
        try:
            connector = stack.enter_context(self._workshop.connector(row))
            stack.callback(connector.watch(lambda: self._changed(row.id)))
        except (SourceFault, SwitchboardError, OSError) as error:
            # The clock still runs; the next look tries again.
            stack.close()
            log.info("not watched", connector=row.id, cause=type(error).__name__)
            return
        self._running[key] = stack
