"""Qdrant's embedded engine in a folder. It belongs to one process, and says so in plain words to a second."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from app.knowledge.index import points as layout
from app.knowledge.index.counting import Counting
from app.knowledge.index.fusion import fuse
from app.knowledge.index.points import Hit, IndexPoint, Readers
from app.knowledge.index.rarity import Counted
from app.knowledge.index.room import need
from app.knowledge.index.shard import next_to, open_shard, own, unavailable, write_label
from app.knowledge.index.sorting import Sorting, outside_graph
from app.knowledge.index.strategy import DEFAULT, Strategy
from app.knowledge.index.words import Words

# Over an empty corpus the engine weighs every word by ln(1 + .5 / .5), so that a query can bring its own weights.
NO_CORPUS = edge.Filter(must=[edge.FieldCondition(layout.AUDIENCE, match=edge.MatchValue(-1))])
NO_CORPUS_WEIGHT = math.log(2)
REMEMBERED_FILTERS = 64


class EdgeIndex:
    """See `VectorIndex`. `embedder` names the model of the vectors: under another name the folder is made anew."""

    def __init__(
        self, folder: Path, *, dimension: int, embedder: str, strategy: Strategy = DEFAULT
    ) -> None:
        """Raises AlreadyRunning when another process owns the folder, IndexUnavailable when it cannot be opened."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        need(folder.parent, strategy.reserve_mb // 2, "open")
        self._lock = own(folder)
        self._words = Words()
        self._strategy = strategy
        self._folder = folder
        self._identity = {"layout": layout.LAYOUT, "embedder": embedder, "dimension": dimension}
        opened = open_shard(folder, self._identity, strategy)
        self._shard, self._shard_folder = opened.shard, opened.folder
        self._audiences, self.fresh = opened.audiences, opened.fresh
        self._left_outside = 0
        self._writing = threading.Lock()
        self.counting = Counting(lambda: self._shard, self._writing)
        self.sorting = Sorting(self._writing, self._take, strategy.reserve_mb)
        self._noticed()

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        if not points:
            return
        self._need_room()
        audiences = [self._audiences.number(point.readers) for point in points]
        words = [self._words.document(point.words) for point in points]
        made = [_point(*parts) for parts in zip(points, audiences, words, strict=True)]
        counted = [
            Counted(point.chunk_id, point.document_id, audience, indices)
            for point, audience, (indices, _) in zip(points, audiences, words, strict=True)
        ]
        with self._writing:
            self._update(edge.UpdateOperation.upsert_points(made))
            self.counting.put(counted)

    def set_access(self, document_id: str, readers: Iterable[str], data_class: int) -> None:
        self._need_room()
        audience = self._audiences.number(readers)
        payload = {layout.AUDIENCE: audience, layout.DATA_CLASS: data_class}
        of_document = edge.Filter(
            must=[edge.FieldCondition(layout.DOCUMENT, match=edge.MatchValue(document_id))]
        )
        with self._writing:
            self._update(edge.UpdateOperation.set_payload_by_filter(of_document, payload))
            self.counting.set_audience(document_id, audience)

    def delete(self, chunk_ids: Sequence[str]) -> None:
        if chunk_ids:
            self._need_room()
            with self._writing:
                self._update(edge.UpdateOperation.delete_points(list(chunk_ids)))
                self.counting.delete(chunk_ids)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        if not chunk_ids:
            return {}
        try:
            found = self._shard.retrieve(list(chunk_ids), False, True)
        except Exception as error:
            raise unavailable("The search index did not answer.", error) from error
        return {str(record.id): layout.dense(record.vector) for record in found}

    def search(
        self, vector: NDArray[np.float32], text: str, readers: Readers, limit: int = 50
    ) -> list[Hit]:
        audiences = self._audiences.of(readers.principals)
        if not audiences:
            return []
        permitted = _permitted(audiences)
        try:
            requests = [self._nearest(vector, permitted, audiences, limit)]
            if (worded := self._worded(text, permitted, audiences, limit)) is not None:
                requests.append(worded)
            answers = self._shard.query_batch(edge.QueryBatchRequest(requests))
        except Exception as error:
            raise unavailable("The search index did not answer.", error) from error
        scored = [[(str(point.id), point.score) for point in answer] for answer in answers]
        return fuse(scored[0], scored[1] if len(scored) > 1 else [], limit)

    def count(self) -> int:
        return self._count

    def flush(self) -> None:
        self._need_room()
        try:
            self._audiences.sync()
            self._shard.flush()
            outside = outside_graph(self._shard) - self._left_outside
            if outside > self._strategy.unsorted(self._count):
                self.sorting.start(self._shard, self._shard_folder, next_to(self._shard_folder))
        except Exception as error:
            raise unavailable("The search index could not be written to disk.", error) from error

    def close(self) -> None:
        if not self._lock.closed:
            self.sorting.close()
            self.counting.close()
            self._shard.close()
            self._audiences.close()
            self._lock.close()

    def _nearest(
        self,
        vector: NDArray[np.float32],
        permitted: edge.Filter,
        audiences: tuple[int, ...],
        limit: int,
    ) -> edge.QueryRequest:
        params = (
            edge.SearchParams(exact=True)
            if self._few(permitted, audiences)
            else edge.SearchParams(
                hnsw_ef=self._strategy.ef,
                acorn=edge.AcornSearchParams(enable=True, max_selectivity=1.0),
                quantization=edge.QuantizationSearchParams(
                    rescore=True, oversampling=self._strategy.rescored
                ),
            )
        )
        query = edge.Query.Nearest(vector.tolist(), using=layout.DENSE)
        return edge.QueryRequest(limit=limit, query=query, filter=permitted, params=params)

    def _few(self, permitted: edge.Filter, audiences: tuple[int, ...]) -> bool:
        if self._count < self._strategy.graph_from:
            return True
        left = self.counting.total(audiences)
        if left is None:
            left = self._shard.count(edge.CountRequest(exact=False, filter=permitted))
        return left <= self._strategy.exact_up_to

    def _worded(
        self, text: str, permitted: edge.Filter, audiences: tuple[int, ...], limit: int
    ) -> edge.QueryRequest | None:
        """None for a text without words. Rarity is always that among permitted chunks, counted by us or by the engine."""
        indices, values = self._words.query(text)
        if not indices:
            return None
        weights = self.counting.weights(indices, audiences)
        if weights is not None:
            values = [v * w / NO_CORPUS_WEIGHT for v, w in zip(values, weights, strict=True)]
        corpus = permitted if weights is None else NO_CORPUS
        words = edge.SparseVector(indices, values)
        return edge.QueryRequest(
            limit=limit,
            query=edge.Query.Nearest(words, using=layout.SPARSE),
            filter=permitted,
            params=edge.SearchParams(idf=edge.IdfParams(corpus=corpus)),
        )

    def _need_room(self) -> None:
        need(self._folder, self._strategy.reserve_mb, "change")

    def _take(self, shard: edge.EdgeShard, folder: Path, left_outside: int) -> None:
        """Searches that run keep the old shard until they are done."""
        write_label(self._folder, self._identity, folder)
        self._shard, self._shard_folder = shard, folder
        self._left_outside = left_outside

    def _update(self, operation: edge.UpdateOperation) -> None:
        try:
            self._shard.update(operation)
            self.sorting.note(operation)
        except Exception as error:
            raise unavailable("The search index did not take a change.", error) from error
        self._noticed()

    def _noticed(self) -> None:
        self._count = self._shard.info().points_count
        if self._count >= self._strategy.counted_from:
            self.counting.start()


@lru_cache(maxsize=REMEMBERED_FILTERS)
def _permitted(audiences: tuple[int, ...]) -> edge.Filter:
    """Remembered: people with 200 principals belong to 7,000 sets, and handing those over takes a millisecond for each search."""
    return edge.Filter(
        must=[edge.FieldCondition(layout.AUDIENCE, match=edge.MatchAny(list(audiences)))]
    )


def _point(point: IndexPoint, audience: int, words: tuple[list[int], list[float]]) -> edge.Point:
    vectors: dict[str, list[float] | list[list[float]] | edge.SparseVector] = {
        layout.DENSE: point.vector.tolist(),
        layout.SPARSE: edge.SparseVector(*words),
    }
    payload = {
        layout.AUDIENCE: audience,
        layout.DOCUMENT: point.document_id,
        layout.CONNECTOR: point.connector_id,
        layout.DATA_CLASS: point.data_class,
    }
    return edge.Point(point.chunk_id, vectors, payload)
