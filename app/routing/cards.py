"""The cards of the models that the settings configure, before an admin changes anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from app.domain import DataClass, now
from app.errors import ConfigurationError
from app.routing.prices import list_price
from app.settings import Settings

NEVER = date(9999, 1, 1)
"""A model retires never: it is restored by this date of retirement."""
READER = "reader"
SMOLLM2 = "smollm2"

SMOLLM2_LABEL = "SmolLM2 (local, small talk and drafts only; it makes things up)"
READER_LABEL = "Reader (local, quotes the documents)"

# What an alias of the routing table stands for, and why it may stand for nothing.
ALIASES = {
    "openai": ("OpenAI", "not configured: OPENAI_API_KEY is not set"),
    "anthropic": ("Anthropic", "not configured: ANTHROPIC_API_KEY is not set"),
    "compatible": (
        "OpenAI-compatible server",
        "not configured: SWITCHBOARD_COMPATIBLE_BASE_URL is not set",
    ),
    READER: (READER_LABEL, "not available"),
    SMOLLM2: (SMOLLM2_LABEL, "switched off: SWITCHBOARD_LOCAL_MODEL is false"),
}

_HOSTED_CONTEXT = 128_000
_COMPATIBLE_CONTEXT = 32_000


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model of the catalogue. `clearance` is the highest data class it may be sent; prices are US dollars per million
    tokens; `price_cached` and `price_cache_write`, of prompt tokens that the provider reads from or writes to its cache, are
    None where they cost what others do. `listed` says that a price list knows it, `free` that an admin declared that it costs
    nothing. `grounded` says whether it may answer from passages, `needs_passages` that it can do
    nothing else.

    `audience` are the groups and teams that it is kept for, empty for everyone; `per_minute` and `at_once` limit its calls in
    each process, 0 for no limit. `base_url`, `inside` (that address may lie in the company's own network) and `added` belong to
    models that an admin added; others come from the settings.
    """

    id: str
    label: str
    provider: str
    model_name: str
    context_tokens: int
    price_in: float
    price_out: float
    clearance: DataClass
    local: bool
    note: str = ""
    enabled: bool = True
    grounded: bool = True
    needs_passages: bool = False
    modalities: tuple[str, ...] = ("text",)
    region: str = ""
    audience: tuple[str, ...] = ()
    per_minute: int = 0
    at_once: int = 0
    base_url: str = ""
    inside: bool = False
    added_on: date | None = None
    retired_on: date | None = None
    added: bool = False
    price_cached: float | None = None
    price_cache_write: float | None = None
    listed: bool = False
    free: bool = False

    @property
    def price_known(self) -> bool:
        """Nothing at all as a price counts only for a model that runs in this process, or that a list or an admin says is free."""
        return self.local or self.free or self.listed or self.price_in > 0 or self.price_out > 0

    @property
    def retired(self) -> bool:
        """From its date on, in UTC."""
        return self.retired_on is not None and self.retired_on <= now().date()

    @property
    def retires_on(self) -> date | None:
        """The date that a retirement is planned for; None where there is none, or it has passed."""
        planned = self.retired_on
        return None if planned is None or self.retired or planned == NEVER else planned

    @property
    def offered(self) -> bool:
        return self.enabled and not self.retired

    @property
    def account(self) -> str:
        """Whose keys it uses: models of one provider share them, unless they are looked for at another address."""
        return f"{self.provider} {self.base_url}".strip()

    def repriced(self, price_in: float | None, price_out: float | None) -> ModelCard:
        """With an admin's prices (None keeps one). What the cache costs stays in proportion to the price of the prompt."""
        new_in = self.price_in if price_in is None else price_in
        share = new_in / self.price_in if self.price_in else 1.0
        return replace(
            self,
            price_in=new_in,
            price_out=self.price_out if price_out is None else price_out,
            price_cached=_scaled(self.price_cached, share),
            price_cache_write=_scaled(self.price_cache_write, share),
        )


def built_in(settings: Settings) -> dict[str, tuple[ModelCard, ...]]:
    """Alias to the cards it stands for, hosted ones first. Raises ConfigurationError for an impossible clearance."""
    cards: dict[str, tuple[ModelCard, ...]] = dict.fromkeys(ALIASES, ())
    if settings.openai_api_key.get_secret_value():
        cards["openai"] = (_hosted("openai", settings.openai_model),)
    if settings.anthropic_api_key.get_secret_value():
        cards["anthropic"] = (_hosted("anthropic", settings.anthropic_model),)
    if settings.compatible_base_url:
        clearance = _clearance(settings)
        cards["compatible"] = tuple(_compatible(n, clearance) for n in settings.compatible_models)
    cards[READER] = (_reader(),)
    if settings.local_model:
        cards[SMOLLM2] = (_smollm2(settings),)
    return cards


def _hosted(provider: str, name: str) -> ModelCard:
    price = list_price(name, provider)
    return ModelCard(
        id=f"{provider}/{name}",
        label=f"{ALIASES[provider][0]} {name}",
        provider=provider,
        model_name=name,
        context_tokens=price.context_tokens or _HOSTED_CONTEXT,
        price_in=price.price_in,
        price_out=price.price_out,
        clearance=DataClass.INTERNAL,
        local=False,
        note="Runs at the provider.",
        listed=price.known,
        price_cached=price.price_cached,
        price_cache_write=price.price_cache_write,
    )


def _compatible(name: str, clearance: DataClass) -> ModelCard:
    return ModelCard(
        id=f"compatible/{name}",
        label=name,
        provider="compatible",
        model_name=name,
        context_tokens=_COMPATIBLE_CONTEXT,
        price_in=0.0,
        price_out=0.0,
        clearance=clearance,
        local=False,
        note="Runs at the configured OpenAI-compatible address.",
    )


def _reader() -> ModelCard:
    return ModelCard(
        id=READER,
        label=READER_LABEL,
        provider="local",
        model_name="extractive",
        context_tokens=1_000_000,
        price_in=0.0,
        price_out=0.0,
        clearance=DataClass.RESTRICTED,
        local=True,
        note="Quotes the best sentences of the passages; it cannot invent and cannot explain.",
        needs_passages=True,
    )


def _smollm2(settings: Settings) -> ModelCard:
    own = settings.gguf is not None
    return ModelCard(
        id=SMOLLM2,
        label=f"{settings.gguf.stem} (local, small talk and drafts only)"
        if settings.gguf
        else SMOLLM2_LABEL,
        provider="local",
        model_name=settings.gguf.stem if settings.gguf else "SmolLM2-135M-Instruct",
        context_tokens=2048,
        price_in=0.0,
        price_out=0.0,
        clearance=DataClass.RESTRICTED,
        local=True,
        note="Your own GGUF file." if own else "A 135 M parameter model: quick, and often wrong.",
        grounded=False,
    )


def _scaled(price: float | None, share: float) -> float | None:
    return None if price is None else round(price * share, 6)


def _clearance(settings: Settings) -> DataClass:
    try:
        return DataClass.parse(settings.compatible_clearance)
    except ValueError as error:
        raise ConfigurationError(
            f"SWITCHBOARD_COMPATIBLE_CLEARANCE cannot be used: {error}."
        ) from None
