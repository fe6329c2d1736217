"""The routing table: what people ask for, and what answers. Read from `routes.toml`, a file under review."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain import Resilience
from app.errors import ConfigurationError

ROUTES = Path(__file__).with_name("routes.toml")
MOST_WORTH_USD = 1_000


class Tradeoff(BaseModel):
    """That an intent's models are asked in the order of expected score and cost (app.routing.difficulty). `worth_usd` is what a
    question answered well instead of badly is worth, in dollars; `least` how many outcomes of a model are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worth_usd: float = Field(gt=0, le=MOST_WORTH_USD)
    least: int = Field(50, ge=10)


class TieBreak(BaseModel):
    """That a model is asked which of the two likeliest intents a question is for, where their probabilities lie within `margin` of
    each other (app.routing.tie_break): the cheapest of `models` that may be asked. `deadline_s` is in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(gt=0, le=1)
    models: tuple[str, ...] = Field(("anthropic", "openai", "compatible"), min_length=1)
    deadline_s: float = Field(2.0, gt=0, le=10)


class RouteEntry(BaseModel):
    """One intent and its route. `threshold` overrides the table's, `first_token_s`, `silence_s` and `hedge` the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    label: str
    prompt: str
    models: tuple[str, ...] = Field(min_length=1)
    search: bool
    actions: tuple[str, ...] = ()
    examples: tuple[str, ...] = Field(min_length=3)
    threshold: float | None = Field(None, ge=0, le=1)
    temperature: float = Field(0.2, ge=0, le=2)
    max_tokens: int = Field(800, ge=16, le=32_000)
    version: int = Field(0, description="0 is this file's; admins publish others (swaps/).")
    canary: str = Field("", description="The version that is being tried, while one is.")
    arm: Literal["", "canary", "baseline"] = ""
    first_token_s: float | None = Field(None, gt=0)
    silence_s: float | None = Field(None, gt=0)
    hedge: float | None = Field(None, ge=0, le=10)
    continuation: bool = False
    difficulty: Tradeoff | None = None

    @property
    def resilience(self) -> Resilience:
        return Resilience(self.first_token_s, self.silence_s, self.hedge, self.continuation)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(ge=0, le=1)
    suggestions: tuple[str, ...] = ()
    tie_break: TieBreak | None = None
    intents: tuple[RouteEntry, ...] = Field(min_length=2)


@dataclass(frozen=True)
class RoutingTable:
    """`entries` in the file's order; the first is where questions go that no intent claims."""

    entries: tuple[RouteEntry, ...]
    threshold: float
    suggestions: tuple[str, ...] = ()
    tie_break: TieBreak | None = None

    @classmethod
    def load(cls, path: Path = ROUTES) -> RoutingTable:
        """Raises ConfigurationError, naming the place, for a table that cannot be used."""
        try:
            file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(
                f"The routing table {path.name} cannot be read.", detail=str(error)
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(
                f"The routing table {path.name} is wrong at {where}: {first['msg']}.",
                fix="Correct the file and start again.",
            ) from error
        names = [entry.name for entry in file.intents]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"The routing table names an intent twice: {sorted(twice)}.")
        return cls(file.intents, file.threshold, file.suggestions, file.tie_break)

    @property
    def fallback(self) -> RouteEntry:
        return self.entries[0]

    def entry(self, name: str) -> RouteEntry:
        """An intent that has been retired since is answered as the fallback."""
        return self._by_name.get(name, self.fallback)

    @cached_property
    def _by_name(self) -> dict[str, RouteEntry]:
        return {entry.name: entry for entry in self.entries}
