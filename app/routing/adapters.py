"""From a card to the adapter that talks to its model. Each adapter is imported when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.llm.guard import Guard
from app.llm.model import ChatModel
from app.routing.cards import READER, ModelCard
from app.routing.keys import Key, KeyPool, PooledModel
from app.settings import Settings

KEYLESS = Key("none", "")
"""For a server that wants no key."""


def given_keys(settings: Settings) -> dict[str, str]:
    """The settings' key of each account."""
    return {
        "openai": settings.openai_api_key.get_secret_value(),
        "anthropic": settings.anthropic_api_key.get_secret_value(),
        "compatible": settings.compatible_api_key.get_secret_value(),
    }


def build_adapter(
    card: ModelCard,
    settings: Settings,
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None,
    keys: Sequence[Key],
    pool: KeyPool,
) -> ChatModel:
    """Raises ConfigurationError for a card that no adapter serves."""
    hosted = {"openai": _openai, "compatible": _compatible, "anthropic": _anthropic}
    if make := hosted.get(card.provider):
        made = {key.id: make(card, settings, key.secret) for key in keys or [KEYLESS]}
        return PooledModel(made, pool)
    if card.id == READER:
        from app.llm.extractive import ExtractiveReader

        return ExtractiveReader(card.id, card.label, embed)
    if card.provider == "local":
        from app.llm.local import LlamaModel

        return LlamaModel(card.id, card.label, gguf=settings.gguf)
    raise ConfigurationError(f"No adapter serves the model {card.id}.")


def _openai(card: ModelCard, settings: Settings, key: str) -> ChatModel:
    from app.llm.openai import OpenAIModel

    return OpenAIModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=key,
        base_url=card.base_url or settings.openai_base_url,
        read_timeout_s=_read_timeout_s(settings),
        guard=_guard(card),
    )


def _compatible(card: ModelCard, settings: Settings, key: str) -> ChatModel:
    from app.llm.openai import OpenAIModel

    return OpenAIModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=key,
        base_url=card.base_url or settings.compatible_base_url,
        dialect="compatible",
        read_timeout_s=_read_timeout_s(settings),
        guard=_guard(card),
    )


def _anthropic(card: ModelCard, settings: Settings, key: str) -> ChatModel:
    from app.llm.anthropic import AnthropicModel

    return AnthropicModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=key,
        base_url=card.base_url or settings.anthropic_base_url,
        read_timeout_s=_read_timeout_s(settings),
        guard=_guard(card),
    )


def _guard(card: ModelCard) -> Guard | None:
    """Of an address that an admin gave in the browser; whoever writes the settings looks after the machine itself."""
    return Guard(card.inside) if card.base_url else None


def _read_timeout_s(settings: Settings) -> float:
    """A little more than the deadlines of a chat, so that those speak first."""
    return max(settings.first_token_timeout_s, settings.silence_timeout_s) + 5.0
