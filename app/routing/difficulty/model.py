"""How well each model will answer a question, learned from how well they answered others.

A linear model of words, meaning and form for each model of the catalogue; where there are enough outcomes, boosted trees on top
of it, over the form, the main directions of meaning and the linear models' opinions of questions they have not seen (stacked
generalization: Wolpert, *Neural Networks* 5, 1992). Nothing here knows a price: see tradeoff.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.difficulty.regression import Design, Doubles, Places, logistic, sigmoid
from app.routing.difficulty.shape import shapes
from app.routing.difficulty.trees import Trees, boost
from app.routing.difficulty.words import HashedWords
from app.routing.intents.features import Floats

RIDGES = (30.0, 10.0, 3.0, 1.0)  # against the summed loss; which, is chosen on an inner split


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is not learned. `meaning` and `form` are the lengths of the sentence vector and of a figure of one standard
    deviation beside words of length 1. Trees are grown, `forests` times with other draws, from `for_trees` outcomes of each
    model on; `linear` is what the linear model's opinion then counts. `doubt`: as many imagined outcomes at the mean of
    all models are added to each model's, so that two models of which little is known are on a par."""

    meaning: float = 0.35
    form: float = 0.1
    directions: int = 30
    folds: int = 4
    for_trees: int = 1_000
    forests: int = 4
    linear: float = 0.25
    doubt: float = 20.0


@dataclass(frozen=True, slots=True)
class DifficultyModel:
    """Trained; never changes. `weights` (models, columns of the design), `trees` one row of forests a model or empty.
    `lowest` and `highest` are the scores it was trained between, `counts` the outcomes of each model."""

    names: tuple[str, ...]
    counts: Places
    words: HashedWords
    middle: Doubles  # of the form's figures
    spread: Doubles
    weights: Doubles
    centre: Doubles  # of the vectors, and their main directions (directions, dimensions)
    axes: Doubles
    trees: tuple[tuple[Trees, ...], ...]
    mean: float
    lowest: float
    highest: float
    recipe: Recipe

    def expect(self, texts: Sequence[str], vectors: Floats) -> Doubles:
        """(n, models) in the order of `names`: the expected scores. `vectors` (n, d) are the texts' own."""
        design, form = _design(self.words, texts, vectors, self.middle, self.spread, self.recipe)
        found = sigmoid(np.stack([design.times(w) for w in self.weights], axis=1))
        if self.trees:
            rows = np.hstack([form, (vectors - self.centre) @ self.axes.T, found])
            grown = [np.mean([t.predict(rows) for t in forest], axis=0) for forest in self.trees]
            share = self.recipe.linear
            found = share * found + (1 - share) * np.stack(grown, axis=1)
        known = self.counts / (self.counts + self.recipe.doubt)
        found = known * found + (1 - known) * self.mean
        scores: Doubles = self.lowest + found * (self.highest - self.lowest)
        return scores

    def one(self, text: str, vector: Floats) -> dict[str, float]:
        """Model to expected score for one question."""
        found = self.expect([text], vector[None])[0]
        return dict(zip(self.names, (float(score) for score in found), strict=True))


def train(
    texts: Sequence[str],
    vectors: Floats,
    scores: Mapping[str, Doubles],
    recipe: Recipe | None = None,
) -> DifficultyModel:
    """`vectors` (n, d) of length 1 each; `scores` gives (n,) for each model, NaN where it was not asked.

    The same input gives the same model. Raises ValueError for unequal lengths, or a model with fewer than two scores.
    """
    recipe = recipe or Recipe()
    names = tuple(scores)
    table = np.stack([np.asarray(scores[name], np.float64) for name in names], axis=1)
    counts = np.isfinite(table).sum(axis=0)
    if not len(texts) == len(vectors) == len(table) or counts.min() < 2:
        raise ValueError("training needs one vector a text, and two scores a model at least")
    lowest, highest = float(np.nanmin(table)), float(np.nanmax(table))
    table = (table - lowest) / ((highest - lowest) or 1.0)
    words = HashedWords.learn(texts)
    raw = shapes(texts, words.rarity)
    middle, spread = raw.mean(axis=0), raw.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    design, form = _design(words, texts, vectors, middle, spread, recipe, raw)
    columns = [table[:, i] for i in range(len(names))]
    fold = np.random.default_rng(0).permutation(len(texts)) % recipe.folds
    ridges = [_ridge(design, column, fold) for column in columns]
    weights = np.stack(
        [_fit(design, column, ridge) for column, ridge in zip(columns, ridges, strict=True)]
    )
    centre = vectors.mean(axis=0).astype(np.float64)
    axes = np.zeros((0, vectors.shape[1]))
    trees: tuple[tuple[Trees, ...], ...] = ()
    if counts.min() >= recipe.for_trees:
        axes = np.linalg.svd(vectors - centre, full_matrices=False)[2][: recipe.directions]
        unseen = _unseen(design, columns, ridges, fold)
        rows = np.hstack([form, (vectors - centre) @ axes.T, unseen])
        trees = tuple(_forests(rows, column, recipe.forests) for column in columns)
    return DifficultyModel(
        names=names,
        counts=counts,
        words=words,
        middle=middle,
        spread=spread,
        weights=weights,
        centre=centre,
        axes=axes,
        trees=trees,
        mean=float(np.nanmean(table)),
        lowest=lowest,
        highest=highest,
        recipe=recipe,
    )


def _design(
    words: HashedWords,
    texts: Sequence[str],
    vectors: Floats,
    middle: Doubles,
    spread: Doubles,
    recipe: Recipe,
    raw: Doubles | None = None,
) -> tuple[Design, Doubles]:
    """The rows of the linear model, and the figures of the form at mean 0 and deviation 1, at most 5 either way."""
    raw = shapes(texts, words.rarity) if raw is None else raw
    form = np.clip((raw - middle) / spread, -5, 5)
    dense = np.hstack([vectors * recipe.meaning, form * recipe.form])
    return Design.of(words.rows(texts), len(words.weights), dense), form


def _fit(
    design: Design, column: Doubles, ridge: float, kept: NDArray[np.bool_] | None = None
) -> Doubles:
    there = np.isfinite(column) if kept is None else np.isfinite(column) & kept
    which = np.flatnonzero(there)
    return logistic(design.take(which), column[which], ridge / max(len(which), 1))


def _ridge(design: Design, column: Doubles, fold: Places) -> float:
    """The one with the smallest loss on the first fold, learned from the others; the search ends where the loss rises."""
    out = np.flatnonzero((fold == 0) & np.isfinite(column))
    kept = fold != 0
    best, least = RIDGES[0], np.inf
    if not len(out) or not np.isfinite(column[kept]).any():
        return best
    held = design.take(out)
    for ridge in RIDGES:
        at = held.times(_fit(design, column, ridge, kept))
        loss = float(np.mean(np.logaddexp(0, at) - column[out] * at))
        if loss >= least:
            break
        best, least = ridge, loss
    return best


def _unseen(
    design: Design, columns: Sequence[Doubles], ridges: Sequence[float], fold: Places
) -> Doubles:
    """(n, models): the linear models' opinion of each row, learned without that row's fold."""
    found = np.zeros((len(design), len(columns)))
    for held in np.unique(fold):
        out = np.flatnonzero(fold == held)
        rows = design.take(out)
        for i, (column, ridge) in enumerate(zip(columns, ridges, strict=True)):
            found[out, i] = sigmoid(rows.times(_fit(design, column, ridge, fold != held)))
    return found


def _forests(rows: Doubles, column: Doubles, forests: int) -> tuple[Trees, ...]:
    there = np.isfinite(column)
    return tuple(boost(rows[there], column[there], seed) for seed in range(forests))
