"""The packaged llama.cpp model, for real."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.domain import ModelDone, TextDelta
from app.errors import ContextTooLong, ModelUnavailable
from app.llm.local import LlamaModel
from app.routing.cards import SMOLLM2_LABEL
from tests.llm.conftest import answer, call


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def llama() -> AsyncIterator[LlamaModel]:
    model = LlamaModel("smollm2", SMOLLM2_LABEL)
    yield model
    await model.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_says_something_and_counts_its_tokens(llama: LlamaModel) -> None:
    text, done = await answer(llama, call("Hello! How are you?", max_tokens=20))
    assert text.strip()
    assert 0 < done.usage.completion_tokens <= 20
    assert done.usage.prompt_tokens > 10
    assert not done.usage.estimated


async def test_it_streams_word_by_word_without_holding_up_the_loop(llama: LlamaModel) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    chunks = [chunk async for chunk in llama.stream(call("Tell me about rain.", max_tokens=30))]
    ticking.cancel()
    assert sum(isinstance(chunk, TextDelta) for chunk in chunks) > 5
    assert isinstance(chunks[-1], ModelDone)
    assert ticks > 10


async def test_stopping_ends_the_generation_and_lets_the_next_one_in(llama: LlamaModel) -> None:
    stream = llama.stream(call("Write a very long story about the sea.", max_tokens=256))
    await anext(stream)
    await stream.aclose()
    started = asyncio.get_running_loop().time()
    await answer(llama, call("Hi", max_tokens=3))
    assert asyncio.get_running_loop().time() - started < 2.0


async def test_calls_queue_and_a_cancelled_one_is_never_run(llama: LlamaModel) -> None:
    first = asyncio.create_task(answer(llama, call("Count to ten.", max_tokens=30)))
    second = asyncio.create_task(answer(llama, call("Never asked.", max_tokens=256)))
    third = asyncio.create_task(answer(llama, call("Say hi.", max_tokens=3)))
    await asyncio.sleep(0)
    second.cancel()
    texts = await asyncio.gather(first, third)
    assert all(text for text, _ in texts)
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_too_long_a_prompt_says_so(llama: LlamaModel) -> None:
    with pytest.raises(ContextTooLong):
        await answer(llama, call("word " * 3000))


async def test_its_port_answers_nobody(llama: LlamaModel) -> None:
    """The library opens a port on loopback; without the key it must not generate."""
    await answer(llama, call("Hi", max_tokens=2))
    assert llama._server is not None
    host, port = llama._server.listening_address.removeprefix("http://").split(":")
    body = b'{"prompt": "hi", "n_predict": 1}'
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /completion HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert b" 401 " in connection.recv(200)


async def test_check_is_a_real_generation(llama: LlamaModel) -> None:
    await llama.check()


async def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    missing = LlamaModel("m", "My model", gguf=tmp_path / "none.gguf")
    with pytest.raises(ModelUnavailable, match="missing"):
        await answer(missing)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really" * 10)
    damaged = LlamaModel("m", "My model", gguf=broken)
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        await answer(damaged)
    await missing.close()
    await damaged.close()
