"""From expected quality and cost to a model. Nothing here takes a dear model for a good one."""

from __future__ import annotations

import numpy as np

from app.routing.difficulty.regression import Doubles, Places


def ranked(quality: Doubles, costs: Doubles, worth: float) -> Places:
    """The models in the order of `worth` x quality - cost, best first: `worth` is what one point of quality may cost, in the
    costs' unit.

    `quality` and `costs` (models,). An infinite `worth` asks for quality alone. The cheaper of two equals comes first.
    """
    value = quality if np.isinf(worth) else worth * quality - costs
    return np.lexsort((costs, -np.round(value, 12)))


def chosen(quality: Doubles, costs: Doubles, worth: float | Doubles) -> Places:
    """(n,): the first of `ranked` for each row of `quality` and `costs` (n, models); one `worth`, or one a row."""
    column = np.asarray(worth, np.float64).reshape(-1, 1)
    finite = np.where(np.isinf(column), 0.0, column)
    value = np.where(np.isinf(column), quality, finite * quality - costs)
    best = value >= value.max(axis=1, keepdims=True) - 1e-12
    found: Places = np.where(best, costs, np.inf).argmin(axis=1)
    return found
