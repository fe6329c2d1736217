"""Qdrant's embedded engine in a folder. It belongs to one process, and says so in plain words to a second."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from app.errors import AlreadyRunning, IndexUnavailable
from app.knowledge.index import points as layout
from app.knowledge.index.fusion import fuse
from app.knowledge.index.points import Hit, IndexPoint, Readers
from app.knowledge.index.words import Words

# Exact search costs about 4 ms per 100,000 chunks and misses nothing; a filtered graph search can miss everything.
EXACT_UP_TO = 200_000
GRAPH_EF = 256
GRAPH_FROM_KB = EXACT_UP_TO * 384 * 4 // 1024


class EdgeIndex:
    """See `VectorIndex`. `embedder` names the model of the vectors: under another name the folder is made anew."""

    def __init__(self, folder: Path, *, dimension: int, embedder: str) -> None:
        """Raises AlreadyRunning when another process owns the folder, IndexUnavailable when it cannot be opened."""
        self._lock = _own(folder)
        self._words = Words()
        identity = {"layout": layout.LAYOUT, "embedder": embedder, "dimension": dimension}
        self._shard, self.fresh = _open(folder, identity)
        self._count = self._shard.info().points_count

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        if points:
            self._update(edge.UpdateOperation.upsert_points([self._point(p) for p in points]))

    def set_access(self, document_id: str, readers: Iterable[str], data_class: int) -> None:
        payload = {layout.READERS: sorted(readers), layout.DATA_CLASS: data_class}
        of_document = edge.Filter(
            must=[edge.FieldCondition(layout.DOCUMENT, match=edge.MatchValue(document_id))]
        )
        self._update(edge.UpdateOperation.set_payload_by_filter(of_document, payload))

    def delete(self, chunk_ids: Sequence[str]) -> None:
        if chunk_ids:
            self._update(edge.UpdateOperation.delete_points(list(chunk_ids)))

    def search(
        self, vector: NDArray[np.float32], text: str, readers: Readers, limit: int = 50
    ) -> list[Hit]:
        permitted = edge.Filter(
            must=[
                edge.FieldCondition(layout.READERS, match=edge.MatchAny(sorted(readers.principals)))
            ]
        )
        requests = [self._nearest(vector, permitted, limit)]
        indices, values = self._words.query(text)
        if indices:
            words = edge.SparseVector(indices, values)
            requests.append(
                edge.QueryRequest(
                    limit=limit,
                    query=edge.Query.Nearest(words, using=layout.SPARSE),
                    filter=permitted,
                    params=edge.SearchParams(idf=edge.IdfParams(corpus=permitted)),
                )
            )
        try:
            answers = self._shard.query_batch(edge.QueryBatchRequest(requests))
        except Exception as error:
            raise _unavailable("The search index did not answer.", error) from error
        scored = [[(str(point.id), point.score) for point in answer] for answer in answers]
        return fuse(scored[0], scored[1] if len(scored) > 1 else [], limit)

    def count(self) -> int:
        return self._count

    def flush(self) -> None:
        try:
            self._shard.flush()
            if self._count > EXACT_UP_TO:
                self._shard.optimize()
        except Exception as error:
            raise _unavailable("The search index could not be written to disk.", error) from error

    def close(self) -> None:
        if not self._lock.closed:
            self._shard.close()
            self._lock.close()

    def _nearest(
        self, vector: NDArray[np.float32], permitted: edge.Filter, limit: int
    ) -> edge.QueryRequest:
        params = (
            edge.SearchParams(exact=True)
            if self._count <= EXACT_UP_TO
            else edge.SearchParams(hnsw_ef=GRAPH_EF, acorn=edge.AcornSearchParams(enable=True))
        )
        query = edge.Query.Nearest(vector.tolist(), using=layout.DENSE)
        return edge.QueryRequest(limit=limit, query=query, filter=permitted, params=params)

    def _point(self, point: IndexPoint) -> edge.Point:
        indices, values = self._words.document(point.words)
        vectors: dict[str, list[float] | list[list[float]] | edge.SparseVector] = {
            layout.DENSE: point.vector.tolist(),
            layout.SPARSE: edge.SparseVector(indices, values),
        }
        payload = {
            layout.READERS: sorted(point.readers),
            layout.DOCUMENT: point.document_id,
            layout.CONNECTOR: point.connector_id,
            layout.DATA_CLASS: point.data_class,
        }
        return edge.Point(point.chunk_id, vectors, payload)

    def _update(self, operation: edge.UpdateOperation) -> None:
        try:
            self._shard.update(operation)
            self._count = self._shard.info().points_count
        except Exception as error:
            raise _unavailable("The search index did not take a change.", error) from error


def _own(folder: Path) -> IO[str]:
    """Locks `<folder>.lock` for the life of the process; the lock goes with it, however it ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(folder.name + ".lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise AlreadyRunning(
            f"Another process (number {owner}) already uses the data folder {folder.parent}."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _open(folder: Path, identity: dict[str, object]) -> tuple[edge.EdgeShard, bool]:
    """An existing shard of the same identity, or a new one. What cannot be read is set aside and made anew: SQL has it."""
    label = folder / "switchboard.json"
    if label.is_file() and _read_label(label) == identity:
        try:
            return edge.EdgeShard.load(str(folder)), False
        except Exception as error:
            if "WouldBlock" in str(error):
                raise AlreadyRunning(f"Another process already uses {folder}.") from error
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shard = _create(folder, int(str(identity["dimension"])))
        label.write_text(json.dumps(identity))
    except Exception as error:
        raise _unavailable(f"The search index in {folder} cannot be opened.", error) from error
    return shard, True


def _read_label(label: Path) -> object:
    try:
        return json.loads(label.read_text())
    except ValueError:
        return None


def _create(folder: Path, dimension: int) -> edge.EdgeShard:
    config = edge.EdgeConfig(
        vectors={layout.DENSE: edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Dot)},
        sparse_vectors={layout.SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=GRAPH_FROM_KB),
    )
    shard = edge.EdgeShard.create(str(folder), config)
    for field in (layout.READERS, layout.DOCUMENT, layout.CONNECTOR):
        shard.update(edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword))
    return shard


def _unavailable(message: str, error: Exception) -> IndexUnavailable:
    return IndexUnavailable(
        message, fix="Restart Switchboard; the index is rebuilt if needed.", detail=repr(error)
    )
