"""The folder of the embedded engine: one owner, one identity, the shard and its reader sets opened together."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import qdrant_edge as edge

from app.errors import AlreadyRunning, IndexUnavailable
from app.knowledge.index import points as layout
from app.knowledge.index.audiences import StoredAudiences
from app.knowledge.index.strategy import Strategy

# A segment a core: one search goes through both at once.
SEGMENTS = 2
GRAPH_LINKS, GRAPH_EF_BUILD = 16, 100


@dataclass(frozen=True, slots=True)
class Opened:
    shard: edge.EdgeShard
    audiences: StoredAudiences
    fresh: bool


def own(folder: Path) -> IO[str]:
    """Locks `<folder>.lock` for the life of the process; the lock goes with it, however it ends. Raises AlreadyRunning."""
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


def open_shard(folder: Path, identity: dict[str, object], strategy: Strategy) -> Opened:
    """An existing shard of the same identity, or a new one. What cannot be read is set aside and made anew: SQL has it."""
    label = folder / "switchboard.json"
    if label.is_file() and _read_label(label) == identity:
        try:
            shard = edge.EdgeShard.load(str(folder))
            return Opened(shard, StoredAudiences(_sets(folder), _used(shard)), False)
        except Exception as error:
            if "WouldBlock" in str(error):
                raise AlreadyRunning(f"Another process already uses {folder}.") from error
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shard = _create(folder, int(str(identity["dimension"])), strategy)
        audiences = StoredAudiences(_sets(folder), ())
        label.write_text(json.dumps(identity))
    except Exception as error:
        raise unavailable(f"The search index in {folder} cannot be opened.", error) from error
    return Opened(shard, audiences, True)


def unavailable(message: str, error: Exception) -> IndexUnavailable:
    return IndexUnavailable(
        message, fix="Restart Switchboard; the index is rebuilt if needed.", detail=repr(error)
    )


def _sets(folder: Path) -> Path:
    return folder / "audiences.jsonl"


def _used(shard: edge.EdgeShard) -> list[int]:
    """The numbers of the reader sets that chunks carry."""
    request = edge.FacetRequest(layout.AUDIENCE, limit=2**31, exact=True)
    return [int(hit.value) for hit in shard.facet(request).hits]


def _kilobytes(vectors: int, dimension: int) -> int:
    return max(1, vectors * dimension * 4 // 1024)


def _read_label(label: Path) -> object:
    try:
        return json.loads(label.read_text())
    except ValueError:
        return None


def _create(folder: Path, dimension: int, strategy: Strategy) -> edge.EdgeShard:
    vectors = edge.EdgeVectorParams(
        size=dimension,
        distance=edge.Distance.Dot,
        # A quarter of the size in memory; what is near by it is scored again with the full vectors.
        quantization_config=edge.ScalarQuantizationConfig(
            edge.ScalarType.Int8, quantile=0.99, memory=edge.Memory.Pinned
        ),
        hnsw_config=edge.HnswIndexConfig(
            m=GRAPH_LINKS,
            ef_construct=GRAPH_EF_BUILD,
            # Where a filter leaves few vectors of a segment, the engine compares them one by one by itself.
            full_scan_threshold=_kilobytes(strategy.exact_up_to // SEGMENTS, dimension),
        ),
    )
    config = edge.EdgeConfig(
        vectors={layout.DENSE: vectors},
        sparse_vectors={layout.SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        optimizers=edge.EdgeOptimizersConfig(
            indexing_threshold=_kilobytes(strategy.graph_from // SEGMENTS, dimension),
            default_segment_number=SEGMENTS,
        ),
    )
    shard = edge.EdgeShard.create(str(folder), config)
    equality = edge.IntegerIndexParams(lookup=True, range=False)
    shard.update(edge.UpdateOperation.create_field_index(layout.AUDIENCE, equality))
    for field in (layout.DOCUMENT, layout.CONNECTOR):
        shard.update(edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword))
    return shard
