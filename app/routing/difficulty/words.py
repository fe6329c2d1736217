"""Words and pairs of words as columns known by their hash, so that what is learned from people's questions is stored without
their words. (Who has a word in mind can still test whether it occurred in two questions; nobody can read one off.)"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.routing.intents.features import Floats, Indices, Rows, stack, words

Hashes = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class HashedWords:
    """`hashes` in rising order, of the terms that two texts at least hold; `weights` how rare each was, as smoothed IDF (see
    app.routing.intents.features). `unseen` is the rarity of a word that is not among them."""

    hashes: Hashes
    weights: Floats
    unseen: float

    @classmethod
    def learn(cls, texts: Sequence[str]) -> HashedWords:
        seen: Counter[int] = Counter()
        for text in texts:
            seen.update(set(_hashed(words(text)).tolist()))
        kept = sorted(term for term, count in seen.items() if count >= 2)
        counts = np.asarray([seen[term] for term in kept], np.float64)
        weights = np.log((1 + len(texts)) / (1 + counts)) + 1
        unseen = float(np.log(1 + len(texts)) + 1)
        return cls(np.asarray(kept, np.uint32), weights.astype(np.float32), unseen)

    def rows(self, texts: Sequence[str]) -> Rows:
        """One row a text, of length 1, or 0 where nothing is known."""
        return stack([self._row(text) for text in texts])

    def rarity(self, said: Sequence[str]) -> Floats:
        """(words,): how rare each of `said`, in lower case, was among the texts learned from."""
        found = np.full(len(said), self.unseen, np.float32)
        known, columns = self._known(_hashed(said))
        found[known] = self.weights[columns]
        return found

    def _row(self, text: str) -> tuple[Indices, Floats]:
        terms, amounts = np.unique(_hashed(words(text)), return_counts=True)
        known, columns = self._known(terms)
        values = (1 + np.log(amounts[known])) * self.weights[columns]
        length = float(np.linalg.norm(values))
        return columns, (values / length if length else values).astype(np.float32)

    def _known(self, terms: Hashes) -> tuple[NDArray[np.int64], Indices]:
        """The places in `terms` of those that are known, and their columns."""
        at = np.searchsorted(self.hashes, terms)
        at[at == len(self.hashes)] = 0
        known = np.flatnonzero(self.hashes[at] == terms) if len(self.hashes) else at[:0]
        return known, at[known].astype(np.int32)


def _hashed(terms: Iterable[str]) -> Hashes:
    return np.asarray([zlib.crc32(term.encode()) for term in terms], np.uint32)
