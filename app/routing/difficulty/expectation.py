"""What the learned scores say: of one question to the choice of a model, of an intent to pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Expectation:
    """For one question: the expected share of good answers and the usual length of an answer in tokens, by model id."""

    scores: Mapping[str, float]
    answer_tokens: Mapping[str, float]
    worth_usd: float
    version: int


@dataclass(frozen=True, slots=True)
class State:
    """Of an intent, for pages: the version in use, 0 for none, and in words why there is none."""

    version: int = 0
    learned_at: datetime | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    why_off: str = ""
