"""Narrow weights: the same meaning, less memory, and no surprise for what is not a model."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from app.knowledge.embed import MODEL, Embedder, Vector, _package_file
from app.knowledge.narrow import keep_int8
from tests.bench.corpus import questions


def widened_query(session: onnxruntime.InferenceSession, tokens: list[int]) -> Vector:
    ids = np.array([tokens], dtype=np.int64)
    inputs = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    mean = np.asarray(session.run(None, inputs)[0])[0].mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def test_vectors_are_those_of_the_widened_weights(embedder: Embedder) -> None:
    from app.knowledge.embed import MiniLM

    assert isinstance(embedder, MiniLM)
    wide = onnxruntime.InferenceSession(
        str(_package_file(*MODEL)), providers=["CPUExecutionProvider"]
    )
    texts = ["", "a", *questions(20, None, seed=9), "How much holiday do I get? " * 15]
    cosines = [
        float(
            widened_query(wide, embedder._tokenizer.encode(text).ids[:128]) @ embedder.query(text)
        )
        for text in texts
    ]
    assert min(cosines) > 0.997
    assert np.mean(cosines) > 0.999


def test_the_weights_are_held_once_as_bytes() -> None:
    plain = _package_file(*MODEL).read_bytes()
    narrow = keep_int8(plain)
    assert narrow.count(b"MatMulNBits") >= 36
    assert len(narrow) < 1.1 * len(plain)


@pytest.mark.parametrize("broken", [b"", b"not a model", b"\xff" * 40, b"\x3a\x05ab"])
def test_what_is_no_model_is_refused_plainly(broken: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX model"):
        keep_int8(broken)
