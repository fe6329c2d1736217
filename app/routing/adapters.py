"""From a card to the adapter that talks to its model. Each adapter is imported when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.llm.model import ChatModel
from app.routing.cards import READER, ModelCard
from app.settings import Settings


def build_adapter(
    card: ModelCard,
    settings: Settings,
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None,
) -> ChatModel:
    """Raises ConfigurationError for a card that no adapter serves."""
    if card.provider == "openai":
        return _openai(card, settings)
    if card.provider == "compatible":
        return _compatible(card, settings)
    if card.provider == "anthropic":
        return _anthropic(card, settings)
    if card.id == READER:
        from app.llm.extractive import ExtractiveReader

        return ExtractiveReader(card.id, card.label, embed)
    if card.provider == "local":
        from app.llm.local import LlamaModel

        return LlamaModel(card.id, card.label, gguf=settings.gguf)
    raise ConfigurationError(f"No adapter serves the model {card.id}.")


def _openai(card: ModelCard, settings: Settings) -> ChatModel:
    from app.llm.openai import OpenAIModel

    return OpenAIModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        read_timeout_s=_read_timeout_s(settings),
    )


def _compatible(card: ModelCard, settings: Settings) -> ChatModel:
    from app.llm.openai import OpenAIModel

    return OpenAIModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=settings.compatible_api_key.get_secret_value(),
        base_url=settings.compatible_base_url,
        dialect="compatible",
        read_timeout_s=_read_timeout_s(settings),
    )


def _anthropic(card: ModelCard, settings: Settings) -> ChatModel:
    from app.llm.anthropic import AnthropicModel

    return AnthropicModel(
        card.id,
        card.label,
        provider=card.provider,
        model_name=card.model_name,
        api_key=settings.anthropic_api_key.get_secret_value(),
        base_url=settings.anthropic_base_url,
        read_timeout_s=_read_timeout_s(settings),
    )


def _read_timeout_s(settings: Settings) -> float:
    """A little more than the deadlines of a chat, so that those speak first."""
    return max(settings.first_token_timeout_s, settings.silence_timeout_s) + 5.0
