"""Search over a million chunks through the embedded index: `python -m tests.bench.scale --chunks 1000000`.

Builds an index through the product's adapter (what the data is: `tests/bench/scale_data.py`; or `--vectors F.npy` with
`--readers-file F.jsonl`), computes the exact ranking with plain arrays, and asks every question in a process that holds
nothing but the index, one at a time, with `--rounds` rounds: a question's time is its median. Recall is the share of the exact
hybrid ranking's first ten, over what the person may read, that the index also has among its first ten. A point that the
person may not read ends the run. `--folder` keeps the built index and takes it again.

The parameters in `app/knowledge/index/strategy.py` were chosen on seed 11; the default seed here is another.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.knowledge.index import EdgeIndex, IndexPoint, Readers
from tests.bench import scale_data as data
from tests.bench.scale_truth import LIMIT, Exact, exact

BATCH = 1000
EMBEDDER = "scale"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the searching process found and how long it took; `found` holds (fused, dense, words) ids per question."""

    found: list[tuple[list[str], list[str], list[str]]]
    ms: list[list[float]]
    two_at_once_ms: list[float]
    open_s: float
    counted_s: float
    rss_mb: int
    anonymous_mb: int
    processor_ms: float


@dataclass(frozen=True, slots=True)
class Build:
    seconds: float
    upsert_s: float
    peak_mb: int


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    try:
        world = _world(options)
        build = _build(folder, world, options)
        questions = list(data.questions(world, options.queries, options.seed))
        print(f"{len(questions)} questions, {len(world.people)} people", flush=True)
        asked = _apart(
            _ask, folder, world.vectors.shape[1], questions, world.people, options.rounds
        )
        result = _report(world, questions, asked, build, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))


def _world(options: argparse.Namespace) -> data.World:
    sizes = (options.seed, options.readers, options.principals, options.people)
    if options.vectors is not None:
        return data.load(options.vectors, options.readers_file, *sizes)
    return data.generate(options.chunks, *sizes)


def _build(folder: Path, world: data.World, options: argparse.Namespace) -> Build:
    note = folder / "build.json"
    asked_for = {
        "chunks": len(world.vectors),
        "seed": options.seed,
        "readers": options.readers,
        "vectors": str(options.vectors),
        "readers_file": str(options.readers_file),
    }
    if note.is_file():
        kept = json.loads(note.read_text())
        build = Build(**kept.pop("build"))
        if kept != asked_for:
            raise SystemExit(f"{folder} holds another index: {kept}. Name another folder.")
        return build
    began = time.perf_counter()
    index = EdgeIndex(folder / "index", dimension=world.vectors.shape[1], embedder=EMBEDDER)
    for start in range(0, len(world.vectors), BATCH):
        index.upsert(_points(world, start))
        if start // BATCH % 50 == 49:
            index.flush()
            print(f"{start + BATCH} chunks, {time.perf_counter() - began:.0f} s", flush=True)
    upsert_s = time.perf_counter() - began
    for _ in range(2):  # The second takes in what was put while the first was at work.
        index.flush()
        index.sorting.wait(7200)
    index.close()
    build = Build(round(time.perf_counter() - began, 1), round(upsert_s, 1), _memory()["VmHWM"])
    note.write_text(json.dumps(asked_for | {"build": asdict(build)}))
    return build


def _points(world: data.World, start: int) -> list[IndexPoint]:
    return [
        IndexPoint(
            chunk_id=data.chunk_id(start + place),
            document_id=f"doc_{world.document_of[start + place]}",
            connector_id="bench",
            data_class=1,
            readers=world.readers[world.document_of[start + place]],
            vector=world.vectors[start + place],
            words=text,
        )
        for place, text in enumerate(world.texts.block(start // BATCH))
    ]


def _ask(
    folder: Path,
    dimension: int,
    questions: Sequence[data.Question],
    people: Sequence[frozenset[str]],
    rounds: int,
) -> Asked:
    """In a process of its own. The first round warms up and is not timed; it also gives the answers."""
    began = time.perf_counter()
    index = EdgeIndex(folder / "index", dimension=dimension, embedder=EMBEDDER)
    open_s = time.perf_counter() - began
    index.counting.wait(600)
    counted_s = time.perf_counter() - began
    readers = [Readers(person) for person in people]

    def one(question: data.Question) -> float:
        start = time.perf_counter()
        index.search(question.vector, question.text, readers[question.person], LIMIT)
        return (time.perf_counter() - start) * 1000

    found = []
    for question in questions:
        hits = index.search(question.vector, question.text, readers[question.person], LIMIT)
        dense = sorted((h for h in hits if h.dense is not None), key=lambda h: -(h.dense or 0))
        words = sorted((h for h in hits if h.sparse), key=lambda h: -h.sparse)
        found.append(tuple([h.chunk_id for h in ranked] for ranked in (hits, dense, words)))
    spent = time.process_time()
    times = [[one(question) for question in questions] for _ in range(rounds)]
    spent = (time.process_time() - spent) * 1000 / (rounds * len(questions))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(one, questions))
    memory = _memory()
    index.close()
    return Asked(
        found,  # type: ignore[arg-type]
        [list(of_one) for of_one in zip(*times, strict=True)],
        both,
        round(open_s, 1),
        round(counted_s, 1),
        memory["VmRSS"],
        memory["RssAnon"],
        round(spent, 1),
    )


def _report(
    world: data.World,
    questions: Sequence[data.Question],
    asked: Asked,
    build: Build,
    folder: Path,
) -> dict[str, float]:
    masks = [world.permitted(person) for person in range(len(world.people))]
    allowed = [mask[[q.about for q in questions if q.person == p]] for p, mask in enumerate(masks)]
    for question, (fused, _, _) in zip(questions, asked.found, strict=True):
        numbers = [_number(found) for found in fused]
        if not masks[question.person][numbers].all():
            raise SystemExit("LEAK: a point was found by a person who may not read it")
    truth = exact(world, questions)
    times = [statistics.median(of_one) for of_one in asked.ms]
    recall = [_recalls(found, right) for found, right in zip(asked.found, truth, strict=True)]
    share = [float(masks[q.person].mean()) for q in questions]
    permitted = [bool(masks[q.person][q.about]) for q in questions]
    print(f"{len(world.vectors)} chunks, {len(world.readers)} documents,", end=" ")
    print(f"{len(set(world.readers))} reader sets, {sum(map(len, allowed))} questions")
    print(f"{'':32} {'n':>4} {'p50 ms':>7} {'p95 ms':>7} {'recall10':>9} {'dense':>6} {'words':>6}")
    groups: list[tuple[str, Callable[[int], bool]]] = [
        ("all", lambda _: True),
        ("people who read 10 % and more", lambda i: share[i] >= 0.1),
        ("guests, who read less", lambda i: share[i] < 0.1),
        ("about what the person may read", lambda i: permitted[i]),
        ("about what the person may not", lambda i: not permitted[i]),
    ]
    for name, belongs in groups:
        chosen = [i for i in range(len(questions)) if belongs(i)]
        if chosen:
            _line(name, [times[i] for i in chosen], [recall[i] for i in chosen])
    rounds = list(zip(*asked.ms, strict=True))
    each = ", ".join(f"{np.percentile(r, 50):.1f}/{np.percentile(r, 95):.1f}" for r in rounds)
    print(f"rounds, p50/p95 ms: {each}")
    print(f"processor time of a search, all cores together: {asked.processor_ms} ms in the mean")
    at_once = asked.two_at_once_ms
    print(f"two at once: {np.percentile(at_once, 50):.1f}/{np.percentile(at_once, 95):.1f} ms each")
    print(f"worst recall10 {min(r[0] for r in recall):.1f}; leaks 0; load {os.getloadavg()[0]:.1f}")
    print(f"open {asked.open_s} s, words counted {asked.counted_s} s after the start of opening")
    print(
        f"memory of the searching process {asked.rss_mb} MB, {asked.anonymous_mb} of them not file-backed"
    )
    print(
        f"build: {build.upsert_s} s putting, then the graph to its end, peak {build.peak_mb} MB with all vectors"
    )
    disk = sum(f.stat().st_blocks * 512 for f in (folder / "index").rglob("*") if f.is_file())
    return {
        "chunks": len(world.vectors),
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "recall10": round(float(np.mean([r[0] for r in recall])), 4),
        "rss_mb": asked.rss_mb,
        "disk_mb": disk // 1024**2,
        "build_s": build.seconds,
    }


def _line(name: str, times: Sequence[float], recall: Sequence[tuple[float, ...]]) -> None:
    p50, p95 = np.percentile(times, [50, 95])
    means = np.mean(recall, axis=0)
    print(
        f"{name:32} {len(times):4} {p50:7.1f} {p95:7.1f} {means[0]:9.4f} {means[1]:6.3f} {means[2]:6.3f}"
    )


def _recalls(found: tuple[list[str], ...], right: Exact) -> tuple[float, ...]:
    pairs = zip(found, (right.fused, right.dense, right.words), strict=True)
    return tuple(len(set(f[:10]) & set(r[:10])) / len(r[:10]) if r else 1.0 for f, r in pairs)


def _number(chunk_id: str) -> int:
    return int(chunk_id.replace("-", ""), 16) - 1


def _memory() -> dict[str, int]:
    """Megabytes of this process, by the kernel's names."""
    rows = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {row[0][:-1]: int(row[1]) // 1024 for row in rows if len(row) == 3 and row[2] == "kB"}


def _apart(call: Callable[..., Asked], *args: object) -> Asked:
    """The call in a fresh process, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, args)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.scale", description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--principals", type=int, default=200, help="of each person")
    parser.add_argument("--readers", type=int, default=50, help="of a document, at most")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--vectors", type=Path, default=None, help="rows of a .npy file")
    parser.add_argument("--readers-file", type=Path, default=None, help="documents, JSON lines")
    parser.add_argument("--folder", type=Path, default=None, help="keeps the built index")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
