"""Extends the graph of the embedded engine in another process, on a copy, while this one goes on answering.

The engine's `optimize` holds Python's global lock until it is done, minutes at 1,000,000 chunks, in which no page would
answer. So the shard is copied, a child process optimizes the copy, changes made meanwhile are applied to it too, and the copy
takes the place of the shard. Needs room on the disk for two more shards, and waits until it is there. `python -m
app.knowledge.index.sorting FOLDER` is the child.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import qdrant_edge as edge

from app.knowledge.index.room import free_megabytes, size_megabytes

log = logging.getLogger(__name__)


class Sorting:
    """One at a time. `writing` is held by whoever changes the shard and calls `note`."""

    def __init__(
        self,
        writing: threading.Lock,
        taken: Callable[[edge.EdgeShard, Path, int], None],
        reserve_mb: int,
    ) -> None:
        """`taken` gets the new shard, its folder and how many vectors the engine left outside the graph, and puts it in
        the place of the old one; `writing` is held then. `reserve_mb` stay free on the disk at any time."""
        self._writing, self._taken, self._reserve_mb = writing, taken, reserve_mb
        self._since: list[edge.UpdateOperation] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._failed = False

    def start(self, shard: edge.EdgeShard, folder: Path, copy: Path) -> None:
        """Begins unless one is at work, one has failed since the start of this process, or the disk has no room for it."""
        if self._failed or (self._thread is not None and self._thread.is_alive()):
            return
        # The copy, and what the engine writes before it drops the copy's old parts.
        needed = 2 * size_megabytes(folder) + self._reserve_mb
        free = free_megabytes(folder)
        if free < needed:
            log.warning(
                "the search index is not sorted for want of room: %d MB are free, %d MB needed; it answers as before, slower",
                free,
                needed,
            )
            return
        work = (shard, folder, copy)
        self._thread = threading.Thread(
            target=self._run, args=work, name="index-sorting", daemon=True
        )
        self._thread.start()

    def note(self, operation: edge.UpdateOperation) -> None:
        if self._since is not None:
            self._since.append(operation)

    def wait(self, seconds: float) -> bool:
        """True when nothing is at work."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def close(self) -> None:
        """Gives up what is at work; the shard stays as it is."""
        self._closing.set()
        if self._child is not None:
            self._child.terminate()
        self.wait(60)

    def _run(self, shard: edge.EdgeShard, folder: Path, copy: Path) -> None:
        try:
            with self._writing:
                shard.flush()
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(folder, copy)
                self._since = []
            if self._optimized(copy):
                with self._writing:
                    sorted_ = edge.EdgeShard.load(str(copy))
                    left = outside_graph(sorted_)
                    for operation in self._since:
                        sorted_.update(operation)
                    sorted_.flush()
                    self._taken(sorted_, copy, left)
                shutil.rmtree(folder, ignore_errors=True)
                return
        except Exception:
            log.exception("the search index was not sorted; it answers as before, slower")
            self._failed = True
        finally:
            self._since = None
        shutil.rmtree(copy, ignore_errors=True)

    def _optimized(self, copy: Path) -> bool:
        if self._closing.is_set():
            return False
        command = [sys.executable, "-m", __name__, str(copy)]
        self._child = subprocess.Popen(command, stderr=subprocess.PIPE)
        _, told = self._child.communicate()
        if self._child.returncode and not self._closing.is_set():
            raise RuntimeError(told.decode(errors="replace")[-2000:])
        return self._child.returncode == 0


def outside_graph(shard: edge.EdgeShard) -> int:
    """Vectors that a search compares one by one."""
    # Words' vectors count as indexed wherever they are.
    info = shard.info()
    return 2 * info.points_count - info.indexed_vectors_count


def optimize(folder: Path) -> None:
    os.nice(10)
    shard = edge.EdgeShard.load(str(folder))
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    optimize(Path(sys.argv[1]))
