"""What models cost: list prices by model name from the package genai-prices (its bundled data; nothing is fetched), what a
call has cost, and what one may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.budgets import Estimate, money
from app.domain import ModelCall, Usage
from app.llm.model import messages
from app.llm.thinking import thinking_tokens

if TYPE_CHECKING:
    from app.routing.cards import ModelCard

_PRICED_TOKENS = 1000  # small, so that surcharges for long prompts stay out of the list price
_BYTES_PER_TOKEN = 3  # English prose has 4 to 4.5, German 3.5 to 4, Chinese and Japanese 3 to 5
_TOKENS_PER_MESSAGE = 8  # role and separators


@dataclass(frozen=True, slots=True)
class ListPrice:
    """US dollars per million tokens. `known` is False when the package has not heard of the model: then all is 0. The cache's
    prices are None where reading from or writing to it costs what other tokens of a prompt do."""

    price_in: float = 0.0
    price_out: float = 0.0
    context_tokens: int = 0
    known: bool = False
    price_cached: float | None = None
    price_cache_write: float | None = None


@lru_cache(maxsize=1_000)
def list_price(model_name: str, provider: str | None = None) -> ListPrice:
    """`provider` is the package's id (`openai`, `anthropic`), or None to search all of them."""
    from genai_prices import Usage as Priced
    from genai_prices import calc_price

    def priced(**tokens: int) -> tuple[float, float, int]:
        found = calc_price(Priced(**tokens), model_ref=model_name, provider_id=provider)
        per_million = 1_000_000 / _PRICED_TOKENS
        return (
            round(float(found.input_price) * per_million, 4),
            round(float(found.output_price) * per_million, 4),
            found.model.context_window or 0,
        )

    some = _PRICED_TOKENS
    try:
        price_in, price_out, context = priced(input_tokens=some, output_tokens=some)
        cached, _, _ = priced(input_tokens=some, cache_read_tokens=some)
        written, _, _ = priced(input_tokens=some, cache_write_tokens=some)
    except LookupError:
        return ListPrice()
    return ListPrice(
        price_in=price_in,
        price_out=price_out,
        context_tokens=context,
        known=True,
        price_cached=None if cached == price_in else cached,
        price_cache_write=None if written == price_in else written,
    )


def cost_micro(card: ModelCard, usage: Usage) -> int:
    """Micro-dollars of one call, to the nearest: a dollar a million tokens is a micro-dollar a token."""
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    fresh = max(0, usage.prompt_tokens - cached - written)
    return round(
        fresh * card.price_in
        + cached * _or(card.price_cached, card.price_in)
        + written * _or(card.price_cache_write, card.price_in)
        + usage.completion_tokens * card.price_out
    )


def at_most(card: ModelCard, call: ModelCall) -> Estimate:
    """What this call may cost: its prompt in the longer of its forms, counted generously, and as long an answer as is allowed."""
    said = "".join(message.content for message in messages(call, "instruction"))
    masked = "".join(m.content for m in call.masked.prompt.messages) if call.masked else ""
    longest = max(len(said.encode()), len(masked.encode()))
    overhead = _TOKENS_PER_MESSAGE * (len(call.prompt.messages) + 2)
    return _estimate(card, longest // _BYTES_PER_TOKEN + overhead, call.max_tokens)


def at_least(card: ModelCard, prompt_tokens: int, answer_tokens: int) -> Estimate:
    """The same before the prompt is rendered for the model, from `prompt_tokens` as a server without usage would count them."""
    return _estimate(card, prompt_tokens, answer_tokens)


def _estimate(card: ModelCard, prompt_tokens: int, answer_tokens: int) -> Estimate:
    longest = answer_tokens + thinking_tokens(card.provider, card.model_name)
    return Estimate(
        money.micro_up(card.price_in, prompt_tokens),
        money.micro_up(card.price_out, longest),
        card.price_out,
    )


def _or(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price
