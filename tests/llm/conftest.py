"""A model server and the two hosted adapters pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.domain import ChatMessage, DataClass, ModelCall, ModelDone, Prompt, TextDelta
from app.llm.anthropic import AnthropicModel
from app.llm.model import ChatModel
from app.llm.openai import OpenAIModel
from tests.servers.model_server import ModelServer, model_server

SECRET = "sk-very-secret-0123456789abcdef"
Adapter = Callable[[str], ChatModel]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture(params=["openai", "compatible", "anthropic"])
async def adapter(request: pytest.FixtureRequest, server: ModelServer) -> AsyncIterator[Adapter]:
    """Makes an adapter of one wire format whose model id picks the server's behaviour."""
    made: list[ChatModel] = []

    def make(model_name: str) -> ChatModel:
        model: ChatModel
        if request.param == "anthropic":
            model = AnthropicModel(
                "m", "Model M", model_name=model_name, api_key=SECRET, base_url=server.url
            )
        else:
            model = OpenAIModel(
                "m",
                "Model M",
                model_name=model_name,
                api_key=SECRET,
                base_url=server.openai_url,
                dialect=request.param,
            )
        made.append(model)
        return model

    yield make
    for model in made:
        await model.close()


def call(text: str = "How do I travel?", **changes: Any) -> ModelCall:
    prompt = Prompt(
        (ChatMessage("system", "Be brief."), ChatMessage("user", text)), "test", "v1", "0"
    )
    return ModelCall(prompt, text, **{"data_class": DataClass.INTERNAL} | changes)


async def answer(model: ChatModel, request: ModelCall | None = None) -> tuple[str, ModelDone]:
    """The whole answer of a model."""
    said, done = [], None
    async for chunk in model.stream(request or call()):
        assert done is None, "nothing may follow ModelDone"
        if isinstance(chunk, TextDelta):
            said.append(chunk.text)
        else:
            done = chunk
    assert done is not None
    return "".join(said), done
