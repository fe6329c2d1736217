"""Linear one-against-the-rest classification with the squared hinge loss, over sparse and dense features together.

Dual coordinate descent (Hsieh, Chang, Lin, Keerthi and Sundararajan, *A Dual Coordinate Descent Method for Large-scale
Linear SVM*, ICML 2008, algorithm 1), which liblinear uses too. All classes' problems advance together, one example at a
time: each step is a few numpy operations on a row of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.intents.features import Floats, Indices, Rows


@dataclass(frozen=True, slots=True)
class LinearModel:
    """`sparse` of shape (columns, classes), `dense` of shape (dimensions, classes), `bias` of shape (classes,)."""

    sparse: Floats
    dense: Floats
    bias: Floats

    def margins(self, columns: Indices, values: Floats, vector: Floats) -> Floats:
        """One margin a class: positive on its own side, 1 at the edge of the street."""
        found: Floats = values @ self.sparse[columns] + vector @ self.dense + self.bias
        return found

    def all_margins(self, rows: Rows, vectors: Floats) -> Floats:
        """Shape (rows, classes)."""
        found = vectors @ self.dense + self.bias
        for i in range(len(rows)):
            columns, values = rows.row(i)
            found[i] += values @ self.sparse[columns]
        return found.astype(np.float32)


def fit(
    rows: Rows,
    vectors: Floats,
    labels: NDArray[np.int64],
    classes: int,
    width: int,
    *,
    cost: float,
    rounds: int = 12,
    seed: int = 0,
) -> LinearModel:
    """`vectors` of shape (n, d), d may be 0; `labels` are numbers below `classes`; `width` counts the sparse columns.

    `cost` is the price C of a violated margin against the weights' length. Ends after `rounds` passes, or earlier when a
    pass moves no multiplier by more than a hundredth of the largest.
    """
    n, d = vectors.shape
    model = LinearModel(
        np.zeros((width, classes), np.float32),
        np.zeros((d, classes), np.float32),
        np.zeros(classes, np.float32),
    )
    alpha = np.zeros((n, classes), np.float32)
    ridge = np.float32(1 / (2 * cost))
    lengths = 1 + np.einsum("ij,ij->i", vectors, vectors) + ridge
    lengths += np.asarray([float(v @ v) for v in (rows.row(i)[1] for i in range(n))], np.float32)
    order = np.random.default_rng(seed)
    for _ in range(rounds):
        moved = 0.0
        for i in order.permutation(n):
            moved = max(
                moved,
                _step(model, rows.row(i), vectors[i], alpha[i], int(labels[i]), ridge, lengths[i]),
            )
        if moved <= 0.01 * float(alpha.max(initial=0)):
            break
    return model


def _step(
    model: LinearModel,
    row: tuple[Indices, Floats],
    vector: Floats,
    alpha: Floats,
    label: int,
    ridge: np.float32,
    length: np.float32,
) -> float:
    """One example's multipliers for every class, changed in place together with the weights."""
    columns, values = row
    signed = -model.margins(columns, values, vector)
    signed[label] = -signed[label]
    new = np.maximum(alpha - (signed - 1 + ridge * alpha) / length, 0)
    change = new - alpha
    which = np.flatnonzero(np.abs(change) > 1e-6)
    if not len(which):
        return 0.0
    largest = float(np.abs(change).max())
    alpha[:] = new
    change = -change
    change[label] = -change[label]
    if len(which) * 3 < len(change):
        small = change[which]
        model.sparse[columns[:, None], which] += np.outer(values, small)
        model.dense[:, which] += np.outer(vector, small)
        model.bias[which] += small
    else:
        model.sparse[columns] += np.outer(values, change)
        model.dense[:] += np.outer(vector, change)
        model.bias[:] += change
    return largest
