"""List prices and context sizes by model name, from the package genai-prices (its bundled data; nothing is fetched)."""

from __future__ import annotations

from dataclasses import dataclass

_PRICED_TOKENS = 1000  # small, so that surcharges for long prompts stay out of the list price


@dataclass(frozen=True, slots=True)
class ListPrice:
    """US dollars per million tokens. `known` is False when the package has not heard of the model: then all is 0."""

    price_in: float = 0.0
    price_out: float = 0.0
    context_tokens: int = 0
    known: bool = False


def list_price(model_name: str, provider: str | None = None) -> ListPrice:
    """`provider` is the package's id (`openai`, `anthropic`), or None to search all of them."""
    from genai_prices import Usage, calc_price

    try:
        priced = calc_price(
            Usage(input_tokens=_PRICED_TOKENS, output_tokens=_PRICED_TOKENS),
            model_ref=model_name,
            provider_id=provider,
        )
    except LookupError:
        return ListPrice()
    per_million = 1_000_000 / _PRICED_TOKENS
    return ListPrice(
        price_in=round(float(priced.input_price) * per_million, 4),
        price_out=round(float(priced.output_price) * per_million, 4),
        context_tokens=priced.model.context_window or 0,
        known=True,
    )
