"""The hosted adapters against a real HTTP server that speaks both wire formats."""

from __future__ import annotations

import asyncio
import gc

import pytest

from app.domain import TextDelta, Usage
from app.errors import (
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRequestError,
    ModelTimeout,
    ModelUnavailable,
)
from app.llm.anthropic import AnthropicModel
from app.llm.deadline import with_deadlines
from app.llm.fault_table import FAULT_TABLE
from app.llm.openai import OpenAIModel
from tests.llm.conftest import SECRET, Adapter, answer, call
from tests.servers.model_server import (
    CACHE_WRITE_TOKENS,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    FAULTS,
    PIECES,
    PROMPT_TOKENS,
    ModelServer,
)

ENDLESS = {"silent", "never_answers", "stalls", "drips"}
EXPECTED = {
    row.id: row.error
    for row in FAULT_TABLE
    if row.error is not None and row.id in FAULTS and row.id not in ENDLESS
}


@pytest.mark.parametrize("fault", sorted(EXPECTED))
async def test_a_fault_becomes_our_error_and_tells_no_secret(adapter: Adapter, fault: str) -> None:
    with pytest.raises(ModelError) as caught:
        await answer(adapter(fault), call("the salary of Ada Fernhill is ninety thousand pounds"))
    error = caught.value
    assert type(error) is EXPECTED[fault]
    assert "Model M" in error.message
    assert error.__cause__ is None
    told = f"{error} {error.detail}"
    assert SECRET not in told
    assert "ninety thousand" not in told


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("limited", 7.0),
        ("limited_ms", 1.5),
        ("limited_date", 0.0),
        ("limited_plain", None),
        ("limited_nonsense", None),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    adapter: Adapter, fault: str, seconds: float | None
) -> None:
    with pytest.raises(ModelRateLimited) as caught:
        await answer(adapter(fault))
    assert caught.value.retry_after == seconds


async def test_an_answer_streams_with_the_usage_that_the_provider_reports(adapter: Adapter) -> None:
    text, done = await answer(adapter("ok"))
    assert text == "".join(PIECES)
    written = CACHE_WRITE_TOKENS if adapter("ok").provider == "anthropic" else 0
    assert done.usage == Usage(
        PROMPT_TOKENS,
        COMPLETION_TOKENS,
        cached_tokens=CACHED_TOKENS,
        cache_write_tokens=written,
    )
    assert done.finish_reason == "stop"


async def test_without_usage_tokens_are_estimated_and_marked(adapter: Adapter) -> None:
    _, done = await answer(adapter("no_usage"))
    assert done.usage.estimated
    assert done.usage.prompt_tokens > 0
    assert done.usage.completion_tokens > 0


async def test_a_cut_at_the_token_limit_is_told(adapter: Adapter) -> None:
    _, done = await answer(adapter("length"))
    assert done.finish_reason == "length"


async def test_events_survive_being_split_anywhere(adapter: Adapter) -> None:
    text, _ = await answer(adapter("crumbs"))
    assert text == "".join(PIECES)


async def test_the_first_words_arrive_before_the_last(adapter: Adapter) -> None:
    """`stalls` never ends, so a text that arrives proves that it was not held back."""
    stream = adapter("stalls").stream(call())
    first = await anext(stream)
    assert first == TextDelta(PIECES[0])
    await stream.aclose()


async def test_one_connection_serves_the_next_call(adapter: Adapter, server: ModelServer) -> None:
    model = adapter("ok")
    for _ in range(3):
        await answer(model)
    assert server.connections_made == 1


@pytest.mark.parametrize("fault", sorted(ENDLESS))
async def test_cancelling_the_task_closes_the_connection_at_once(
    adapter: Adapter, server: ModelServer, fault: str
) -> None:
    task = asyncio.create_task(answer(adapter(fault)))
    while not server.requests:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.hung_up()


async def test_closing_the_stream_early_closes_the_connection(
    adapter: Adapter, server: ModelServer
) -> None:
    stream = adapter("drips").stream(call())
    await anext(stream)
    await stream.aclose()
    await server.hung_up()


@pytest.mark.parametrize("fault", ["silent", "never_answers"])
async def test_no_first_token_in_time_is_a_timeout_and_hangs_up(
    adapter: Adapter, server: ModelServer, fault: str
) -> None:
    stream = with_deadlines(
        adapter(fault).stream(call()), label="Model M", first_token_s=0.05, silence_s=5
    )
    with pytest.raises(ModelTimeout, match=r"0\.05 seconds"):
        await anext(stream)
    await server.hung_up()


async def test_silence_between_tokens_is_a_timeout_and_hangs_up(
    adapter: Adapter, server: ModelServer
) -> None:
    stream = with_deadlines(
        adapter("stalls").stream(call()), label="Model M", first_token_s=5, silence_s=0.05
    )
    assert await anext(stream) == TextDelta(PIECES[0])
    with pytest.raises(ModelTimeout):
        await anext(stream)
    await server.hung_up()


async def test_a_slow_drip_is_an_answer(adapter: Adapter) -> None:
    stream = with_deadlines(
        adapter("drips").stream(call()), label="Model M", first_token_s=5, silence_s=1
    )
    for _ in range(20):
        assert await anext(stream) == TextDelta("drip ")
    await stream.aclose()


async def test_nobody_listening_is_unreachable() -> None:
    for model in (
        OpenAIModel(
            "m", "Model M", model_name="ok", api_key=SECRET, base_url="http://127.0.0.1:9/v1"
        ),
        AnthropicModel(
            "m", "Model M", model_name="ok", api_key=SECRET, base_url="http://127.0.0.1:9"
        ),
    ):
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await answer(model)
        await model.close()


@pytest.mark.parametrize("address", ["not an address", "ftp://127.0.0.1/v1"])
async def test_an_unusable_address_is_a_configuration_fault(address: str) -> None:
    model = OpenAIModel("m", "Model M", model_name="ok", api_key=SECRET, base_url=address)
    with pytest.raises(ModelRequestError, match="not set up correctly"):
        await answer(model)
    await model.close()


async def test_a_key_that_no_header_can_carry_is_a_configuration_fault(server: ModelServer) -> None:
    model = OpenAIModel(
        "m", "Model M", model_name="ok", api_key="sk-ключ", base_url=server.openai_url
    )
    with pytest.raises(ModelRequestError) as caught:
        await answer(model)
    assert "ключ" not in f"{caught.value} {caught.value.detail}"
    await model.close()


async def test_check_is_a_real_call(adapter: Adapter, server: ModelServer) -> None:
    await adapter("ok").check()
    assert len(server.requests) == 1
    with pytest.raises(ModelCredential):
        await adapter("bad_key").check()


async def test_openai_and_others_get_the_parameters_they_know(server: ModelServer) -> None:
    hosted = OpenAIModel("m", "M", model_name="ok", api_key="k", base_url=server.openai_url)
    other = OpenAIModel(
        "m", "M", model_name="ok", api_key="", base_url=server.openai_url, dialect="compatible"
    )
    await answer(hosted)
    await answer(other)
    first, second = server.requests
    assert (first["max_completion_tokens"], second["max_tokens"]) == (800, 800)
    assert "max_tokens" not in first
    assert "max_completion_tokens" not in second
    assert first["stream_options"] == {"include_usage": True}
    await hosted.close()
    await other.close()


async def test_a_thinking_model_gets_no_temperature_and_room_to_think(server: ModelServer) -> None:
    FAULTS["gpt-5-mini"] = FAULTS["ok"]
    try:
        model = OpenAIModel(
            "m", "M", model_name="gpt-5-mini", api_key="k", base_url=server.openai_url
        )
        await answer(model)
    finally:
        del FAULTS["gpt-5-mini"]
    assert "temperature" not in server.requests[0]
    assert server.requests[0]["max_completion_tokens"] > 800
    await model.close()


async def test_fifty_streams_at_once(adapter: Adapter) -> None:
    model = adapter("ok")
    answers = await asyncio.gather(*(answer(model) for _ in range(50)))
    assert {text for text, _ in answers} == {"".join(PIECES)}
    gc.collect()
