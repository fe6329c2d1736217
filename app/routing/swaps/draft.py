"""What a version says, and what it may name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.db.tables import RouteVersionRow
from app.errors import InputError
from app.routing.table import MOST_WORTH_USD, RouteEntry


class Names(Protocol):
    """What may be named in a draft."""

    def models(self) -> Sequence[str]: ...

    def prompts(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What a version says. `models` in order of preference; `prompt` may pin a version (`grounded@v1`). With `worth_usd` easy
    questions go to the cheaper model: what a good answer instead of a bad one is worth, in dollars."""

    models: tuple[str, ...]
    prompt: str
    temperature: float = 0.2
    max_tokens: int = 800
    worth_usd: float | None = None


def check(draft: Draft, names: Names) -> None:
    """Raises InputError for names that do not exist and for numbers out of bounds."""
    unknown = [name for name in draft.models if name not in names.models()]
    if not draft.models or unknown:
        raise InputError(
            f"There is no model {', '.join(unknown)}."
            if unknown
            else "A route needs at least one model.",
            fix="Choose models from the list.",
        )
    if draft.prompt not in names.prompts():
        raise InputError(f"There is no prompt '{draft.prompt}'.", fix="Choose one of the list.")
    if not (0 <= draft.temperature <= 2 and 16 <= draft.max_tokens <= 32_000):
        raise InputError("Temperature is 0 to 2, the longest answer 16 to 32,000 tokens.")
    if draft.worth_usd is not None and not 0 < draft.worth_usd <= MOST_WORTH_USD:
        raise InputError(
            f"A good answer is worth more than nothing and at most {MOST_WORTH_USD:,} dollars.",
            fix="Say what a good answer instead of a bad one saves.",
        )


def said_by(row: RouteVersionRow, entry: RouteEntry) -> Draft:
    """What a stored version says; an old one leaves to its `entry` in the file whether score and cost are weighed."""
    worth = row.worth_usd if row.weighs else said_by_entry(entry).worth_usd
    return Draft(tuple(row.models), row.prompt, row.temperature, row.max_tokens, worth)


def said_by_entry(entry: RouteEntry) -> Draft:
    worth = entry.difficulty.worth_usd if entry.difficulty else None
    return Draft(entry.models, entry.prompt, entry.temperature, entry.max_tokens, worth)


def gone(models: Sequence[str], prompt: str, names: Names) -> list[str]:
    """Of what a stored version names, what has been taken away since."""
    known = names.models()
    return [
        *(model for model in models if model not in known),
        *([] if prompt in names.prompts() else [prompt]),
    ]


def check_still(row: RouteVersionRow, names: Names) -> None:
    """Raises InputError where a stored version names what has been taken away since."""
    if lost := gone(row.models, row.prompt, names):
        raise InputError(
            f"Version {row.number} names {', '.join(lost)}, which is not here any more.",
            fix="Choose something else in its draft, then publish.",
        )
