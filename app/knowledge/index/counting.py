"""Keeps `Rarity` in step with the embedded engine, and fills it from what the engine already holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import qdrant_edge as edge

from app.knowledge.index import points as layout
from app.knowledge.index.rarity import Counted, Rarity

log = logging.getLogger(__name__)
PAGE = 500


class Counting:
    """Off until `start`. Until everything is counted `weights` and `total` are None, and the engine counts instead: slower, the same.

    `writing` is held by whoever changes the engine and calls `put`, `set_audience` or `delete`, and here for each page that
    is read, so that no page undoes a newer change.
    """

    def __init__(self, shard: Callable[[], edge.EdgeShard], writing: threading.Lock) -> None:
        self._shard, self._writing = shard, writing
        self._rarity: Rarity | None = None
        self._complete = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="index-words", daemon=True)

    def start(self) -> None:
        """Begins to count in the background; harmless to repeat."""
        if self._rarity is None:
            self._rarity = Rarity()
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """True when everything is counted; False at once when the index is too small for that."""
        return self._rarity is not None and self._complete.wait(seconds)

    def weights(self, words: Sequence[int], audiences: tuple[int, ...]) -> list[float] | None:
        if self._rarity is None or not self._complete.is_set():
            return None
        return self._rarity.weights(words, audiences)

    def total(self, audiences: tuple[int, ...]) -> int | None:
        """Chunks with these audiences."""
        if self._rarity is None or not self._complete.is_set():
            return None
        return self._rarity.total(audiences)

    def put(self, chunks: Sequence[Counted]) -> None:
        if self._rarity is not None:
            self._rarity.put(chunks)

    def set_audience(self, document_id: str, audience: int) -> None:
        if self._rarity is not None:
            self._rarity.set_audience(document_id, audience)

    def delete(self, chunk_ids: Sequence[str]) -> None:
        if self._rarity is not None:
            self._rarity.delete(chunk_ids)

    def close(self) -> None:
        self._closing.set()
        if self._rarity is not None:
            self._thread.join()

    def _fill(self) -> None:
        assert self._rarity is not None
        after = None
        try:
            while not self._closing.is_set():
                with self._writing:
                    chunks, after = self._page(after)
                    self._rarity.put_missing(chunks)
                if after is None:
                    self._complete.set()
                    return
        except Exception:
            # The engine goes on counting; only speed is lost.
            log.exception("words are not counted beside the index")

    def _page(self, after: edge.PointId | None) -> tuple[list[Counted], edge.PointId | None]:
        request = edge.ScrollRequest(
            limit=PAGE,
            offset=after,
            with_vector=[layout.SPARSE],
            with_payload=[layout.AUDIENCE, layout.DOCUMENT],
        )
        records, after = self._shard().scroll(request)
        return [_counted(record) for record in records], after


def _counted(record: edge.Record) -> Counted:
    payload, vectors = record.payload or {}, record.vector
    words = vectors.get(layout.SPARSE) if isinstance(vectors, dict) else None
    indices = words.indices if isinstance(words, edge.SparseVector) else []
    return Counted(str(record.id), payload[layout.DOCUMENT], payload[layout.AUDIENCE], indices)
