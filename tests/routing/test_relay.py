"""Which model's words the reader gets, against a real HTTP server in both wire formats: in order, hedged, continued."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.domain import (
    DataClass,
    Masked,
    ModelCall,
    ModelChunk,
    ModelDone,
    Resilience,
    Route,
    TextDelta,
)
from app.errors import ModelError, ModelTimeout, ModelUnavailable, NoModel
from app.llm.anthropic import AnthropicModel
from app.llm.model import ChatModel
from app.llm.openai import OpenAIModel
from app.routing import Catalogue
from app.routing.relay import Patience, relay
from app.routing.voice import Attempt
from tests.conftest import MakePerson
from tests.llm.conftest import call
from tests.routing.conftest import MakeCatalogue, card
from tests.servers.model_server import PIECES, ModelServer, model_server

WHOLE = "".join(PIECES)
LONG_S = 30.0
"""A deadline that no test may wait for."""


@dataclass
class Desk:
    """Models of one wire format, named by what the server does when it is asked for them."""

    wire: str
    server: ModelServer
    make: MakeCatalogue
    models: list[ChatModel] = field(default_factory=list)

    def catalogue(self, *names: str) -> Catalogue:
        catalogue = self.make()
        for name in names:
            model = self._model(name)
            self.models.append(model)
            catalogue.add(card(name, DataClass.INTERNAL), model, name)
        return catalogue

    def _model(self, name: str) -> ChatModel:
        if self.wire == "openai":
            return OpenAIModel(
                name, name, model_name=name, api_key="k", base_url=self.server.openai_url
            )
        model = AnthropicModel(name, name, model_name=name, api_key="k", base_url=self.server.url)
        model.continues = "prefill" if self.wire == "anthropic" else "instruction"
        return model

    def asked(self) -> list[str]:
        return [request["model"] for request in self.server.requests]


@pytest.fixture(params=["openai", "anthropic", "anthropic without prefill"])
async def desk(request: pytest.FixtureRequest, catalogue: MakeCatalogue) -> AsyncIterator[Desk]:
    async with model_server() as server:
        desk = Desk(request.param, server, catalogue)
        yield desk
        for model in desk.models:
            await model.close()


def route(*names: str, **resilience: Any) -> Route:
    return Route(
        "travel", names[0], names[1:], "grounded", "", (), DataClass.INTERNAL, True,
        resilience=Resilience(**resilience),
    )  # fmt: skip


@dataclass
class Heard:
    text: str = ""
    done: int = 0
    error: ModelError | NoModel | None = None
    attempts: list[Attempt] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def outcomes(self) -> list[tuple[str, bool]]:
        return [(one.model, not one.error) for one in self.attempts]


async def hear(
    catalogue: Catalogue, way: Route, request: ModelCall | None = None, **patience: float
) -> Heard:
    heard, began = Heard(), time.monotonic()
    limits = {"first_token_s": LONG_S, "silence_s": LONG_S} | patience
    chunks = relay(
        way, request or call(), catalogue, heard.attempts, Patience(**limits, instruction="Go on.")
    )
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                _take(heard, chunk)
    except (ModelError, NoModel) as error:
        heard.error = error
    heard.took_s = time.monotonic() - began
    return heard


def _take(heard: Heard, chunk: ModelChunk) -> None:
    assert not heard.done, "nothing may follow ModelDone"
    if isinstance(chunk, TextDelta):
        heard.text += chunk.text
    else:
        assert isinstance(chunk, ModelDone)
        heard.done += 1


# In order


async def test_the_next_model_answers_before_the_reader_sees_a_word(desk: Desk) -> None:
    catalogue = desk.catalogue("server_error", "overloaded", "ok")
    heard = await hear(catalogue, route("server_error", "overloaded", "ok"))
    assert (heard.text, heard.done) == (WHOLE, 1)
    assert heard.outcomes == [("server_error", False), ("overloaded", False), ("ok", True)]


async def test_when_none_says_a_word_each_reason_is_told(desk: Desk) -> None:
    catalogue = desk.catalogue("server_error", "limited")
    heard = await hear(catalogue, route("server_error", "limited"))
    assert isinstance(heard.error, NoModel)
    assert "not available right now" in str(heard.error)
    assert "over its request limit" in str(heard.error)


async def test_an_outage_costs_one_deadline_once_and_then_nothing(desk: Desk) -> None:
    """The reader's waits are counted by the requests that reached the silent model."""
    catalogue = desk.catalogue("silent", "ok")
    await hear(catalogue, route("ok"))
    first = await hear(catalogue, route("silent", "ok"), first_token_s=1.5)
    assert first.text == WHOLE
    assert first.took_s >= 1.5
    for _ in range(5):
        later = await hear(catalogue, route("silent", "ok"))
        assert later.text == WHOLE
        assert later.outcomes == [("ok", True)]
    assert desk.asked() == ["ok", "silent"] + ["ok"] * 6


async def test_the_deadlines_of_an_intent_go_before_the_settings(desk: Desk) -> None:
    catalogue = desk.catalogue("silent", "stalls")
    heard = await hear(catalogue, route("silent", first_token_s=0.05))
    assert "kept silent for 0.05 seconds" in str(heard.error)
    heard = await hear(catalogue, route("stalls", silence_s=0.06))
    assert isinstance(heard.error, ModelTimeout)
    assert "kept silent for 0.06 seconds" in str(heard.error)


async def test_of_many_questions_at_once_only_one_tries_a_model_that_failed(desk: Desk) -> None:
    catalogue = desk.catalogue("never_answers", "ok")
    health = catalogue.health
    health._clock = clock = _Clock()
    health.failed("never_answers", ModelTimeout("It kept silent."))
    clock.now += 31
    way = route("never_answers", "ok")
    waiting = [asyncio.create_task(hear(catalogue, way)) for _ in range(6)]
    done, probing = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    while len(probing) > 1:
        done, probing = await asyncio.wait(probing, return_when=asyncio.FIRST_COMPLETED)
        assert all(task.result().text == WHOLE for task in done)
    assert desk.asked().count("never_answers") == 1
    (probe,) = probing
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert health.objection("never_answers") == "", "a stopped probe gives its seat back"


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


# After the first word


@pytest.mark.parametrize("fault", ["truncated", "cut_off", "overloaded_in_stream", "resets"])
async def test_an_answer_that_breaks_off_keeps_its_text_and_is_not_begun_again(
    desk: Desk, fault: str
) -> None:
    catalogue = desk.catalogue(fault, "ok")
    heard = await hear(catalogue, route(fault, "ok"))
    assert (heard.text, heard.done) == (PIECES[0], 0)
    assert isinstance(heard.error, ModelUnavailable)
    assert heard.outcomes == [(fault, False)]
    assert desk.asked() == [fault]


@pytest.mark.parametrize("fault", ["truncated", "cut_off", "overloaded_in_stream", "resets"])
async def test_where_the_intent_allows_it_the_next_model_finishes_the_answer(
    desk: Desk, fault: str
) -> None:
    catalogue = desk.catalogue(fault, "goes_on")
    heard = await hear(catalogue, route(fault, "goes_on", continuation=True))
    assert (heard.text, heard.done, heard.error) == (WHOLE, 1, None)
    assert [(one.model, one.wrote) for one in heard.attempts] == [
        (fault, len(PIECES[0])),
        ("goes_on", len(WHOLE) - len(PIECES[0])),
    ]
    said = desk.server.requests[-1]["messages"]
    roles = [message["role"] for message in said if message["role"] != "system"]
    prefill = desk.wire == "anthropic"
    assert roles == ["user", "assistant"] + ([] if prefill else ["user"])
    assert said[-1]["content"] == (PIECES[0].rstrip() if prefill else "Go on.")


async def test_a_continuation_by_a_model_that_may_not_see_a_value_repeats_no_placeholder(
    desk: Desk, make_person: MakePerson
) -> None:
    """It is sent the first model's words with the placeholder, so that is what it repeats."""
    catalogue = desk.catalogue("truncated", "goes_on")
    catalogue.change(make_person("Root"), "truncated", clearance=DataClass.CONFIDENTIAL)
    masked = Masked(call().prompt, "masked", DataClass.INTERNAL, {PIECES[0].strip(): "[NAME_1]"})
    typed = call(data_class=DataClass.CONFIDENTIAL, masked=masked)
    heard = await hear(catalogue, route("truncated", "goes_on", continuation=True), typed)
    assert "[NAME_1]" in json.dumps(desk.server.requests[-1]["messages"])
    assert heard.done == 1
    assert "[NAME_1]" not in heard.text


async def test_a_silence_in_mid_answer_is_continued_too(desk: Desk) -> None:
    catalogue = desk.catalogue("stalls", "goes_on")
    heard = await hear(catalogue, route("stalls", "goes_on", continuation=True), silence_s=1.5)
    assert (heard.text, heard.error) == (WHOLE, None)


async def test_a_refusal_in_mid_answer_is_not_continued_by_another(desk: Desk) -> None:
    catalogue = desk.catalogue("filtered", "goes_on")
    heard = await hear(catalogue, route("filtered", "goes_on", continuation=True))
    assert "declined" in str(heard.error)
    assert desk.asked() == ["filtered"]


async def test_when_nobody_can_go_on_the_interruption_is_told(desk: Desk) -> None:
    catalogue = desk.catalogue("truncated", "server_error")
    heard = await hear(catalogue, route("truncated", "server_error", continuation=True))
    assert heard.text == PIECES[0]
    assert "broke off in mid-answer" in str(heard.error)
    assert heard.outcomes == [("truncated", False), ("server_error", False)]


async def test_the_reader_never_quotes_into_anothers_sentence(desk: Desk) -> None:
    catalogue = desk.catalogue("truncated")
    heard = await hear(catalogue, route("truncated", "reader", continuation=True))
    assert heard.text == PIECES[0]
    assert [one.model for one in heard.attempts] == ["truncated"]


# Hedged


async def test_the_next_model_is_asked_in_parallel_once_the_first_is_slow(desk: Desk) -> None:
    catalogue = desk.catalogue("silent", "ok")
    for _ in range(5):
        catalogue.health.spoke("silent", 0.1)
    heard = await hear(catalogue, route("silent", "ok", hedge=0.5))
    assert (heard.text, heard.done) == (WHOLE, 1)
    await desk.server.hung_up(but=1)
    loser, winner = heard.attempts
    assert (loser.error, loser.note) == ("", "asked in parallel; Ok spoke first")
    assert loser.usage is not None
    assert loser.usage.estimated
    assert loser.usage.prompt_tokens > 0
    assert winner.usage is not None
    assert not winner.usage.estimated


async def test_a_model_that_speaks_in_time_is_not_hedged(desk: Desk) -> None:
    catalogue = desk.catalogue("ok", "silent")
    heard = await hear(catalogue, route("ok", "silent", hedge=1.0))
    assert heard.text == WHOLE
    assert desk.asked() == ["ok"]


async def test_without_a_hedge_the_second_model_is_never_asked_in_parallel(desk: Desk) -> None:
    catalogue = desk.catalogue("silent", "ok")
    for _ in range(5):
        catalogue.health.spoke("silent", 0.001)
    heard = await hear(catalogue, route("silent", hedge=0.0), first_token_s=0.1)
    assert isinstance(heard.error, NoModel)
    assert desk.asked() == ["silent"]


async def test_a_slow_first_model_that_speaks_before_its_hedge_wins(desk: Desk) -> None:
    catalogue = desk.catalogue("late", "silent")
    heard = await hear(catalogue, route("late", "silent", hedge=0.0001))
    assert heard.text == WHOLE
    assert desk.asked() == ["late", "silent"]
    assert heard.attempts[-1].note == "asked in parallel; Late spoke first"
    await desk.server.hung_up(but=1)


async def test_when_the_hedge_fails_the_first_may_still_speak(desk: Desk) -> None:
    catalogue = desk.catalogue("late", "server_error")
    heard = await hear(catalogue, route("late", "server_error", hedge=0.0001))
    assert heard.text == WHOLE
    assert dict(heard.outcomes) == {"late": True, "server_error": False}


async def test_when_both_fail_the_third_answers(desk: Desk) -> None:
    catalogue = desk.catalogue("silent", "server_error", "ok")
    await hear(catalogue, route("ok"))
    heard = await hear(
        catalogue, route("silent", "server_error", "ok", hedge=0.0001), first_token_s=1.5
    )
    assert heard.text == WHOLE
    assert heard.outcomes == [("silent", False), ("server_error", False), ("ok", True)]


async def test_a_stop_closes_both_connections_and_blames_no_model(desk: Desk) -> None:
    catalogue = desk.catalogue("silent", "never_answers")
    task = asyncio.create_task(hear(catalogue, route("silent", "never_answers", hedge=0.0001)))
    while len(desk.server.requests) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await desk.server.hung_up()
    assert catalogue.health.of("silent").calls == 0
    assert catalogue.health.of("never_answers").calls == 0
