"""Words counted beside the index, against plain sets: through blocks, merged blocks and bitmaps of common words."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from app.knowledge.index.postings import Block, Permitted
from app.knowledge.index.rarity import Counted, Rarity

WORDS, AUDIENCES = 400, 30


def chunks(rng: np.random.Generator, numbers: range) -> list[Counted]:
    """Word 0 is in nearly every chunk, word 399 in nearly none."""
    shares = 1 / (1 + np.arange(WORDS) / 3)
    return [
        Counted(
            f"chunk {number}",
            f"doc {number // 7}",
            int(rng.integers(AUDIENCES)),
            np.flatnonzero(rng.random(WORDS) < shares).tolist(),
        )
        for number in numbers
    ]


def expected(held: dict[str, Counted], word: int, audiences: tuple[int, ...]) -> float:
    mine = [chunk for chunk in held.values() if chunk.audience in audiences]
    having = sum(word in chunk.words for chunk in mine)
    return log(1 + (len(mine) - having + 0.5) / (having + 0.5))


def test_weights_are_those_of_the_permitted_chunks_through_every_change() -> None:
    rng = np.random.default_rng(3)
    rarity, held = Rarity(waiting=500), {}
    for start in range(0, 3000, 60):
        batch = chunks(rng, range(start, start + 60))
        rarity.put(batch)
        held |= {chunk.chunk_id: chunk for chunk in batch}
    again = chunks(rng, range(500, 800))
    rarity.put(again)
    held |= {chunk.chunk_id: chunk for chunk in again}
    gone = [f"chunk {number}" for number in range(1000, 1300)]
    rarity.delete(gone)
    held = {name: chunk for name, chunk in held.items() if name not in gone}
    rarity.set_audience("doc 2", 7)
    for name in (f"chunk {number}" for number in range(14, 21)):
        held[name] = Counted(name, "doc 2", 7, held[name].words)
    assert {type(block) for block in rarity._blocks} == {Block}
    assert sum(len(block.common) for block in rarity._blocks) > 50
    assert any(block.size > 4000 for block in rarity._blocks)
    words = [*range(0, WORDS, 9), WORDS + 5]
    for audiences in ((7,), (1, 2, 3, 7, 11), tuple(range(AUDIENCES)), (99,)):
        right = [expected(held, word, audiences) for word in words]
        assert rarity.weights(words, audiences) == pytest.approx(right)
        assert rarity.total(audiences) == sum(c.audience in audiences for c in held.values())


def test_a_block_gives_back_what_it_was_made_of() -> None:
    rng = np.random.default_rng(4)
    slots = rng.choice(1000, 700, replace=False) + 5000
    words = np.where(rng.random(700) < 0.5, 3, rng.integers(4, 300, 700))
    packed = (words.astype(np.uint64) << np.uint64(32)) | slots.astype(np.uint64)
    block = Block.of(packed.copy())
    assert list(block.common) == [3]
    assert np.array_equal(np.sort(block.packed()), np.sort(packed))
    permitted = Permitted.of(np.arange(5999) % 3 == 0)
    for word in (3, 4, int(words.max()), 301):
        having = slots[words == word]
        assert block.count(word, permitted) == int((having % 3 == 0).sum())
