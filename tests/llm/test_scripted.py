"""The scripted model, in process and over HTTP through the real client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator

import httpx
import pytest

from app.domain import ChatMessage, ModelCall, Prompt, TextDelta
from app.errors import ModelUnavailable
from app.llm.openai import OpenAIModel
from app.llm.scripted import ScriptedModel
from app.llm.scripted_server import PASSAGE_MARK, ScriptedServer
from tests.llm.conftest import answer, call


def asking(text: str) -> ModelCall:
    return ModelCall(Prompt((ChatMessage("user", text),), "t", "v1", ""), text)


async def test_it_says_its_script_and_remembers_the_calls() -> None:
    model = ScriptedModel(answer=lambda c: ["You asked: ", c.question])
    text, done = await answer(model, call("Why?"))
    assert text == "You asked: Why?"
    assert done.usage.estimated
    assert [c.question for c in model.calls] == ["Why?"]


async def test_faults_come_in_order_and_then_it_works() -> None:
    model = ScriptedModel(
        tokens=3, faults=[ModelUnavailable("Down."), None, ModelUnavailable("Again.")]
    )
    with pytest.raises(ModelUnavailable, match="Down"):
        await answer(model)
    await answer(model)
    with pytest.raises(ModelUnavailable, match="Again"):
        await answer(model)
    await answer(model)


@pytest.fixture
async def served() -> AsyncIterator[tuple[ScriptedServer, OpenAIModel]]:
    server = ScriptedServer(tokens=12, delay_ms=1)
    url = await server.start()
    model = OpenAIModel(
        "m", "M", model_name="scripted", api_key="", base_url=url, dialect="compatible"
    )
    yield server, model
    await model.close()
    await server.close()


async def test_the_served_script_streams_its_tokens(
    served: tuple[ScriptedServer, OpenAIModel],
) -> None:
    server, model = served
    chunks = [c async for c in model.stream(asking("hi"))]
    texts = [c.text for c in chunks if isinstance(c, TextDelta)]
    assert len(texts) > 3
    assert "[1]" not in "".join(texts)
    assert json.loads(server.stats())["answers"] == 1
    assert json.loads(server.stats())["total_p50_ms"] >= 10


async def test_its_pace_changes_in_mid_answer() -> None:
    server = ScriptedServer(tokens=12, delay_ms=50)
    url = await server.start()
    model = OpenAIModel(
        "m", "M", model_name="scripted", api_key="", base_url=url, dialect="compatible"
    )
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        await client.put(f"{url}/delay-ms", content="50000")
        stream = model.stream(asking("hi"))
        first = await anext(stream)
        await client.put(f"{url}/delay-ms", content="1")
        assert server.delay_s == 0.001
        text, _done = await answer(model, call("Why?"))
        await stream.aclose()
    assert isinstance(first, TextDelta)
    assert len(text.split()) == 12
    await model.close()
    await server.close()


async def test_it_cites_when_the_prompt_had_passages(
    served: tuple[ScriptedServer, OpenAIModel],
) -> None:
    text, done = await answer(served[1], asking(f'{PASSAGE_MARK}n="1">Rain.</passage> Rain?'))
    assert text.endswith("[1].")
    assert done.usage.completion_tokens == 12
    assert not done.usage.estimated


async def test_an_abandoned_answer_stops_and_is_counted(
    served: tuple[ScriptedServer, OpenAIModel],
) -> None:
    server, model = served
    stream = model.stream(asking("hi"))
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(2):
        while not server.abandoned:
            await asyncio.sleep(0.002)
    assert json.loads(server.stats())["answers"] == 0


async def test_fifty_at_once_keep_their_pace(served: tuple[ScriptedServer, OpenAIModel]) -> None:
    server, model = served
    texts = await asyncio.gather(*(answer(model, asking("hi")) for _ in range(50)))
    assert len({text for text, _ in texts}) == 1
    assert json.loads(server.stats())["answers"] == 50


def test_it_is_served_by_the_command_line() -> None:
    command = [
        sys.executable,
        "-m",
        "app.llm.scripted_server",
        "--port",
        "0",
        "--tokens",
        "3",
        "--delay-ms",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            request = urllib.request.Request(
                f"{url}/chat/completions",
                data=b'{"model": "scripted", "messages": []}',
                method="POST",
            )
            with urllib.request.urlopen(request, timeout=5) as reply:
                said = json.load(reply)
            assert said["choices"][0]["message"]["content"] == "The policy says "
            with urllib.request.urlopen(f"{url}/models", timeout=5) as reply:
                assert json.load(reply)["data"][0]["id"] == "scripted"
        finally:
            process.terminate()


async def test_a_further_model_of_the_server_says_its_one_text() -> None:
    server = ScriptedServer(says={"hostile": "Look ![here](http://evil.test/x.png)\n\nnow"})
    url = await server.start()
    model = OpenAIModel(
        "h", "H", model_name="hostile", api_key="", base_url=url, dialect="compatible"
    )
    try:
        text, _done = await answer(model, call("Why?"))
    finally:
        await model.close()
        await server.close()
    assert text == "Look ![here](http://evil.test/x.png)\n\nnow"
