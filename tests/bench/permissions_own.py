"""An index that holds only one person's documents: what the filtered results are compared with.

`Own` is exact and independent of the engine: cosines by one matrix product, BM25 with the word rarity of just the chunks
held, by the engine's formula; only the fusion of the two lists is the product's. It answers the product's `VectorIndex.search`,
so the real `Search` runs on top of it. `Engine` is the real engine with just those chunks, for checking `Own` on a sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain import EVERYONE
from app.knowledge.index import EdgeIndex, Hit, IndexPoint, Readers, Words
from app.knowledge.index.fusion import fuse

Floats = NDArray[np.float32]
ANYBODY = Readers(frozenset({EVERYONE}))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question against all chunks: cosines, and the weight of each of its words in each chunk that has any."""

    cosines: Floats
    rows: NDArray[np.intp]
    weights: Floats


class Own:
    """Call `hold` first. Of the `VectorIndex` protocol only what a search asks for. Cosines and word weights of the last 512 questions are kept, whoever asks."""

    def __init__(self, points: Sequence[IndexPoint]) -> None:
        self._ids = np.array([point.chunk_id for point in points])
        self._matrix = np.stack([point.vector for point in points])
        self._row_of_document: dict[str, list[int]] = defaultdict(list)
        self._words = Words()
        self._chunks_with: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for row, point in enumerate(points):
            self._row_of_document[point.document_id].append(row)
            for word, weight in zip(*self._words.document(point.words), strict=True):
                self._chunks_with[word].append((row, weight))
        self._held = np.zeros(len(points), dtype=bool)
        self._rows: NDArray[np.intp] = np.flatnonzero(self._held)
        self._asked = lru_cache(maxsize=512)(self._ask)

    def hold(self, documents: Iterable[str]) -> None:
        """From now on only these documents are in the index."""
        self._held[:] = False
        self._held[[row for d in documents for row in self._row_of_document[d]]] = True
        self._rows = np.flatnonzero(self._held)

    def search(self, vector: Floats, text: str, readers: Readers, limit: int = 50) -> list[Hit]:  # noqa: ARG002
        asked = self._asked(text, vector.tobytes())
        nearest = self._best(asked.cosines[self._rows], self._rows, limit)
        return fuse(nearest, self._bm25(asked, limit), limit)

    def _ask(self, text: str, vector: bytes) -> _Asked:
        words, values = self._words.query(text)
        found = [self._chunks_with.get(word, []) for word in words]
        rows = np.array(sorted({row for chunks in found for row, _ in chunks}), dtype=np.intp)
        place = {row: at for at, row in enumerate(rows.tolist())}
        weights = np.zeros((len(rows), len(words)), dtype=np.float32)
        for column, (value, chunks) in enumerate(zip(values, found, strict=True)):
            for row, weight in chunks:
                weights[place[row], column] = weight * value
        return _Asked(self._matrix @ np.frombuffer(vector, dtype=np.float32), rows, weights)

    def _bm25(self, asked: _Asked, limit: int) -> list[tuple[str, float]]:
        mine = self._held[asked.rows]
        weights = asked.weights[mine]
        if not len(weights):
            return []
        having = np.count_nonzero(weights, axis=0)
        rarity = np.log((len(self._rows) - having + 0.5) / (having + 0.5) + 1)
        scores = weights @ rarity.astype(np.float32)
        return self._best(scores, asked.rows[mine], limit)

    def _best(self, scores: Floats, rows: NDArray[np.intp], limit: int) -> list[tuple[str, float]]:
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(str(self._ids[rows[at]]), float(scores[at])) for at in order]


class Engine:
    """The product's engine, made anew with one person's chunks and no readers to filter by."""

    def __init__(self, points: Sequence[IndexPoint], folder: Path, dimension: int) -> None:
        self._index = EdgeIndex(folder, dimension=dimension, embedder="own")
        self._index.upsert([replace(p, readers=ANYBODY.principals) for p in points])

    def search(self, vector: Floats, text: str, limit: int = 50) -> list[Hit]:
        return self._index.search(vector, text, ANYBODY, limit)

    def close(self) -> None:
        self._index.close()
