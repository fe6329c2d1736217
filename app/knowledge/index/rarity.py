"""How rare words are among the chunks that one person may read, counted exactly and fast.

BM25 weighs a word by its rarity, and here that must not tell about others' documents. The engine can count over a filter, but
walks every permitted chunk for each search: 5 ms for 65,000 of them, 30 ms and more for 300,000. This keeps, for each word,
which chunks have it, in 4 bytes or less; a search then looks up only its own words' chunks.
About 300 MB for 1,000,000 chunks of 90 words. Nothing here decides what is found.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from app.knowledge.index.postings import WORD_SHIFT, Block, Longs, Permitted

# Postings wait unsorted until there are this many, then become a block; eight blocks of a size become one, up to LARGEST.
WAITING = 150_000
LARGEST = 10_000_000
TOGETHER = 8
# What a person may read is 1.1 MB for 1,000,000 chunks, and takes milliseconds to find again.
REMEMBERED_PEOPLE = 64
GONE = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """One chunk: the number of its reader set, its document and its words' indices in the BM25 vector."""

    chunk_id: str
    document_id: str
    audience: int
    words: Sequence[int]


class Rarity:
    """Counts for the chunks it was told of. Safe from any thread."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._lock = threading.Lock()
        self._used = 0
        # Slots of chunks: of the recent ones in a table, of the others in arrays sorted by key.
        self._recent: dict[int, int] = {}
        self._keys, self._slots = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._chunks = np.zeros(1024, np.uint64)
        self._documents = np.zeros(1024, np.uint64)
        # Of each slot: index of its audience, or GONE. In the width of an index, because narrower ones are copied for each look-up.
        self._groups = np.zeros(1024, np.intp)
        self._group_of: dict[int, int] = {}
        self._blocks: list[Block] = []
        self._block = waiting
        self._waiting: list[Longs] = []
        self._waiting_count = 0
        self._people: OrderedDict[tuple[int, ...], tuple[int, Permitted]] = OrderedDict()
        self._version = 0

    def put(self, chunks: Sequence[Counted]) -> None:
        """Adds or replaces."""
        if not chunks:
            return
        keys = np.array([_key(chunk.chunk_id) for chunk in chunks], np.uint64)
        with self._lock:
            self._forget(keys)
            self._append(chunks, keys)

    def put_missing(self, chunks: Sequence[Counted]) -> None:
        """Adds those that are not there yet."""
        keys = np.array([_key(chunk.chunk_id) for chunk in chunks], np.uint64)
        with self._lock:
            new = np.array([self._slot(key) is None for key in keys.tolist()], np.bool_)
            self._append([c for c, n in zip(chunks, new, strict=True) if n], keys[new])

    def set_audience(self, document_id: str, audience: int) -> None:
        with self._lock:
            mine = self._documents[: self._used] == np.uint64(_key(document_id))
            groups = self._groups[: self._used]
            groups[mine & (groups != GONE)] = self._group(audience)
            self._version += 1

    def delete(self, chunk_ids: Iterable[str]) -> None:
        with self._lock:
            self._forget(np.array([_key(chunk_id) for chunk_id in chunk_ids], np.uint64))

    def weights(self, words: Collection[int], audiences: tuple[int, ...]) -> list[float]:
        """BM25's inverse document frequency of each word among the chunks with these audiences: as Qdrant computes it,
        ln(1 + (N - n + .5) / (n + .5)) for n of N chunks."""
        with self._lock:
            permitted = self._permitted(audiences)
            counts = [self._count(word, permitted) for word in words]
        found = np.array(counts, np.float64)
        weights: list[float] = np.log1p((permitted.total - found + 0.5) / (found + 0.5)).tolist()
        return weights

    def total(self, audiences: tuple[int, ...]) -> int:
        """Chunks with these audiences."""
        with self._lock:
            return self._permitted(audiences).total

    def _count(self, word: int, permitted: Permitted) -> int:
        count = sum(block.count(word, permitted) for block in self._blocks)
        for packed in self._waiting:
            slots = packed[(packed >> WORD_SHIFT) == np.uint64(word)].astype(np.uint32)
            count += int(np.count_nonzero(permitted.flags[slots]))
        return count

    def _permitted(self, audiences: tuple[int, ...]) -> Permitted:
        remembered = self._people.get(audiences)
        if remembered is None or remembered[0] != self._version:
            groups = np.zeros(len(self._group_of) + 1, np.bool_)
            groups[[self._group_of[a] for a in audiences if a in self._group_of]] = True
            permitted = Permitted.of(groups.take(self._groups[: self._used]))
            remembered = self._people[audiences] = (self._version, permitted)
        self._people.move_to_end(audiences)
        while len(self._people) > REMEMBERED_PEOPLE:
            self._people.popitem(last=False)
        return remembered[1]

    def _slot(self, key: int) -> int | None:
        """Of a chunk that is there."""
        slot = self._recent.get(key)
        if slot is None and len(self._keys):
            at = min(int(np.searchsorted(self._keys, np.uint64(key))), len(self._keys) - 1)
            slot = int(self._slots[at]) if self._keys[at] == key else None
        return None if slot is None or self._groups[slot] == GONE else slot

    def _forget(self, keys: Longs) -> None:
        gone = [slot for key in keys.tolist() if (slot := self._slot(key)) is not None]
        self._groups[gone] = GONE
        self._version += 1

    def _remember(self, keys: Longs, start: int) -> None:
        self._recent.update(zip(keys.tolist(), range(start, start + len(keys)), strict=True))
        if len(self._recent) > max(10_000, len(self._keys) // 8):
            live = np.flatnonzero(self._groups[: self._used] != GONE)
            order = np.argsort(self._chunks[live])
            self._slots = live[order]
            self._keys = self._chunks[self._slots]
            self._recent = {}

    def _append(self, chunks: Sequence[Counted], keys: Longs) -> None:
        if not chunks:
            return
        start, self._used = self._used, self._used + len(chunks)
        while self._used > len(self._chunks):
            self._chunks, self._documents, self._groups = (
                np.concatenate([array, np.zeros_like(array)])
                for array in (self._chunks, self._documents, self._groups)
            )
        here = slice(start, self._used)
        self._chunks[here] = keys
        self._documents[here] = [_key(chunk.document_id) for chunk in chunks]
        self._groups[here] = [self._group(chunk.audience) for chunk in chunks]
        self._remember(keys, start)
        words = np.concatenate([np.asarray(chunk.words, np.uint64) for chunk in chunks])
        slots = np.repeat(np.arange(start, self._used), [len(chunk.words) for chunk in chunks])
        self._waiting.append((words << WORD_SHIFT) | slots.astype(np.uint64))
        self._waiting_count += len(words)
        self._version += 1
        if self._waiting_count >= self._block:
            self._sort()

    def _sort(self) -> None:
        self._blocks.append(Block.of(np.concatenate(self._waiting)))
        self._waiting, self._waiting_count = [], 0
        size = self._block * TOGETHER
        while size <= LARGEST:
            same = [b for b in self._blocks if b.size < size]
            if len(same) >= TOGETHER:
                rest = [b for b in self._blocks if b.size >= size]
                merged = Block.of(np.concatenate([block.packed() for block in same]))
                self._blocks = [*rest, merged]
            size *= TOGETHER

    def _group(self, audience: int) -> int:
        return self._group_of.setdefault(audience, len(self._group_of) + 1)


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
