"""Gradient boosting with shallow trees over binned columns, for a score anywhere between 0 and 1.

Friedman, *Greedy Function Approximation: A Gradient Boosting Machine* (Annals of Statistics 29, 2001), with squared loss, rows
and columns drawn at random for each tree (*Stochastic Gradient Boosting*, 2002), and histograms of 32 bins in place of sorted
columns. Trees find what a linear model cannot: that digits among the options matter in a calculation and not in history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.difficulty.regression import Doubles

# Chosen on four fifths of RouteLLM's MMLU rows, learned without a fifth of them at a time: more rounds learn the rows by heart.
BINS = 32
DEPTH = 4
LEAF = 40  # rows at least
SHRINK = 10.0  # rows of "no difference" that each leaf is averaged with
RATE = 0.05
ROUNDS = 80
ROWS, COLUMNS = 0.6, 0.5  # the shares that each tree sees

Bins = NDArray[np.int32]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trees:
    """`edges` (columns, BINS - 1). Tree t asks at its node i, counted level by level from the root, whether column
    `columns[t, i]` lies above bin `limits[t, i]`; a column of -1 sends every row to the left. `leaves` (trees, 2**DEPTH)."""

    edges: Doubles
    columns: Places
    limits: Places
    leaves: Doubles
    start: float

    def predict(self, rows: Doubles) -> Doubles:
        """(n,): the expected score of each row of `rows` (n, columns)."""
        bins = binned(rows, self.edges)
        row = np.arange(len(rows))[:, None]
        tree = np.arange(len(self.columns))[None, :]
        node = np.zeros((len(rows), len(self.columns)), np.int64)
        for _ in range(DEPTH):
            column = self.columns[tree, node]
            above = (column >= 0) & (bins[row, column] > self.limits[tree, node])
            node = 2 * node + 1 + above
        leaves: Doubles = self.leaves[tree, node - (2**DEPTH - 1)]
        found: Doubles = self.start + leaves.sum(axis=1)
        return found


def boost(rows: Doubles, scores: Doubles, seed: int = 0) -> Trees:
    """`rows` (n, columns) and their `scores` (n,). The same input and seed give the same trees."""
    edges = np.quantile(rows, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T
    bins = binned(rows, edges)
    drawn = np.random.default_rng(seed)
    width = rows.shape[1]
    inner = 2**DEPTH - 1
    columns = np.full((ROUNDS, inner), -1, np.int64)
    limits = np.zeros((ROUNDS, inner), np.int64)
    leaves = np.zeros((ROUNDS, inner + 1))
    start = float(scores.mean())
    found = np.full(len(rows), start)
    for t in range(ROUNDS):
        seen = np.flatnonzero(drawn.random(len(rows)) < ROWS)
        asked = np.sort(drawn.choice(width, max(1, round(width * COLUMNS)), replace=False))
        rest = scores - found
        node = _grow(bins, rest, seen, asked, columns[t], limits[t])
        sums = np.bincount(node[seen], rest[seen], inner + 1)
        counts = np.bincount(node[seen], minlength=inner + 1)
        leaves[t] = RATE * sums / (counts + SHRINK)
        found += leaves[t][node]
    return Trees(edges, columns, limits, leaves, start)


def binned(rows: Doubles, edges: Doubles) -> Bins:
    found = np.empty(rows.shape, np.int32)
    for c, edge in enumerate(edges):
        found[:, c] = np.searchsorted(edge, rows[:, c], side="left")
    return found


def _grow(
    bins: Bins, rest: Doubles, seen: Places, asked: Places, columns: Places, limits: Places
) -> Places:
    """One tree: fills in its questions, and gives every row's leaf."""
    node = np.zeros(len(bins), np.int64)
    mine = bins[np.ix_(seen, asked)] + np.arange(len(asked)) * BINS
    for depth in range(DEPTH):
        first, here = 2**depth - 1, 2**depth
        column, limit = _best_splits(mine, rest[seen], node[seen], here, len(asked))
        column = np.where(column >= 0, asked[column], -1)
        columns[first : first + here], limits[first : first + here] = column, limit
        chosen = column[node]
        above = (chosen >= 0) & (bins[np.arange(len(bins)), chosen] > limit[node])
        node = 2 * node + above
    return node


def _best_splits(
    bins: Bins, rest: Doubles, node: Places, nodes: int, width: int
) -> tuple[Places, Places]:
    """For each of `nodes` the column (-1 for none) and bin whose split lowers the squared error most."""
    shape = (nodes, width, BINS)
    places = (node[:, None] * (width * BINS) + bins).ravel()
    size = nodes * width * BINS
    sums = np.bincount(places, np.repeat(rest, width), size).reshape(shape).cumsum(axis=2)
    counts = np.bincount(places, minlength=size).reshape(shape).cumsum(axis=2)
    all_sums, all_counts = sums[:, :, -1:], counts[:, :, -1:]
    above, more = all_sums - sums, all_counts - counts
    gain = (
        sums**2 / (counts + SHRINK)
        + above**2 / (more + SHRINK)
        - all_sums**2 / (all_counts + SHRINK)
    )
    gain[(counts < LEAF) | (more < LEAF)] = 0.0
    flat = gain.reshape(nodes, -1)
    best = flat.argmax(axis=1)
    found = flat[np.arange(nodes), best] > 1e-9
    return np.where(found, best // BINS, -1), best % BINS
