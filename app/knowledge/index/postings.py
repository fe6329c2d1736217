"""Which chunks have which words: runs of slots, and bitmaps for words that are common (the two containers of Roaring bitmaps,
Chambi et al. 2016, arXiv:1402.6407).

How many of a word's chunks a person may read is then a bitwise AND and a population count. A word of 280,000 chunks took
milliseconds when its slots were looked up one by one; a bitmap never takes more memory than the run that it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.uint64]
Slots = NDArray[np.uint32]
GROUP = 64  # slots of one element of a bitmap
WORD_SHIFT = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Permitted:
    """The slots that one person may read: a flag each, the same as bits, and how many they are."""

    flags: NDArray[np.bool_]
    bits: Longs
    total: int

    @classmethod
    def of(cls, flags: NDArray[np.bool_]) -> Permitted:
        return cls(flags, _bits(flags), int(np.count_nonzero(flags)))


@dataclass(frozen=True, slots=True)
class Block:
    """Postings of neighbouring slots. `common[word]` is a bitmap from slot `first * GROUP` on; of all other words, sorted,
    `slots[starts[i]:starts[i + 1]]` have the word `words[i]`. `size` counts both."""

    size: int
    first: int
    common: Mapping[int, Longs]
    words: NDArray[np.uint32]
    starts: NDArray[np.int64]
    slots: Slots

    @classmethod
    def of(cls, packed: Longs) -> Block:
        """`packed` holds the word in its upper 32 bits and the slot in its lower; at least one, in any order. It is sorted
        in place."""
        packed.sort()
        slots = packed.astype(np.uint32)
        words, starts = np.unique((packed >> WORD_SHIFT).astype(np.uint32), return_index=True)
        lengths = np.diff(starts, append=len(slots))
        first = int(slots.min()) // GROUP
        groups = int(slots.max()) // GROUP - first + 1
        bitmap = lengths * slots.itemsize >= groups * packed.itemsize
        common = {}
        for i in np.flatnonzero(bitmap).tolist():
            flags = np.zeros(groups * GROUP, np.bool_)
            flags[slots[starts[i] : starts[i] + lengths[i]] - np.uint32(first * GROUP)] = True
            common[int(words[i])] = _bits(flags)
        rest = ~bitmap
        ends = np.cumsum(lengths[rest])
        runs = slots[np.repeat(rest, lengths)]
        return cls(len(slots), first, common, words[rest], np.append(np.int64(0), ends), runs)

    def packed(self) -> Longs:
        """As `of` takes them."""
        parts = [_packed(np.repeat(self.words, np.diff(self.starts)), self.slots)]
        for word, bits in self.common.items():
            flags = np.unpackbits(bits.view(np.uint8), bitorder="little")
            parts.append(_packed(np.uint32(word), np.flatnonzero(flags) + self.first * GROUP))
        return np.concatenate(parts)

    def count(self, word: int, permitted: Permitted) -> int:
        """Permitted slots that have the word."""
        bits = self.common.get(word)
        if bits is not None:
            mine = permitted.bits[self.first : self.first + len(bits)]
            return int(np.bitwise_count(bits & mine).sum())
        at = int(np.searchsorted(self.words, np.uint32(word)))
        if at == len(self.words) or self.words[at] != word:
            return 0
        having = self.slots[self.starts[at] : self.starts[at + 1]]
        return int(np.count_nonzero(permitted.flags[having]))


def _packed(words: NDArray[np.uint32] | np.uint32, slots: NDArray[np.integer]) -> Longs:
    packed: Longs = (np.asarray(words, np.uint64) << WORD_SHIFT) | slots.astype(np.uint64)
    return packed


def _bits(flags: NDArray[np.bool_]) -> Longs:
    """The first slot is the lowest bit of the first element; what is missing to a full element is 0."""
    bits = np.zeros(-(-len(flags) // GROUP), np.uint64)
    octets = np.packbits(flags, bitorder="little")
    bits.view(np.uint8)[: len(octets)] = octets
    return bits
