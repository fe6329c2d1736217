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
LABEL, SHARD = "switchboard.json", "shard-"


@dataclass(frozen=True, slots=True)
class Opened:
    """`folder` is the shard's own, below the index's: the one that the label names."""

    shard: edge.EdgeShard
    folder: Path
    audiences: StoredAudiences
    fresh: bool


def own(folder: Path) -> IO[str]:
    """Locks `<folder>.lock` for the life of the process; the lock goes with it, however it ends. Raises AlreadyRunning, and
    FileNotFoundError when the folder above is missing."""
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
    label = _read_label(folder)
    if label is not None and label.items() >= identity.items():
        try:
            own_folder = folder / str(label["shard"])
            shard = edge.EdgeShard.load(str(own_folder))
            audiences = StoredAudiences(_sets(folder), _used(shard))
            _clean(folder, own_folder)
            return Opened(shard, own_folder, audiences, False)
        except Exception as error:
            if "WouldBlock" in str(error):
                raise AlreadyRunning(f"Another process already uses {folder}.") from error
    shutil.rmtree(folder, ignore_errors=True)
    own_folder = folder / f"{SHARD}1"
    try:
        own_folder.mkdir(parents=True, exist_ok=True)
        shard = _create(own_folder, int(str(identity["dimension"])), strategy)
        audiences = StoredAudiences(_sets(folder), ())
        write_label(folder, identity, own_folder)
    except Exception as error:
        raise unavailable(f"The search index in {folder} cannot be opened.", error) from error
    return Opened(shard, own_folder, audiences, True)


def next_to(shard_folder: Path) -> Path:
    """Where a shard's successor goes. No path is used twice, so that an old shard cannot write into a new one."""
    number = int(shard_folder.name.removeprefix(SHARD)) + 1
    return shard_folder.with_name(f"{SHARD}{number}")


def write_label(folder: Path, identity: dict[str, object], shard_folder: Path) -> None:
    """From here on the index is what `shard_folder` holds, crash or not."""
    fresh = folder / "switchboard.new"
    with fresh.open("w") as file:
        json.dump(identity | {"shard": shard_folder.name}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / LABEL)


def _clean(folder: Path, used: Path) -> None:
    """Removes what a crash left of other shards."""
    for other in folder.glob(f"{SHARD}*"):
        if other != used:
            shutil.rmtree(other, ignore_errors=True)


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


def _read_label(folder: Path) -> dict[str, object] | None:
    try:
        label = json.loads((folder / LABEL).read_text())
    except (OSError, ValueError):
        return None
    return label if isinstance(label, dict) and "shard" in label else None


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
