"""Texts to BM25 vectors, the same in both engines: term frequencies here, rarity of words in the engine's IDF."""

from __future__ import annotations

from qdrant_edge import Bm25, Bm25Config

# Words of an average chunk without stop words; SciFact's training queries do not tell 128 from 256 (.705 and .704).
AVERAGE_WORDS = 150


class Words:
    """English stop words and stemming, k 1.2, b .75. Accents are folded, so that `cafe` finds `café`."""

    def __init__(self) -> None:
        self._model = Bm25(Bm25Config(avg_len=AVERAGE_WORDS, ascii_folding=True))

    def document(self, text: str) -> tuple[list[int], list[float]]:
        vector = self._model.embed_document(text)
        return vector.indices, vector.values

    def query(self, text: str) -> tuple[list[int], list[float]]:
        vector = self._model.embed_query(text)
        return vector.indices, vector.values
