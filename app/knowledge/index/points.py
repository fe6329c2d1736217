"""What goes into the index and what comes out of it, the same for both engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain import Person

DENSE, SPARSE = "dense", "bm25"
READERS, DOCUMENT, CONNECTOR, DATA_CLASS = "readers", "document_id", "connector_id", "data_class"
AUDIENCE = "audience"

# Bumped when points change shape; an index made under another layout is rebuilt from SQL.
LAYOUT = 2


@dataclass(frozen=True, slots=True)
class Readers:
    """Whose search it is. It cannot be empty, so a search that sees everything cannot be expressed."""

    principals: frozenset[str]

    def __post_init__(self) -> None:
        if not self.principals or not all(self.principals):
            raise ValueError("a search needs at least one principal, and none may be blank")

    @classmethod
    def of(cls, person: Person) -> Readers:
        return cls(person.principals)


@dataclass(frozen=True, slots=True)
class IndexPoint:
    """One chunk. `words` is what BM25 counts and is not stored; no readers means that nobody finds it."""

    chunk_id: str
    document_id: str
    connector_id: str
    data_class: int
    readers: frozenset[str]
    vector: NDArray[np.float32]
    words: str


@dataclass(frozen=True, slots=True)
class Hit:
    """`dense` is the cosine (None: not among the nearest), `sparse` the BM25 score (0: no word in common)."""

    chunk_id: str
    score: float
    dense: float | None
    sparse: float


def dense(named: object) -> NDArray[np.float32]:
    """The dense one of a point's named vectors, as an engine gives them back."""
    vectors = named if isinstance(named, dict) else {}
    return np.asarray(vectors[DENSE], dtype=np.float32)


class VectorIndex(Protocol):
    """Safe to call from any thread. Raises IndexUnavailable when the engine does not answer."""

    @property
    def fresh(self) -> bool:
        """True when this start found no usable index, so that everything must be put again from SQL."""
        ...

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces."""
        ...

    def set_access(self, document_id: str, readers: Iterable[str], data_class: int) -> None:
        """Rewrites the readers of a document's chunks; vectors stay as they are."""
        ...

    def delete(self, chunk_ids: Sequence[str]) -> None: ...

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The dense vectors of these chunks, as far as the index holds them. For the sync alone: no reader is asked."""
        ...

    def search(
        self, vector: NDArray[np.float32], text: str, readers: Readers, limit: int = 50
    ) -> list[Hit]:
        """At most `limit` dense and `limit` BM25 candidates, fused, best first; only what `readers` may see.

        BM25 weighs words by their rarity among the chunks these readers may see, so that neither ranks nor scores tell
        about others' documents.
        """
        ...

    def count(self) -> int:
        """Chunks held."""
        ...

    def flush(self) -> None:
        """Returns when everything written so far survives a crash."""
        ...

    def close(self) -> None: ...
