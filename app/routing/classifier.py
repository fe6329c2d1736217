"""What a question is for, by its nearest example questions. No model call, no network, well under a millisecond.

An intent's score is the mean of its K best cosine similarities: one lucky neighbour is not enough, and an intent with many
examples has no advantage. A question in which no intent reaches the threshold goes to the fallback intent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain import Intent
from app.routing.table import RouteEntry, RoutingTable

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vector]

NEAREST = 3
_PROBE = "The quick brown fox jumps over the lazy dog."


class IntentClassifier:
    """`embed` gives one normalised vector a text. With `cache` (a folder) the examples are embedded once and kept; a changed
    example or another embedder makes a new file."""

    def __init__(self, table: RoutingTable, embed: Embed, cache: Path | None = None) -> None:
        self._table = table
        texts = [text for entry in table.entries for text in entry.examples]
        self._examples = _cached(texts, embed, cache)
        counts = [len(entry.examples) for entry in table.entries]
        ends = np.cumsum(counts)
        self._slices = [
            slice(int(end - count), int(end)) for count, end in zip(counts, ends, strict=True)
        ]

    def classify(self, text: str, vector: Vector) -> Intent:
        """`vector` is the text's own, from the same embedder. An empty text is the fallback's."""
        scores = self._scores(vector)
        order = np.argsort(-scores)
        best, second = int(order[0]), int(order[1])
        entry, runner_up = self._table.entries[best], self._table.entries[second]
        if text.strip() and scores[best] >= self._limit(entry):
            return _intent(entry, scores[best], runner_up, scores[second], "examples")
        fallback = self._table.fallback
        closest, score = (entry, scores[best]) if entry != fallback else (runner_up, scores[second])
        own = scores[self._table.entries.index(fallback)]
        return _intent(fallback, own, closest, score, "below threshold")

    def scores(self, vector: Vector) -> dict[str, float]:
        """Every intent's score, best first; for pages that explain."""
        scores = self._scores(vector)
        named = zip(self._table.entries, scores, strict=True)
        return dict(sorted(((e.name, round(float(s), 4)) for e, s in named), key=lambda x: -x[1]))

    def _scores(self, vector: Vector) -> Vector:
        similarities = self._examples @ vector
        means = [np.sort(similarities[examples])[-NEAREST:].mean() for examples in self._slices]
        return np.asarray(means, dtype=np.float32)

    def _limit(self, entry: RouteEntry) -> float:
        return self._table.threshold if entry.threshold is None else entry.threshold


def _intent(
    entry: RouteEntry, score: float, runner_up: RouteEntry, second: float, chosen_by: str
) -> Intent:
    return Intent(
        name=entry.name,
        label=entry.label,
        score=round(float(score), 4),
        runner_up=runner_up.name,
        runner_up_score=round(float(second), 4),
        chosen_by="examples" if chosen_by == "examples" else "below threshold",
    )


def _cached(texts: list[str], embed: Embed, folder: Path | None) -> Vector:
    """The key holds the examples and the vector of a fixed sentence, which tells embedders apart whatever they are called."""
    if folder is None:
        return embed(texts)
    probe = np.round(embed([_PROBE])[0], 3)
    key = hashlib.sha256(json.dumps(texts).encode() + probe.tobytes()).hexdigest()[:24]
    path = folder / f"intents-{key}.npy"
    try:
        kept: Vector = np.load(path, allow_pickle=False)
        if kept.shape[0] == len(texts):
            return kept
    except (OSError, ValueError):
        pass  # not there yet, or cut short by a crash: made again below
    vectors = embed(texts)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("intents-*.npy"):
        old.unlink(missing_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, vectors)
    unfinished.replace(path)
    return vectors
