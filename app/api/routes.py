"""What is mounted, and what every endpoint has in common: our errors in OpenAI's shape, and a count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from app.api.chat import ROUTE as CHAT
from app.api.chat import ChatEndpoint
from app.api.errors import broken_response, error_response
from app.api.gate import Gate, Visit
from app.api.health import HEALTHZ, METRICS, READYZ, Health
from app.api.hooks import ROUTE as HOOK
from app.api.hooks import Hooks
from app.api.lookup import BUDGETS, MODELS, RECEIPT, SEARCH, Lookups
from app.api.metrics import Metrics
from app.errors import InputError, NotFound, SwitchboardError

if TYPE_CHECKING:
    from app.wiring import Services

ANYTHING_ELSE = "/v1/{path:path}"
CLIENT_GONE = 499
"""nginx's number for a client that left; nobody receives it, but it is counted."""

Endpoint = Callable[[Request], Awaitable[Response]]
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def api_routes(services: Services) -> list[Route]:
    """The routes of the API, for one app. Called once: it counts turns from then on."""
    gate = Gate(
        services.identity.keys,
        services.policy,
        services.ledger,
        services.settings.api_requests_per_minute,
    )
    metrics = Metrics(services.database, services.turns, services.catalogue)
    chat = ChatEndpoint(services, gate)
    lookups = Lookups(services, gate)
    health = Health(services, gate, metrics)
    hooks = Hooks(services)

    async def anything_else(request: Request) -> Response:
        await services.turns.in_pool(lambda: gate.enter(Visit.of(request, ANYTHING_ELSE)))
        if f"/v1/{request.path_params['path']}" in (CHAT, MODELS, SEARCH, BUDGETS):
            raise InputError(
                f"{request.method} is not used here.", fix="See the README's API part."
            )
        raise NotFound("There is no such endpoint.", fix="See the README's API part.")

    return [
        Route(CHAT, _counted(CHAT, chat, metrics), methods=["POST"]),
        Route(MODELS, _counted(MODELS, lookups.models, metrics), methods=["GET"]),
        Route(SEARCH, _counted(SEARCH, lookups.search, metrics), methods=["GET"]),
        Route(RECEIPT, _counted(RECEIPT, lookups.receipt, metrics), methods=["GET"]),
        Route(BUDGETS, _counted(BUDGETS, lookups.budgets, metrics), methods=["GET"]),
        Route(HOOK, _counted(HOOK, hooks.connector, metrics), methods=["POST"]),
        Route(HEALTHZ, _counted(HEALTHZ, health.alive, metrics), methods=["GET"]),
        Route(READYZ, _counted(READYZ, health.ready, metrics), methods=["GET"]),
        Route(METRICS, _counted(METRICS, health.metrics, metrics), methods=["GET"]),
        Route(
            ANYTHING_ELSE,
            _counted(ANYTHING_ELSE, anything_else, metrics),
            methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        ),
    ]


def _counted(route: str, endpoint: Endpoint, metrics: Metrics) -> Endpoint:
    async def handle(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except SwitchboardError as error:
            response = error_response(error)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_GONE)
        except Exception as error:
            # The last line of defence: the client gets an answer in the usual shape and the log gets the cause.
            log.exception("request broke", route=route, error=type(error).__name__)
            response = broken_response()
        metrics.request_over(route, request.method, response.status_code)
        return response

    return handle
