"""What a rehearsal will ask and may cost, before it does: searches and choices are real, no model is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain import ModelCall, Person
from app.draft import Draft
from app.errors import NoModel
from app.llm.model import prompt_tokens
from app.rehearsal.golden import Golden
from app.rehearsal.judge import LONGEST
from app.rehearsal.side import chosen, scene
from app.routing import Catalogue, RouteEntry, RoutingTable
from app.turn import Stages

JUDGE_FRAME = 350
"""Tokens of the judge's prompt without the answers and the question."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`most_usd` if every answer were as long as its route allows and the first choice answered. `models` counts the calls
    by model id; `refused` the questions that a side would not answer, with the reason."""

    questions: int
    calls: int
    most_usd: float
    models: dict[str, int]
    refused: tuple[tuple[str, str], ...]


def estimate(
    goldens: Sequence[Golden],
    entry: RouteEntry,
    tables: Sequence[RoutingTable],
    person: Person,
    stages: Stages,
    judge: str = "",
) -> Estimate:
    """Blocking, some 50 ms a question. `tables` are the sides."""
    models: Counter[str] = Counter()
    refused: list[tuple[str, str]] = []
    most = 0.0
    for golden in goldens:
        asked = scene(entry, golden, person, stages, "estimate")
        answer_tokens = 0
        for table in tables:
            draft = Draft("estimate")
            try:
                route = chosen(asked, table, stages, draft).route
            except NoModel as error:
                refused.append((golden.question, error.message))
                continue
            assert draft.call is not None
            models[route.model] += 1
            answer_tokens += route.max_tokens
            most += _most(stages.catalogue, route.model, draft.call)
        if judge:
            models[judge] += 2
            card = stages.catalogue.card(judge)
            read = 2 * (JUDGE_FRAME + answer_tokens)
            most += (read * card.price_in + 2 * LONGEST * card.price_out) / 1_000_000
    return Estimate(len(goldens), models.total(), round(most, 6), dict(models), tuple(refused))


def _most(catalogue: Catalogue, model: str, call: ModelCall) -> float:
    card = catalogue.card(model)
    longest = prompt_tokens(call) * card.price_in + call.max_tokens * card.price_out
    return longest / 1_000_000
