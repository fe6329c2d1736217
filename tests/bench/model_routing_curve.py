"""What choosing by expectations really gets and pays: quality-cost points, APGR, and the cost of enough quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.routing.difficulty.model import DifficultyModel, Recipe, train
from app.routing.difficulty.regression import Doubles, Places
from app.routing.difficulty.tradeoff import chosen
from app.routing.intents.features import Floats

WORTHS = np.concatenate([[0.0], np.geomspace(1e-2, 1e5, 600), [np.inf]])  # in mean costs


@dataclass(frozen=True)
class Data:
    """`scores` and `costs` are (rows, models)."""

    prompts: list[str]
    models: tuple[str, ...]
    scores: Doubles
    costs: Doubles
    vectors: Floats

    def take(self, which: Places) -> Data:
        return Data(
            [self.prompts[i] for i in which],
            self.models,
            self.scores[which],
            self.costs[which],
            self.vectors[which],
        )

    @property
    def unit(self) -> float:
        """The mean cost of a call."""
        return float(self.costs.mean()) or 1.0

    def trained(self, recipe: Recipe) -> DifficultyModel:
        columns = {model: self.scores[:, i] for i, model in enumerate(self.models)}
        return train(self.prompts, self.vectors, columns, recipe)

    @property
    def strong(self) -> int:
        """The best single model; of equally good ones the cheapest."""
        quality, cost = self.scores.mean(axis=0), self.costs.mean(axis=0)
        return int(np.lexsort((cost, -quality))[0])

    @property
    def cheap(self) -> int:
        """The cheapest of the others."""
        cost = self.costs.mean(axis=0)
        return min((i for i in range(len(self.models)) if i != self.strong), key=lambda i: cost[i])


@dataclass(frozen=True)
class Point:
    quality: float
    cost: float


def curve(data: Data, scores: Doubles, costs: Doubles) -> Iterator[tuple[float, Point]]:
    """What is really got and paid when models are chosen by expectations, for every worth."""
    for worth in WORTHS * data.unit:
        yield float(worth), paid(data, chosen(scores, costs, float(worth)))


def paid(data: Data, which: Places) -> Point:
    each = np.arange(len(which))
    return Point(float(data.scores[each, which].mean()), float(data.costs[each, which].mean()))


def recovered(data: Data, gain: Doubles) -> Doubles | None:
    """(rows + 1,): the share of the gap that is recovered when the first 0, 1, 2 … rows in the order of expected `gain` are
    sent to the stronger model; None where there is no gap."""
    real = data.scores[:, data.strong] - data.scores[:, data.cheap]
    if abs(real.mean()) < 1e-12:
        return None
    order = np.argsort(-gain, kind="stable")
    return np.concatenate([[0.0], np.cumsum(real[order])]) / real.sum()


def apgr(data: Data, gain: Doubles) -> float | None:
    got = recovered(data, gain)
    return None if got is None else float((got[:-1] + got[1:]).mean() / 2)


def interval(
    data: Data, gain: Doubles, draws: int = 1_000, seed: int = 0
) -> tuple[float, float] | None:
    """Where 95 % of the APGRs of `draws` resamples of the rows lie (the percentile bootstrap: Efron, *Annals of Statistics* 7,
    1979): what other questions of the same kind could have given. What was learned stays as it is."""
    real = data.scores[:, data.strong] - data.scores[:, data.cheap]
    if abs(real.mean()) < 1e-12:
        return None
    drawn, ordered = np.random.default_rng(seed), real[np.argsort(-gain, kind="stable")]
    found = []
    for _ in range(draws):
        sent = np.cumsum(ordered[np.sort(drawn.integers(len(ordered), size=len(ordered)))])
        if abs(sent[-1]) > 1e-9:
            found.append((sent.sum() - sent[-1] / 2) / len(sent) / sent[-1])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def least_cost(points: list[Point], quality: float) -> float | None:
    return min((p.cost for p in points if p.quality >= quality - 1e-12), default=None)


def mixed(a: Point, b: Point, quality: float) -> float | None:
    """The mean cost at which a random mix of two models reaches `quality`."""
    shares = np.linspace(0, 1, 1001)
    points = [
        Point(a.quality + s * (b.quality - a.quality), a.cost + s * (b.cost - a.cost))
        for s in shares
    ]
    return least_cost(points, quality)


def difference(data: Data, scores: Doubles) -> Doubles:
    return scores[:, data.strong] - scores[:, data.cheap]
