"""What an admin changes about a model: checked, and laid over the card it had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.db.tables import ModelSettingRow
from app.domain import DataClass
from app.errors import InputError
from app.routing.cards import ModelCard

CHANGEABLE = (
    "label", "enabled", "clearance", "price_in", "price_out", "context_tokens", "region", "audience",
    "per_minute", "at_once", "retired_on", "inside", "free",
)  # fmt: skip
_DEAREST = 10_000.0  # dollars per million tokens; a larger figure is a slip of the keyboard


def checked(asked: dict[str, Any]) -> dict[str, Any]:
    """The values to store of those asked for (None leaves one alone). Raises InputError for an impossible one."""
    values = {name: value for name, value in asked.items() if value is not None}
    for name in ("price_in", "price_out"):
        if not 0 <= values.get(name, 0.0) <= _DEAREST:
            raise InputError("A price is between 0 and 10,000 dollars per million tokens.")
    if any(values.get(limit, 0) < 0 for limit in ("per_minute", "at_once")):
        raise InputError("A limit is a number of calls, or 0 for none.")
    if values.get("context_tokens", 1_000) < 1_000:
        raise InputError("A model reads at least 1,000 tokens.")
    if "clearance" in values:
        values["clearance"] = int(values["clearance"])
    if "region" in values:
        values["region"] = values["region"].strip()[:80]
    if "audience" in values:
        values["audience"] = _audience(values["audience"])
    return values


def laid_over(card: ModelCard, row: ModelSettingRow | None) -> ModelCard:
    """The card with what an admin said about it."""
    if row is None:
        return card
    said = {name: getattr(row, name) for name in CHANGEABLE}
    kept: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if "clearance" in kept:
        kept["clearance"] = DataClass(kept["clearance"])
    if "audience" in kept:
        kept["audience"] = tuple(kept["audience"])
    prices = kept.pop("price_in", None), kept.pop("price_out", None)
    priced = card.repriced(*((0.0, 0.0) if kept.get("free") else prices))
    return replace(priced, **kept)


def _audience(names: Sequence[str]) -> list[str]:
    """Raises InputError for what is neither a group nor a team."""
    for name in names:
        kind, _, rest = name.partition(":")
        if kind not in ("group", "team") or not rest:
            raise InputError(
                f"'{name}' is neither a group nor a team.",
                fix="Write group:idp/finance or team:Sales.",
            )
    return list(dict.fromkeys(names))
