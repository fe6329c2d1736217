"""How long a person waits: for the first token, and for the next one. Wraps the stream of any adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.domain import ModelChunk
from app.errors import ModelTimeout


async def with_deadlines(
    stream: AsyncGenerator[ModelChunk, None],
    *,
    label: str,
    first_token_s: float,
    silence_s: float,
) -> AsyncGenerator[ModelChunk, None]:
    """Passes the chunks on. Raises ModelTimeout and closes the stream when the first chunk takes longer than
    `first_token_s`, or a later one longer than `silence_s`, both in seconds of waiting for the model (not for the
    consumer)."""
    limit, waited_for = first_token_s, "a first word"
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout(limit):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ModelTimeout(
                    f"{label} kept silent for {limit:g} seconds.",
                    detail=f"waited {limit:g} s for {waited_for}",
                ) from None
            yield chunk
            limit, waited_for = silence_s, "the next word"
