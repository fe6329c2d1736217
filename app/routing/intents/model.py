"""Intents from examples: a linear model and the nearest examples, weighed against each other on held-out examples.

How far the linear model or the nearest examples are to be trusted depends on how many examples there are, so both weights
are learned: each example is judged by a model that has not seen it, and the two weights are those that give these examples'
own intents the highest likelihood (stacking; with one weight alone it would be temperature scaling, Guo and others, *On
Calibration of Modern Neural Networks*, ICML 2017). Whether a question belongs to any intent at all is learned from the
same examples: judged with their own intent they are in scope, judged without it they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.intents.calibration import logistic, stacking
from app.routing.intents.features import Floats, Rows, TextFeatures
from app.routing.intents.linear import LinearModel, fit

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is not learned. The figures were chosen on CLINC150's validation split.

    `embedding` is the length of the sentence vector beside the text features' two blocks of length 1, `cost` the C of the
    linear model, `nearest` how many nearest examples an intent is measured by, `side` what a margin of 1 adds to closeness
    where it is asked whether a question belongs to any intent. A term held by one text alone is kept only while there are
    at most `small` texts; up to there every fold is held out in turn, beyond it one fold once. Of more than `many` examples
    only those of the `likely` intents of largest margin are compared with a question: on the validation split of 15,000
    examples that never changed the intent, a probability by .001 in the mean and .03 at most, and it takes a quarter of
    the time.
    """

    embedding: float = 2.0
    cost: float = 0.3
    rounds: int = 6
    nearest: int = 3
    side: float = 0.2
    small: int = 2_000
    folds: int = 5
    many: int = 4_000
    likely: int = 24


@dataclass(frozen=True, slots=True)
class Judgement:
    """`probabilities` (classes,) sum to 1 and hold if the question belongs to an intent; `in_scope` is how likely it does.

    `closeness` (classes,) is the mean cosine of each intent's nearest examples; an intent that was not compared has the least of
    the others'. `scope` is what `in_scope` was read from:
    the best intent's closeness and margin, for ranking without rounding at the ends.
    """

    probabilities: Floats
    closeness: Floats
    in_scope: float
    scope: float

    @property
    def best(self) -> int:
        return int(self.probabilities.argmax())


@dataclass(frozen=True, slots=True)
class _Examples:
    """Vectors ordered by intent: intent c has those from `starts[c]` to `starts[c + 1]`."""

    vectors: Floats
    starts: Labels
    nearest: int

    @classmethod
    def of(cls, vectors: Floats, labels: Labels, classes: int, nearest: int) -> _Examples:
        starts = np.zeros(classes + 1, np.int64)
        np.cumsum(np.bincount(labels, minlength=classes), out=starts[1:])
        return cls(vectors[np.argsort(labels, kind="stable")], starts, nearest)

    def closeness(self, vectors: Floats) -> Floats:
        """(n, classes): the mean cosine of each intent's nearest examples; an intent with fewer is measured by those."""
        found = np.empty((len(vectors), len(self.starts) - 1), np.float32)
        counts = np.diff(self.starts)
        most = max(self.nearest, int(counts.max()))
        # Padded to the same number for each intent, so that one partition finds every intent's nearest.
        held = np.arange(most) < counts[:, None]
        for start in range(0, len(vectors), 64):
            part = vectors[start : start + 64]
            similar = np.full((len(part), len(counts), most), -1, np.float32)
            similar[:, held] = part @ self.vectors.T
            found[start : start + 64] = self._means(similar, counts)
        return found

    def among(self, vector: Floats, classes: Labels) -> Floats:
        """(len(classes),): the same for one vector and some intents; no other intent's examples are read."""
        counts = np.diff(self.starts)[classes]
        similar = np.full((1, len(classes), max(self.nearest, int(counts.max()))), -1, np.float32)
        for i, c in enumerate(classes.tolist()):
            own = self.vectors[self.starts[c] : self.starts[c + 1]]
            similar[0, i, : len(own)] = own @ vector
        found: Floats = self._means(similar, counts)[0]
        return found

    def _means(self, similar: Floats, counts: Labels) -> Floats:
        best = np.partition(similar, -self.nearest, axis=2)
        best = np.sort(best[:, :, -self.nearest :], axis=2)[:, :, ::-1]
        taken = np.clip(counts, 1, self.nearest)
        sums = np.take_along_axis(np.cumsum(best, axis=2), (taken - 1)[None, :, None], axis=2)
        means: Floats = (sums[:, :, 0] / taken).astype(np.float32)
        return means


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A trained model; never changes, so any thread may ask it. `names` gives the classes' order."""

    names: tuple[str, ...]
    features: TextFeatures
    linear: LinearModel
    examples: _Examples
    recipe: Recipe
    weights: Floats  # of margin and closeness
    scope: Floats  # of the scope's evidence and 1

    def judge(self, text: str, vector: Floats) -> Judgement:
        """`vector` is the text's own, of length 1, from the embedder that gave the examples' vectors."""
        columns, values = self.features.row(text)
        margins = self.linear.margins(columns, values, vector * self.recipe.embedding)
        return self._judge(margins, self._closeness(margins, vector))

    def _closeness(self, margins: Floats, vector: Floats) -> Floats:
        likely, many = self.recipe.likely, self.recipe.many
        if len(self.names) <= likely or len(self.examples.vectors) <= many:
            whole: Floats = self.examples.closeness(vector[None])[0]
            return whole
        asked = np.argpartition(-margins, likely)[:likely]
        found = self.examples.among(vector, asked)
        closeness = np.full(len(margins), found.min(), np.float32)
        closeness[asked] = found
        return closeness

    def _judge(self, margins: Floats, closeness: Floats) -> Judgement:
        logits = self.weights[0] * margins + self.weights[1] * closeness
        exponents = np.exp(logits - logits.max())
        best = int(logits.argmax())
        evidence = float(closeness[best] + self.recipe.side * margins[best])
        odds = float(self.scope[0]) * evidence + float(self.scope[1])
        in_scope = float(1 / (1 + np.exp(-odds)))
        return Judgement(exponents / exponents.sum(), closeness, in_scope, evidence)


def train(
    texts: Sequence[str], vectors: Floats, labels: Sequence[str], recipe: Recipe | None = None
) -> IntentModel:
    """`vectors` of shape (n, d), each of length 1. Raises ValueError for fewer than two intents or unequal lengths.

    The same input gives the same model: folds and passes are drawn with fixed seeds.
    """
    recipe = recipe or Recipe()
    names = tuple(sorted(set(labels)))
    if len(names) < 2 or not len(texts) == len(vectors) == len(labels):
        raise ValueError("training needs two intents at least, and one vector and label a text")
    numbers = {name: i for i, name in enumerate(names)}
    y = np.asarray([numbers[label] for label in labels], dtype=np.int64)
    features = TextFeatures(texts, rarest=1 if len(texts) <= recipe.small else 2)
    rows = features.rows(texts)
    weights, scope = _weigh(rows, vectors, y, len(names), features.width, recipe)
    linear = _linear(rows, vectors, y, len(names), features.width, recipe)
    examples = _Examples.of(vectors, y, len(names), recipe.nearest)
    return IntentModel(names, features, linear, examples, recipe, weights, scope)


def _linear(
    rows: Rows, vectors: Floats, y: Labels, classes: int, width: int, recipe: Recipe
) -> LinearModel:
    return fit(
        rows,
        vectors * np.float32(recipe.embedding),
        y,
        classes,
        width,
        cost=recipe.cost,
        rounds=recipe.rounds,
    )


def _weigh(
    rows: Rows, vectors: Floats, y: Labels, classes: int, width: int, recipe: Recipe
) -> tuple[Floats, Floats]:
    """The weights of margin and closeness, and the scope's, from examples that the judging model has not seen."""
    fold = _folds(y, recipe.folds)
    margins, closeness, truth = [], [], []
    for held in range(recipe.folds if len(y) <= recipe.small else 1):
        out, kept = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        if not len(out):
            continue
        model = _linear(rows.take(kept), vectors[kept], y[kept], classes, width, recipe)
        known = _Examples.of(vectors[kept], y[kept], classes, recipe.nearest)
        scaled = vectors[out] * np.float32(recipe.embedding)
        margins.append(model.all_margins(rows.take(out), scaled))
        closeness.append(known.closeness(vectors[out]))
        truth.append(y[out])
    evidence = np.stack([np.concatenate(margins), np.concatenate(closeness)], axis=2)
    labels = np.concatenate(truth)
    weights = stacking(evidence, labels)
    return weights, _scope(evidence, labels, weights, recipe.side)


def _folds(y: Labels, folds: int) -> Labels:
    """Every intent's examples are dealt out in turn, in a random order."""
    fold = np.empty(len(y), dtype=np.int64)
    order = np.random.default_rng(0)
    for c in np.unique(y):
        own = order.permutation(np.flatnonzero(y == c))
        fold[own] = np.arange(len(own)) % folds
    return fold


def _scope(evidence: Floats, labels: Labels, weights: Floats, side: float) -> Floats:
    """In scope: an example's own best intent. Out of scope: its best intent once its own is struck out."""
    logits = evidence @ weights
    each = np.arange(len(labels))
    joined = evidence[:, :, 1] + side * evidence[:, :, 0]
    inside = joined[each, logits.argmax(axis=1)]
    logits[each, labels] = -np.inf
    outside = joined[each, logits.argmax(axis=1)]
    found = np.concatenate([inside, outside])
    return logistic(
        np.stack([found, np.ones_like(found)], axis=1), np.repeat([1.0, 0.0], len(labels))
    )
