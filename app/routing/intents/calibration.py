"""Two small convex fits by Newton's method: weights of evidence for one class among many, and for yes or no."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.routing.intents.features import Floats

STEPS = 30
RIDGE = 1e-3  # keeps the weights finite where the examples separate perfectly


def stacking(evidence: Floats, labels: NDArray[np.int64]) -> Floats:
    """The weights w (kinds,) that make softmax(evidence @ w) most likely for `labels`; none is negative.

    `evidence` has the shape (n, classes, kinds). A kind whose weight would be negative is left out.
    """
    kinds = evidence.shape[2]
    weights = _softmax_fit(evidence, labels)
    if (weights >= 0).all() or kinds == 1:
        return np.maximum(weights, 1e-3).astype(np.float32)
    kept = np.flatnonzero(weights > 0) if (weights > 0).any() else np.asarray([0])
    found = np.zeros(kinds, np.float32)
    found[kept] = np.maximum(_softmax_fit(evidence[:, :, kept], labels), 1e-3)
    return found


def _softmax_fit(evidence: Floats, labels: NDArray[np.int64]) -> Floats:
    n, _, kinds = evidence.shape
    weights = np.ones(kinds)
    own = evidence[np.arange(n), labels].mean(axis=0)
    for _ in range(STEPS):
        logits = evidence @ weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        means = np.einsum("nc,nck->nk", p, evidence)
        gradient = means.mean(axis=0) - own + RIDGE * weights
        second = np.einsum("nc,nck,ncl->kl", p, evidence, evidence, optimize=True) / n
        curvature = second - means.T @ means / n + RIDGE * np.eye(kinds)
        step = np.linalg.solve(curvature, gradient)
        # A full Newton step from far away can overshoot; a bounded one always comes back.
        weights = weights - step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    return weights.astype(np.float32)


def logistic(found: Floats, outcome: NDArray[np.float64]) -> Floats:
    """Weights w (kinds,) of the logistic regression of `outcome` (n,), 0 or 1, on `found` (n, kinds)."""
    weights = np.zeros(found.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(found @ weights)))
        gradient = found.T @ (p - outcome) / len(found) + RIDGE * weights
        curvature = (found * (p * (1 - p))[:, None]).T @ found / len(found)
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
        weights = weights - step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    return weights.astype(np.float32)
