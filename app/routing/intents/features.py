"""Texts to sparse TF-IDF rows: words and pairs of words, and runs of 2 to 5 characters within a word.

Weights are 1 + log(count), times log((1 + n) / (1 + documents)) + 1, each of the two blocks at length 1 (the smoothed IDF of
Manning, Raghavan and Schütze, *Introduction to Information Retrieval*, 6.2-6.4). Character runs carry typing errors and
word forms; words carry the meaning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

_WORD = re.compile(r"\w+")
LONGEST = 2_000  # characters read of a text: intents are told by their first sentences
RUNS = (2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows (CSR): row i has the columns `columns[starts[i]:starts[i + 1]]` with `values` at the same places."""

    starts: NDArray[np.int64]
    columns: Indices
    values: Floats

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, i: int) -> tuple[Indices, Floats]:
        where = slice(int(self.starts[i]), int(self.starts[i + 1]))
        return self.columns[where], self.values[where]

    def take(self, which: NDArray[np.int64]) -> Rows:
        """The rows `which`, in that order."""
        return stack([self.row(int(i)) for i in which])


def stack(rows: Sequence[tuple[Indices, Floats]]) -> Rows:
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(columns) for columns, _ in rows], out=starts[1:])
    columns = [columns for columns, _ in rows]
    values = [values for _, values in rows]
    return Rows(
        starts,
        np.concatenate(columns) if columns else np.empty(0, np.int32),
        np.concatenate(values) if values else np.empty(0, np.float32),
    )


def words(text: str) -> list[str]:
    single = _WORD.findall(text[:LONGEST].lower())
    return single + [f"{a} {b}" for a, b in pairwise(single)]


def runs(text: str) -> Iterator[str]:
    """Runs of characters that never cross a word's edge; the edge itself is a blank. No run is a `words` term as well,
    because the two blocks have vocabularies of their own."""
    for word in _WORD.findall(text[:LONGEST].lower()):
        edged = f" {word} "
        for length in RUNS:
            for i in range(len(edged) - length + 1):
                yield edged[i : i + length]


class _Block:
    """One vocabulary with its weights, placed from column `first` on."""

    def __init__(self, documents: Sequence[Counter[str]], first: int, rarest: int) -> None:
        seen: Counter[str] = Counter()
        for terms in documents:
            seen.update(terms.keys())
        kept = sorted(term for term, count in seen.items() if count >= rarest)
        self.columns = {term: first + i for i, term in enumerate(kept)}
        self.idf = np.asarray(
            [np.log((1 + len(documents)) / (1 + seen[term])) + 1 for term in kept],
            dtype=np.float32,
        )
        self.first = first

    def row(self, terms: Counter[str]) -> tuple[Indices, Floats]:
        known = [(c, n) for term, n in terms.items() if (c := self.columns.get(term)) is not None]
        columns = np.asarray([c for c, _ in known], dtype=np.int32)
        counts = np.asarray([n for _, n in known], dtype=np.float32)
        values = (1 + np.log(counts)) * self.idf[columns - self.first]
        length = float(np.linalg.norm(values))
        return columns, (values / length if length else values).astype(np.float32)


class TextFeatures:
    """Learns two vocabularies from `texts`. A term that fewer than `rarest` texts hold is left out."""

    def __init__(self, texts: Sequence[str], *, rarest: int = 1, with_runs: bool = True) -> None:
        self._words = _Block([Counter(words(t)) for t in texts], 0, rarest)
        first = len(self._words.columns)
        self._runs = _Block([Counter(runs(t)) for t in texts], first, rarest) if with_runs else None
        self.width = first + (len(self._runs.columns) if self._runs else 0)

    def row(self, text: str) -> tuple[Indices, Floats]:
        """Columns and values of one text; empty where no term is known."""
        columns, values = self._words.row(Counter(words(text)))
        if self._runs is None:
            return columns, values
        more, their = self._runs.row(Counter(runs(text)))
        return np.concatenate([columns, more]), np.concatenate([values, their])

    def rows(self, texts: Sequence[str]) -> Rows:
        return stack([self.row(text) for text in texts])
