"""POST /v1/chat/completions: one turn, the same as on the page, in OpenAI's format.

A client that goes away stops its turn. Nothing is sent before the first word, so that a turn that fails earlier has its
own status; one that breaks later ends its stream with an error object.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.api.body import Asked, parse, read_body
from app.api.errors import BROKEN, Shape, error_body, failed_response, failed_shape
from app.api.gate import Caller, Gate, Visit
from app.api.wire import ChunkWriter, completion
from app.chat import LiveTurn
from app.domain import Failed, Finished, Person, Routed, Stopped, TextDelta, TurnEvent
from app.errors import Denied, NotFound

if TYPE_CHECKING:
    from app.wiring import Services

ROUTE = "/v1/chat/completions"
STOPPED = "The answer was stopped before it was complete."
STOPPED_SHAPE = Shape(503, "server_error", "stopped")
End = Finished | Failed | Stopped


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that runs for a caller."""

    asked: Asked
    caller: Caller
    live: LiveTurn

    @property
    def headers(self) -> dict[str, str]:
        return {**self.caller.headers, "Switchboard-Receipt": self.live.turn_id}


class ChatEndpoint:
    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def __call__(self, request: Request) -> Response:
        raw = await read_body(request)
        visit = Visit.of(request, ROUTE)
        turns = self._services.turns
        begun = await turns.in_pool(functools.partial(self._begin, visit, raw))
        watcher = asyncio.create_task(self._stop_when_gone(request, begun))
        if begun.asked.stream:
            return await self._streamed(begun, watcher)
        try:
            return _whole(await _end_of(begun.live), begun.headers)
        finally:
            watcher.cancel()

    def _begin(self, visit: Visit, raw: bytes) -> Begun:
        """One trip to a thread: key, policy, body, question. Raises before anything is stored."""
        caller = self._gate.enter(visit)
        asked = parse(raw)
        if asked.wish is not None:
            self._check_wish(caller.person, asked.wish)
        live = self._services.turns.start(
            caller.person, None, asked.text, asked.wish, history=asked.history, channel="api"
        )
        return Begun(asked, caller, live)

    def _check_wish(self, person: Person, wish: str) -> None:
        cards = self._services.catalogue.cards()
        card = next((card for card in cards if card.id == wish and card.offered), None)
        if card is None:
            raise NotFound(
                f"There is no model '{wish}'.", fix="GET /v1/models lists those you may use."
            )
        decision = self._services.policy.use_model(
            person, card.id, card.provider, card.local, card.audience
        )
        if not decision.allowed:
            raise Denied(
                f"You may not use the model '{wish}'. {decision.reason}",
                reason=decision.reason,
                fix="GET /v1/models lists those you may use.",
            )

    async def _stop_when_gone(self, request: Request, begun: Begun) -> None:
        """The body has been read, so the next message is the goodbye."""
        while (await request.receive())["type"] != "http.disconnect":
            continue
        self._services.turns.stop(begun.caller.person, begun.live.turn_id)

    async def _streamed(self, begun: Begun, watcher: asyncio.Task[None]) -> Response:
        batches = begun.live.batches()
        head: list[TurnEvent] = []
        try:
            async for batch in batches:
                head += batch
                if any(isinstance(event, TextDelta | End) for event in batch):
                    break
            end = head[-1] if head else None
            if not _text(head) and not isinstance(end, Finished):
                watcher.cancel()
                return _whole(_the_end(head), begun.headers)
        except BaseException:
            watcher.cancel()
            raise
        return EventStream(begun, head, batches, watcher)


class EventStream(Response):
    """Server-sent events, one write for all the words that wait."""

    media_type = "text/event-stream"

    def __init__(
        self,
        begun: Begun,
        head: Sequence[TurnEvent],
        batches: AsyncIterator[list[TurnEvent]],
        watcher: asyncio.Task[None],
    ) -> None:
        super().__init__(None, 200, {**begun.headers, "Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._head = head
        self._batches = batches
        self._watcher = watcher
        routed = next((event for event in head if isinstance(event, Routed)), None)
        self._chunks = ChunkWriter(
            begun.live.turn_id, routed.route.model if routed else "", begun.asked.include_usage
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            over = await self._send(send, self._head)
            while not over:
                batch = await anext(self._batches, None)
                over = batch is None or await self._send(send, batch)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._watcher.cancel()

    async def _send(self, send: Send, batch: Sequence[TurnEvent]) -> bool:
        """True when the answer is over."""
        text = _text(batch)
        out = self._chunks.text(text) if text else b""
        end = batch[-1] if batch else None
        match end:
            case Finished():
                out += self._chunks.end(end)
            case Failed():
                out += self._chunks.error(error_body(f"{end.message} {end.fix}", failed_shape(end)))
            case Stopped():
                out += self._chunks.error(error_body(STOPPED, STOPPED_SHAPE))
        if out:
            await send({"type": "http.response.body", "body": out, "more_body": True})
        return isinstance(end, End)


def _text(batch: Sequence[TurnEvent]) -> str:
    return "".join(event.text for event in batch if isinstance(event, TextDelta))


def _the_end(events: Sequence[TurnEvent]) -> End | None:
    return next((event for event in reversed(events) if isinstance(event, End)), None)


async def _end_of(live: LiveTurn) -> End | None:
    async with aclosing(live.batches()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            end = _the_end(batch)
            if end is not None:
                return end
    return None


def _whole(end: End | None, headers: Mapping[str, str]) -> Response:
    match end:
        case Finished():
            return JSONResponse(completion(end), headers=dict(headers))
        case Failed():
            return failed_response(end, headers)
        case Stopped():
            body, status = error_body(STOPPED, STOPPED_SHAPE), STOPPED_SHAPE.status
        case _:
            body, status = error_body("The answer got lost. Ask again.", BROKEN), BROKEN.status
    return JSONResponse(body, status, dict(headers))
