"""The exact hybrid ranking, without the engine: plain arrays over all chunks that a person may read.

Cosines by matrix product; BM25 from the product's document weights with the rarity of words among the permitted chunks. Only
the fusion is the product's own, since it defines the ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.knowledge.index import Words
from app.knowledge.index.fusion import fuse
from tests.bench.scale_data import Question, Texts, World, chunk_id

LIMIT = 50
# Questions of one matrix product: one pass over all vectors serves them all.
TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Postings:
    """For the words that are asked for: which chunks have them, and with what weight."""

    chunks: dict[int, NDArray[np.int64]]
    weights: dict[int, NDArray[np.float32]]

    @classmethod
    def of(cls, texts: Texts, count: int, questions: Sequence[Question]) -> Postings:
        model = Words()
        wanted = {index for question in questions for index in model.query(question.text)[0]}
        chunks: dict[int, list[int]] = {index: [] for index in wanted}
        weights: dict[int, list[float]] = {index: [] for index in wanted}
        for block in range(-(-count // Texts.BLOCK)):
            for place, text in enumerate(texts.block(block)):
                for index, value in zip(*model.document(text), strict=True):
                    if index in wanted:
                        chunks[index].append(block * Texts.BLOCK + place)
                        weights[index].append(value)
        return cls(
            {index: np.array(found, np.int64) for index, found in chunks.items()},
            {index: np.array(found, np.float32) for index, found in weights.items()},
        )


@dataclass(frozen=True, slots=True)
class Exact:
    """Chunk ids, best first."""

    fused: list[str]
    dense: list[str]
    words: list[str]


def exact(world: World, questions: Sequence[Question]) -> list[Exact]:
    postings = Postings.of(world.texts, len(world.vectors), questions)
    model = Words()
    masks: dict[int, NDArray[np.bool_]] = {}
    results = []
    for at, question in enumerate(questions):
        if at % TOGETHER == 0:
            together = np.stack([q.vector for q in questions[at : at + TOGETHER]], axis=1)
            products = world.vectors @ together
        if question.person not in masks:
            masks[question.person] = world.permitted(question.person)
        mask = masks[question.person]
        cosines = np.where(mask, products[:, at % TOGETHER], -np.inf)
        dense = _best(cosines, np.isfinite(cosines))
        scores = np.zeros(len(mask), np.float32)
        for index in model.query(question.text)[0]:
            chunks = postings.chunks[index]
            having, total = int(mask[chunks].sum()), int(mask.sum())
            rarity = np.log1p((total - having + 0.5) / (having + 0.5))
            scores[chunks] += postings.weights[index] * np.float32(rarity)
        words = _best(np.where(mask, scores, 0), mask & (scores > 0))
        fused = [hit.chunk_id for hit in fuse(dense, words, LIMIT)]
        results.append(Exact(fused, [i for i, _ in dense], [i for i, _ in words]))
    return results


def _best(
    scores: NDArray[np.float32] | NDArray[np.float64], among: NDArray[np.bool_]
) -> list[tuple[str, float]]:
    candidates = np.flatnonzero(among)
    values = scores[candidates]
    if len(candidates) > LIMIT:
        top = np.argpartition(-values, LIMIT)[:LIMIT]
        candidates, values = candidates[top], values[top]
    order = np.argsort(-values, kind="stable")
    return [(chunk_id(int(candidates[i])), float(values[i])) for i in order]
