"""Server-sent events from the bytes of a response.

The SDKs' own streams build a Pydantic object for each token: 40 tokens cost more than the rest of the call together. This
reads the same bytes, through the same client, and hands over plain JSON, all events of one network read at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic_core import from_json

_MAX_EVENT_BYTES = 4 * 1024 * 1024


class MalformedEvent(Exception):
    """A line that is no JSON object, or an event that never ends."""


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Lists of the `data:` objects of each read. `[DONE]` comes out as `{"done": True}`.

    Raises MalformedEvent. Other fields (`event:`, `id:`, comments) are skipped: both wire formats repeat the event's name
    in its data.
    """
    rest = b""
    async for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > _MAX_EVENT_BYTES:
            raise MalformedEvent("endless event")
        found = [_data(line) for line in lines if line.startswith(b"data:")]
        if found:
            yield found
    if rest.startswith(b"data:"):
        yield [_data(rest)]


def _data(line: bytes) -> dict[str, Any]:
    body = line[5:].strip()
    if body == b"[DONE]":
        return {"done": True}
    try:
        value = from_json(body)
    except ValueError:
        raise MalformedEvent("malformed chunk") from None
    if not isinstance(value, dict):
        raise MalformedEvent("malformed chunk")
    return value
