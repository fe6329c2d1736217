"""What a question is for, learned from example questions. No model call, no network, about a millisecond.

The name is the likeliest by the learned model (app.routing.intents). Whether any intent is believed is decided by closeness,
the mean cosine similarity of an intent's three nearest examples: one lucky neighbour is not enough, and an intent with many
examples has no advantage. A question whose likeliest intent stays below its threshold goes to the fallback intent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.domain import Intent
from app.routing.corrections import Labelled
from app.routing.intents import Judgement, train
from app.routing.table import RouteEntry, RoutingTable

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vector]

FOLLOW_UP_WORDS = 5
_PROBE = "The quick brown fox jumps over the lazy dog."


class IntentClassifier:
    """`embed` gives one normalised vector a text. With `cache` (a folder) the examples are embedded once and kept; a changed
    example or another embedder makes a new file. Training on the examples takes well under a second for a hundred."""

    def __init__(
        self,
        table: RoutingTable,
        embed: Embed,
        cache: Path | None = None,
        *,
        corrected: Sequence[Labelled] = (),
        version: int = 0,
    ) -> None:
        """`corrected` questions are learned beside the examples; where one is an example itself, the example holds, and of
        two that disagree the later one. `version` and how many were learned are written on every intent."""
        self._table = table
        self._version = version
        texts = [text for entry in table.entries for text in entry.examples]
        labels = [entry.name for entry in table.entries for _ in entry.examples]
        vectors = _cached(texts, embed, cache)
        names, examples = set(labels), set(texts)
        usable = (one for one in corrected if one.intent in names and one.text not in examples)
        said = {one.text: one.intent for one in usable}
        self.corrections = len(said)
        if said:
            texts, labels = [*texts, *said], [*labels, *said.values()]
            vectors = np.concatenate([vectors, embed(list(said))])
        self._model = train(texts, vectors, labels)
        self._places = [self._model.names.index(entry.name) for entry in table.entries]

    def classify(self, text: str, vector: Vector) -> Intent:
        """`vector` is the text's own, from the same embedder. An empty text is the fallback's."""
        judged = self._model.judge(text, vector)
        scores = self._scores(judged)
        order = np.argsort(-scores, kind="stable")
        best, second = int(order[0]), int(order[1])
        entry, runner_up = self._table.entries[best], self._table.entries[second]
        closeness = float(judged.closeness[self._places[best]])
        if text.strip() and closeness >= self._limit(entry):
            return self._intent(entry, scores[best], runner_up, scores[second], "examples")
        fallback = self._table.fallback
        closest, score = (entry, scores[best]) if entry != fallback else (runner_up, scores[second])
        own = scores[self._table.entries.index(fallback)]
        return self._intent(fallback, own, closest, score, "below threshold")

    def scores(self, text: str, vector: Vector) -> dict[str, float]:
        """Every intent's probability, likeliest first; for pages that explain."""
        scores = self._scores(self._model.judge(text, vector))
        named = zip(self._table.entries, scores, strict=True)
        return dict(sorted(((e.name, round(float(s), 4)) for e, s in named), key=lambda x: -x[1]))

    def _scores(self, judged: Judgement) -> Vector:
        """In the table's order: the chance that the question is for this intent. What is missing from 1 is for none."""
        return np.asarray(judged.probabilities[self._places] * judged.in_scope, dtype=np.float32)

    def _intent(
        self,
        entry: RouteEntry,
        score: float,
        runner_up: RouteEntry,
        second: float,
        chosen_by: Literal["examples", "below threshold"],
    ) -> Intent:
        return Intent(
            name=entry.name,
            label=entry.label,
            score=round(float(score), 4),
            runner_up=runner_up.name,
            runner_up_score=round(float(second), 4),
            chosen_by=chosen_by,
            version=self._version,
            corrections=self.corrections,
        )

    def _limit(self, entry: RouteEntry) -> float:
        return self._table.threshold if entry.threshold is None else entry.threshold


def in_context(text: str, before: str) -> str:
    """What a question is searched and judged by. A short follow-up ("and in Leeds?") means little alone, so the question
    `before` it stands in front; `before` is empty for the first of a conversation."""
    return f"{before} {text}" if before and len(text.split()) <= FOLLOW_UP_WORDS else text


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
