"""For the machines that watch: is the process up, can it answer, what has it counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.gate import Gate, Visit
from app.api.metrics import Metrics
from app.errors import IndexUnavailable
from app.knowledge.index import Readers

if TYPE_CHECKING:
    from app.wiring import Services

HEALTHZ = "/healthz"
READYZ = "/readyz"
METRICS = "/metrics"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
NOBODY = Readers(frozenset({"user:"}))
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Health:
    def __init__(self, services: Services, gate: Gate, metrics: Metrics) -> None:
        self._services = services
        self._gate = gate
        self._metrics = metrics

    async def alive(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """503 names what does not answer; why is in the log, not for everybody."""
        checks = await self._services.turns.in_pool(self._checks)
        good = all(checks.values())
        return JSONResponse(
            {
                "status": "ready" if good else "not ready",
                "checks": {name: "ok" if fine else "failed" for name, fine in checks.items()},
            },
            200 if good else 503,
        )

    async def metrics(self, request: Request) -> Response:
        visit = Visit.of(request, METRICS)
        work = functools.partial(self._counted, visit)
        return Response(await self._services.turns.in_pool(work), media_type=PROMETHEUS)

    def _counted(self, visit: Visit) -> bytes:
        self._gate.enter_without_key(visit)
        return self._metrics.text()

    def _checks(self) -> dict[str, bool]:
        return {
            "database": _answers("database", self._ask_database),
            "index": _answers("index", self._ask_index),
        }

    def _ask_database(self) -> None:
        with self._services.database.read() as session:
            session.execute(text("SELECT 1 FROM chain_head"))

    def _ask_index(self) -> None:
        """A real search that nobody's documents can match."""
        services = self._services
        nothing = np.zeros(services.embedder.dimension, dtype=np.float32)
        services.index.search(nothing, "", NOBODY, 1)


def _answers(name: str, ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (SQLAlchemyError, IndexUnavailable, OSError) as error:
        log.warning("not ready", part=name, error=type(error).__name__)
        return False
    return True
