"""The order of the models that may answer, by expected score and cost, with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from app.domain import ModelDecision, Usage
from app.routing.difficulty.expectation import Expectation
from app.routing.difficulty.tradeoff import ranked


class Prices(Protocol):
    """What ordering needs of the catalogue."""

    def cost(self, model_id: str, usage: Usage) -> float: ...


def reordered(
    decisions: Sequence[ModelDecision],
    picked: str | None,
    expected: Expectation,
    prices: Prices,
    prompt_tokens: int,
) -> tuple[list[ModelDecision], str]:
    """The same decisions, those that are allowed and have an expected score in the order of their worth, on the places that they
    held together: a model of which nothing is known keeps its own, and so do the one picked by hand and those left out. The
    reason is empty where fewer than two can be compared."""
    found = list(decisions)
    places = [
        i
        for i, d in enumerate(found)
        if d.allowed and d.model != picked and d.model in expected.scores
    ]
    if len(places) < 2:
        return found, ""
    scored = [found[i] for i in places]
    scores = np.asarray([expected.scores[d.model] for d in scored])
    costs = np.asarray(
        [
            prices.cost(
                d.model, Usage(prompt_tokens, round(expected.answer_tokens.get(d.model, 0)))
            )
            for d in scored
        ]
    )
    order = ranked(scores, costs, expected.worth_usd)
    for place, i in zip(places, order, strict=True):
        told = f"{scored[i].reason}; expected score {scores[i]:.2f} for ${costs[i]:.4f}"
        found[place] = replace(scored[i], reason=told)
    if next(d for d in found if d.allowed and d.model != picked).model != scored[order[0]].model:
        return found, ""  # one that nothing is known of yet comes before them
    return found, _why(scored, scores.tolist(), costs.tolist(), [int(i) for i in order])


def _why(
    scored: Sequence[ModelDecision], scores: list[float], costs: list[float], order: list[int]
) -> str:
    """The first against the one that it has to be told from: the best of the others, or the cheapest if it is the best."""
    first, others = order[0], order[1:]
    best, cheapest = max(others, key=lambda i: scores[i]), min(others, key=lambda i: costs[i])

    def named(i: int) -> str:
        return f"{scored[i].label} (expected score {scores[i]:.2f}, ${costs[i]:.4f})"

    if costs[first] <= costs[cheapest] and scores[first] >= scores[best]:
        return f"{named(first)} is expected to do no worse than {named(best)}, for no more"
    if scores[first] >= scores[best]:
        return f"a hard question: {named(first)} is worth its price beside {named(cheapest)}"
    cheaper = "the cheaper of two" if len(order) == 2 else f"a cheaper one of {len(order)}"
    return f"an easy question: {cheaper}, {named(first)}, beside {named(best)}"
