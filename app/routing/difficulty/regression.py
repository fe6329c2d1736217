"""Logistic regression with a ridge over sparse and dense columns together, for outcomes anywhere between 0 and 1.

Newton's method; each step's linear system is solved by conjugate gradients, so that only products with the rows are needed
(truncated Newton: Lin, Weng and Keerthi, *Trust Region Newton Method for Large-Scale Logistic Regression*, JMLR 9, 2008;
with the line search in place of the trust region).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.intents.features import Rows

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

NEWTON_STEPS = 12
INNER_STEPS = 60


@dataclass(frozen=True, slots=True)
class Design:
    """n rows of `width` sparse columns, then `dense` (n, d), then a column of ones that the ridge leaves alone."""

    line: Places  # the row of each sparse value
    columns: Places
    values: Doubles
    width: int
    dense: Doubles

    @classmethod
    def of(cls, rows: Rows, width: int, dense: Doubles) -> Design:
        line = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
        return cls(
            line, rows.columns.astype(np.int64), rows.values.astype(np.float64), width, dense
        )

    def __len__(self) -> int:
        return len(self.dense)

    def take(self, which: Places) -> Design:
        """The rows `which`, in rising order."""
        kept = np.zeros(len(self), dtype=bool)
        kept[which] = True
        mine = kept[self.line]
        number = np.cumsum(kept) - 1
        return Design(
            number[self.line[mine]],
            self.columns[mine],
            self.values[mine],
            self.width,
            self.dense[kept],
        )

    def times(self, weights: Doubles) -> Doubles:
        """(n,): every row's product with `weights` (width + d + 1,)."""
        sparse = np.bincount(self.line, self.values * weights[self.columns], len(self))
        found: Doubles = sparse + self.dense @ weights[self.width : -1] + weights[-1]
        return found

    def transposed(self, amounts: Doubles) -> Doubles:
        """(width + d + 1,): every column's product with `amounts` (n,)."""
        sparse = np.bincount(self.columns, self.values * amounts[self.line], self.width)
        return np.concatenate([sparse, self.dense.T @ amounts, [amounts.sum()]])

    def squares(self, amounts: Doubles) -> Doubles:
        """(width + d + 1,): every column's sum of squares, each row's counted `amounts` (n,) times."""
        sparse = np.bincount(self.columns, self.values**2 * amounts[self.line], self.width)
        return np.concatenate([sparse, (self.dense**2).T @ amounts, [amounts.sum()]])


def logistic(design: Design, outcomes: Doubles, ridge: float) -> Doubles:
    """The weights that minimise the mean cross-entropy of `outcomes` (n,) plus ridge/2 times the weights' squared length."""
    n = len(design)
    mean = float(np.clip(outcomes.mean(), 0.5 / n, 1 - 0.5 / n))
    weights = np.zeros(design.width + design.dense.shape[1] + 1)
    weights[-1] = np.log(mean / (1 - mean))
    penalty = np.full(len(weights), ridge)
    penalty[-1] = 1e-9
    score = design.times(weights)
    for _ in range(NEWTON_STEPS):
        p = sigmoid(score)
        gradient = design.transposed(p - outcomes) / n + penalty * weights
        step = _solve(design, np.maximum(p * (1 - p), 1e-6) / n, penalty, -gradient)
        along = design.times(step)
        size = _line_search(weights, step, score, along, outcomes, penalty, gradient)
        weights, score = weights + size * step, score + size * along
        if size * float(np.abs(along).max()) < 1e-2:
            break
    return weights


def sigmoid(score: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(score, -40, 40)))
    return found


def logit(p: Doubles) -> Doubles:
    inside = np.clip(p, 1e-3, 1 - 1e-3)
    found: Doubles = np.log(inside / (1 - inside))
    return found


def _solve(design: Design, curvature: Doubles, penalty: Doubles, target: Doubles) -> Doubles:
    """Conjugate gradients on (X' diag(curvature) X + diag(penalty)) x = target, each column scaled by the matrix's diagonal, to a
    hundredth of the target's length."""
    scale = 1 / (design.squares(curvature) + penalty)
    found, rest = np.zeros_like(target), target.copy()
    scaled = scale * rest
    direction, along = scaled.copy(), float(rest @ scaled)
    enough = along * 1e-4
    for _ in range(INNER_STEPS):
        if along <= enough:
            break
        bent = design.transposed(curvature * design.times(direction)) + penalty * direction
        step = along / float(direction @ bent)
        found += step * direction
        rest -= step * bent
        scaled = scale * rest
        before, along = along, float(rest @ scaled)
        direction = scaled + along / before * direction
    return found


def _line_search(
    weights: Doubles,
    step: Doubles,
    score: Doubles,
    along: Doubles,
    outcomes: Doubles,
    penalty: Doubles,
    gradient: Doubles,
) -> float:
    """The first of 1, 1/2, 1/4 … that lowers the loss as far as the slope promises (Armijo)."""

    def loss(size: float) -> float:
        at, moved = score + size * along, weights + size * step
        fit = float(np.mean(np.logaddexp(0, at) - outcomes * at))
        return fit + float(penalty @ (moved * moved)) / 2

    size, start, slope = 1.0, loss(0.0), float(gradient @ step)
    while size > 1e-3 and loss(size) > start + 1e-4 * size * slope:
        size /= 2
    return size
