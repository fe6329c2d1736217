"""Retrieval quality through the real search path: `python -m tests.bench.retrieval --corpus F --queries F --qrels F`.

BEIR formats: corpus and queries as JSON lines (`_id`, `title`, `text`), judgements as tab-separated query, document, score.
The corpus is stored as documents that everyone may read, split by the product's splitter or kept whole (`--whole`), and a
document ranks by its best chunk. Dense and BM25 alone are the index's own scores for the same candidates. nDCG uses
linear gains and log2 discounts, as BEIR's trec_eval does.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import numpy as np

from app.db import Database, migrate
from app.db.tables import ConnectorRow
from app.domain import EVERYONE, DataClass, Person, Role, now
from app.knowledge.embed import Embedder, MiniLM, Vector, load_embedder
from app.knowledge.index import EdgeIndex, Hit, Readers, VectorIndex
from app.knowledge.ingest import Chunk, Parsed, Section, split
from app.knowledge.search import Relevance, Search
from app.knowledge.sync import store
from app.knowledge.sync.outbox import Follower
from app.knowledge.sync.permission import Permission
from app.settings import Settings
from connectors.contract import Access, Document

Judgements = dict[str, dict[str, int]]
READER = Person("bench", "bench@example.test", "Bench", Role.EMPLOYEE, "", frozenset({EVERYONE}))
BATCH = 64
DEPTH = 50
PASSAGES = 30


class WordLlama:
    """The static alternative, for comparison only: token vectors averaged, 256 dimensions."""

    name = "wordllama-256"
    dimension = 256

    def __init__(self) -> None:
        import wordllama

        # Its own files, where it does not look for the tokenizer by itself.
        folder = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def query(self, text: str) -> Vector:
        vector: Vector = self.documents([text])[0]
        return vector

    def documents(self, texts: Sequence[str]) -> Vector:
        vectors: Vector = np.asarray(self._model.embed(list(texts), norm=True), dtype=np.float32)
        return vectors


@dataclass
class Bench:
    """The corpus in the product's own tables and index. Document ids are the corpus's."""

    database: Database
    index: VectorIndex
    embedder: Embedder
    whole: bool
    document_of: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def ingest(self, corpus: Sequence[dict[str, str]]) -> None:
        follower = Follower(self.database, self.index, self.embedder)
        with self.database.write() as session:
            session.add(ConnectorRow(id="bench", kind="bench", name="bench"))
        for start in range(0, len(corpus), BATCH):
            began = time.perf_counter()
            batch = [self._prepared(row) for row in corpus[start : start + BATCH]]
            with self.database.write() as session:
                for item in batch:
                    store.put_document(session, "bench", item, now())
            follower.follow()
            self.seconds += time.perf_counter() - began
            print(f"\r{start + len(batch)} documents", end="", file=sys.stderr)
        print(file=sys.stderr)

    def _prepared(self, row: dict[str, str]) -> store.Prepared:
        title, text = row.get("title", ""), row["text"]
        chunks = self._chunks(row["_id"], title, text)
        self.document_of.update((chunk.id, row["_id"]) for chunk in chunks)
        access = Access(known=True, everyone=True)
        document = Document(row["_id"], title, text.encode(), "text/plain", "1", access, "public")
        permission = Permission(True, frozenset({EVERYONE}), DataClass.PUBLIC)
        return store.Prepared(document, row["_id"], title, text, chunks, permission)

    def _chunks(self, document_id: str, title: str, text: str) -> list[Chunk]:
        parsed = Parsed(title, (Section((), text),))
        chunks = split(document_id, title, parsed)
        return [Chunk(chunks[0].id, 0, "", text)] if self.whole and chunks else chunks


class Cached:
    """Vectors of earlier runs, by text; embedding SciFact takes minutes."""

    def __init__(self, inner: Embedder, folder: Path | None) -> None:
        self._inner = inner
        self._folder = folder
        self.name, self.dimension = inner.name, inner.dimension
        self.made = 0
        self.seconds = 0.0
        self._known: dict[str, Vector] = {}
        if folder is not None and self._file.is_file():
            stored = np.load(self._file)
            self._known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))

    @property
    def _file(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self.name}.npz"

    def query(self, text: str) -> Vector:
        return self._inner.query(text)

    def documents(self, texts: Sequence[str]) -> Vector:
        new = [text for text in texts if text not in self._known]
        if new:
            began = time.perf_counter()
            self._known.update(zip(new, self._inner.documents(new), strict=True))
            self.seconds += time.perf_counter() - began
            self.made += len(new)
        rows = [self._known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.dimension), dtype=np.float32)

    def seconds_for_one(self, sample: int = 64) -> float:
        texts = list(self._known)[:sample]
        began = time.perf_counter()
        self._inner.documents(texts)
        return (time.perf_counter() - began) / max(1, len(texts))

    def save(self) -> None:
        if self._folder is not None and self.made:
            self._folder.mkdir(parents=True, exist_ok=True)
            texts = np.array(list(self._known))
            np.savez(self._file, texts=texts, vectors=np.stack(list(self._known.values())))


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    missing = [p for p in (options.corpus, options.queries, options.qrels) if not p.is_file()]
    if missing:
        print(f"skipped: {missing[0]} is not there", file=sys.stderr)
        raise SystemExit(2)
    corpus = [json.loads(line) for line in options.corpus.read_text().splitlines() if line]
    rows = [json.loads(line) for line in options.queries.read_text().splitlines() if line]
    judged = read_qrels(options.qrels)
    queries = {row["_id"]: row["text"] for row in rows if row["_id"] in judged}
    if options.limit:
        queries = dict(list(queries.items())[: options.limit])
    plain = WordLlama() if options.embedder == "wordllama" else load_embedder()
    embedder = Cached(plain, options.work)
    folder = Path(tempfile.mkdtemp(prefix="retrieval-"))
    try:
        result = measure(folder, embedder, corpus, queries, judged, options.whole)
    finally:
        embedder.save()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.embedder}, {len(corpus)} documents, {len(queries)} queries")
    for key, value in result.items():
        print(f"  {key:<16} {value}")
    print(json.dumps(result))


def measure(
    folder: Path,
    embedder: Cached,
    corpus: Sequence[dict[str, str]],
    queries: dict[str, str],
    judged: Judgements,
    whole: bool,
) -> dict[str, float]:
    settings = Settings(data_dir=folder)
    database = Database(settings.database)
    migrate(database)
    index = EdgeIndex(folder / "index", dimension=embedder.dimension, embedder=embedder.name)
    try:
        bench = Bench(database, index, embedder, whole)
        bench.ingest(corpus)
        per_second = _speed(bench, embedder, len(corpus))
        return evaluate(bench, queries, judged) | {"docs_per_s": per_second}
    finally:
        index.close()
        database.close()


def evaluate(bench: Bench, queries: dict[str, str], judged: Judgements) -> dict[str, float]:
    # The relevance floor is set for MiniLM's cosines; another model is compared without it.
    relevance = None if bench.embedder.name == MiniLM.name else Relevance(-1.0, -1.0, 9.0)
    search = Search(bench.database, bench.index, bench.embedder, relevance=relevance)
    ranked: dict[str, dict[str, list[str]]] = {"dense": {}, "bm25": {}, "fused": {}}
    times: list[float] = []
    readers = Readers.of(READER)
    for query_id, text in queries.items():
        began = time.perf_counter()
        vector = bench.embedder.query(text)
        found = search.search(text, vector, READER, limit=PASSAGES)
        times.append((time.perf_counter() - began) * 1000)
        ranked["fused"][query_id] = _distinct(passage.document_id for passage in found.passages)
        hits = bench.index.search(vector, text, readers, DEPTH)
        ranked["dense"][query_id] = _by(hits, lambda hit: hit.dense, bench)
        ranked["bm25"][query_id] = _by(hits, lambda hit: hit.sparse or None, bench)
    result = {
        f"{name}_ndcg10": round(mean(ndcg(r[q], judged[q]) for q in queries), 4)
        for name, r in ranked.items()
    }
    fused = ranked["fused"]
    result["fused_recall10"] = round(mean(recall(fused[q], judged[q]) for q in queries), 4)
    result["query_p50_ms"] = round(median(times), 2)
    return result


def read_qrels(path: Path) -> Judgements:
    judged: Judgements = {}
    for line in path.read_text().splitlines()[1:]:
        query_id, document_id, score = line.split("\t")
        if int(score) > 0:
            judged.setdefault(query_id, {})[document_id] = int(score)
    return judged


def ndcg(ranked: Sequence[str], relevant: dict[str, int], depth: int = 10) -> float:
    gained = sum(relevant.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked[:depth]))
    ideal = sorted(relevant.values(), reverse=True)[:depth]
    return gained / sum(gain / math.log2(i + 2) for i, gain in enumerate(ideal))


def recall(ranked: Sequence[str], relevant: dict[str, int], depth: int = 10) -> float:
    return len(set(ranked[:depth]) & relevant.keys()) / len(relevant)


def _by(hits: Sequence[Hit], score: Callable[[Hit], float | None], bench: Bench) -> list[str]:
    scored = [(value, hit.chunk_id) for hit in hits if (value := score(hit)) is not None]
    return _distinct(bench.document_of[chunk_id] for _, chunk_id in sorted(scored, reverse=True))


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _speed(bench: Bench, embedder: Cached, documents: int) -> float:
    """Documents a second from text to index. Cached vectors count as if they had been made at the speed measured now."""
    cached = len(bench.document_of) - embedder.made
    one = embedder.seconds_for_one() if cached > 0 else 0.0
    return round(documents / (bench.seconds + one * cached), 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.retrieval", description=__doc__)
    for name in ("corpus", "queries", "qrels"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--embedder", choices=("minilm", "wordllama"), default="minilm")
    parser.add_argument("--whole", action="store_true", help="one chunk a document")
    parser.add_argument("--limit", type=int, default=0, help="only the first queries")
    parser.add_argument("--work", type=Path, default=None, help="folder that keeps vectors")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
