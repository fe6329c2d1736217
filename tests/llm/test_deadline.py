"""Deadlines: for the first token and for silence, counted while waiting for the model only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.domain import ModelChunk, ModelDone, TextDelta, Usage
from app.errors import ModelTimeout, ModelUnavailable
from app.llm import with_deadlines


class Source:
    """Yields after the given waits in seconds; says whether it was closed."""

    def __init__(self, *waits: float) -> None:
        self.waits = waits
        self.closed = False

    async def stream(self) -> AsyncGenerator[ModelChunk, None]:
        try:
            for wait in self.waits:
                await asyncio.sleep(wait)
                yield TextDelta("x")
            yield ModelDone(Usage(1, 1))
        finally:
            self.closed = True


def guarded(
    source: Source, first: float = 1.0, silence: float = 1.0
) -> AsyncGenerator[ModelChunk, None]:
    return with_deadlines(source.stream(), label="M", first_token_s=first, silence_s=silence)


async def test_everything_in_time_passes_through() -> None:
    source = Source(0, 0, 0)
    chunks = [chunk async for chunk in guarded(source)]
    assert [type(c) for c in chunks] == [TextDelta] * 3 + [ModelDone]
    assert source.closed


async def test_a_late_first_token_is_a_timeout() -> None:
    source = Source(5)
    with pytest.raises(ModelTimeout) as caught:
        await anext(guarded(source, first=0.01))
    assert "first word" in caught.value.detail
    assert source.closed


async def test_a_late_next_token_is_a_timeout() -> None:
    source = Source(0, 5)
    stream = guarded(source, silence=0.01)
    await anext(stream)
    with pytest.raises(ModelTimeout) as caught:
        await anext(stream)
    assert "next word" in caught.value.detail
    assert source.closed


async def test_a_slow_reader_is_not_the_models_fault() -> None:
    source = Source(0, 0)
    stream = guarded(source, silence=0.02)
    await anext(stream)
    await asyncio.sleep(0.05)
    assert await anext(stream) == TextDelta("x")
    await stream.aclose()
    assert source.closed


async def test_the_models_own_errors_pass() -> None:
    async def broken() -> AsyncGenerator[ModelChunk, None]:
        raise ModelUnavailable("Down.")
        yield TextDelta("")

    with pytest.raises(ModelUnavailable, match="Down"):
        await anext(with_deadlines(broken(), label="M", first_token_s=1, silence_s=1))


async def test_cancelling_the_reader_closes_the_source() -> None:
    source = Source(5)
    task = asyncio.ensure_future(anext(guarded(source)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed
