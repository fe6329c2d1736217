"""What of a sync outlives its process: runs, and the removal of a connector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from app.domain import Json

SYNC, REMOVE = "sync", "remove_connector"


class DurableWork(Protocol):
    """What is needed of `app.durable.Durable`."""

    def register(self, name: str, function: Callable[[Json], None]) -> None: ...

    def start(self, name: str, workflow_id: str, argument: Json, queue: Any = ...) -> None: ...

    def status(self, workflow_id: str) -> str | None: ...


class Background:
    """`run` does the work of a run, with the id of whoever asked; `remove` takes what a connector brought. Both are begun
    again by the next process when this one dies."""

    def __init__(
        self,
        durable: DurableWork,
        run: Callable[[str, str], None],
        remove: Callable[[str], None],
    ) -> None:
        self._durable = durable
        durable.register(
            SYNC, lambda argument: run(str(argument["run_id"]), str(argument["actor"]))
        )
        durable.register(REMOVE, lambda argument: remove(str(argument["connector_id"])))

    def start_run(self, run_id: str, actor_id: str) -> None:
        argument = {"run_id": run_id, "actor": actor_id}
        self._durable.start(SYNC, _workflow(run_id), argument, "sync")

    def has_run(self, run_id: str) -> bool:
        """Whether it waits or is worked on, here or in another process."""
        return self._durable.status(_workflow(run_id)) in {"ENQUEUED", "PENDING", "DELAYED"}

    def start_removal(self, connector_id: str) -> None:
        self._durable.start(
            REMOVE, f"remove:{connector_id}", {"connector_id": connector_id}, "sync"
        )


def _workflow(run_id: str) -> str:
    return f"sync:{run_id}"
