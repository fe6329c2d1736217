"""Where sources call when something changed there. Each connector verifies its own callers; who cannot be verified learns nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.requests import Request
from starlette.responses import Response

from app.api.body import read_body
from app.errors import NotFound, SwitchboardError
from connectors.contract import BadEvent, Event, SourceFault

if TYPE_CHECKING:
    from app.wiring import Services

ROUTE = "/hooks/connectors/{id}"
REFUSED = "There is no such hook, or the call is not from its source."
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Hooks:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def connector(self, request: Request) -> Response:
        """202 when the event was understood, or 200 with what a handshake wants back."""
        event = Event(
            body=await read_body(request),
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query_params),
        )
        connector_id = str(request.path_params["id"])
        reply = await self._services.turns.in_pool(lambda: self._handle(connector_id, event))
        if reply:
            # Plain text and never sniffed: a handshake repeats what the caller sent.
            return Response(reply, media_type="text/plain")
        return Response(status_code=202)

    def _handle(self, connector_id: str, event: Event) -> bytes:
        try:
            return self._services.sync.handle_event(connector_id, event).reply
        except (BadEvent, NotFound) as error:
            log.warning("hook refused", connector=connector_id, cause=type(error).__name__)
            raise NotFound(REFUSED, fix="Check the address and the signing secret.") from None
        except SourceFault as fault:
            raise SwitchboardError(fault.message, fix=fault.fix) from fault
