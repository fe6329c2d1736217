"""The embedder: meaning, unit length, one text one vector."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.knowledge.embed import Embedder


def test_vectors_have_unit_length_and_the_stated_dimension(embedder: Embedder) -> None:
    vectors = embedder.documents(["Expenses are paid monthly.", "A lighthouse by the sea."])
    assert vectors.shape == (2, embedder.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.query("x").shape == (embedder.dimension,)
    assert embedder.documents([]).shape == (0, embedder.dimension)


def test_a_question_is_nearest_to_the_text_that_answers_it(embedder: Embedder) -> None:
    texts = [
        "Employees receive 28 days of annual leave.",
        "The office printer is on floor two.",
        "Rotate the on-call phone each Monday.",
    ]
    scores = embedder.documents(texts) @ embedder.query("How much holiday do I get?")
    assert int(np.argmax(scores)) == 0


def test_a_text_has_one_vector_whatever_its_neighbours(embedder: Embedder) -> None:
    alone = embedder.documents(["short text"])[0]
    among = embedder.documents(["a much longer text " * 80, "short text", "", "another"])[1]
    assert np.array_equal(alone, among)
    assert np.array_equal(alone, embedder.query("short text"))


def test_threads_may_share_it(embedder: Embedder) -> None:
    questions = [f"question number {i} about travel" for i in range(24)]
    expected = [embedder.query(q) for q in questions]
    with ThreadPoolExecutor(6) as pool:
        assert all(
            np.array_equal(a, b)
            for a, b in zip(expected, pool.map(embedder.query, questions), strict=True)
        )


@pytest.mark.parametrize("text", ["", " ", "\x00", "🙂" * 5000, "word " * 20000])
def test_any_text_can_be_embedded(embedder: Embedder, text: str) -> None:
    assert np.isfinite(embedder.query(text)).all()
