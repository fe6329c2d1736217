"""Nobody sees more, and nobody finds worse: `python -m tests.bench.permissions --documents F --people F --queries F`.

Every person asks every query through the product's own path (groups expanded, filtered hybrid search in one shared index,
re-check in SQL, relevance floor, at most 30 passages), and the answer is compared with the same search over an index that
holds only that person's documents.

A leak is a returned document that no reader set admits that person to, by a brute-force oracle over the input files which
shares no code with the app. The nDCG ratio is mean nDCG@10 of the filtered results over mean nDCG@10 of the person's own
index, over all pairs of person and query. Without `--qrels` the own index's ranking is the ideal (its first document
gains 10, its tenth 1), so its nDCG is 1; where it finds nothing, finding nothing is 1 and anything else 0. With `--qrels`
the judged documents that this person may read are relevant, and pairs without any are left out.

Then `--changes` permission changes are made one by one (see permissions_changes), looked at before and after the index
followed; at the end `--again` people ask everything once more. Ends with 1 when there was a leak or the ratio is below .99.

Results may differ in rare pairs without being wrong: where two chunks tie at the fiftieth BM25 score, which of them becomes a
candidate is up to the engine (11 of 1,500 rankings of 5 people on SciFact, every one explained so). BM25 counts words over the
chunks a person may see; over all chunks it would rank by others' documents, and the ratio by ranking would fall to .992, with
other top tens in 6,594 of 9,000 pairs.

The own index is exact and shares only the fusion with the engine; for `--engine` people it is compared with the real engine
holding only their chunks. File formats:

"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from app.domain import Passage
from app.knowledge.embed import Vector, load_embedder
from tests.bench import permissions_rows
from tests.bench.permissions_changes import Outcome, Stream
from tests.bench.permissions_desk import Desk, opened
from tests.bench.permissions_own import ANYBODY, Engine
from tests.bench.permissions_rows import BadRows, Rows, Truth
from tests.bench.retrieval import Cached, Judgements, ndcg, read_qrels

DEPTH = 10
LEAST_RATIO = 0.99
ROUNDING = 1.5e-4  # passages carry scores of four digits
Queries = Mapping[str, tuple[str, Vector]]


@dataclass
class Tally:
    """Sums over pairs of person and query. `different` results name other chunks, or the same in another order; `ties`
    of them are explained by chunks whose scores are equal to four digits, which rounding in either index may swap."""

    pairs: int = 0
    ties: int = 0
    empty: int = 0
    leaks: int = 0
    different: int = 0
    ranked: float = 0.0
    judged_pairs: int = 0
    judged: float = 0.0
    judged_own: float = 0.0
    missing: int = 0

    @property
    def ratio(self) -> float:
        """By the judgements where there are any, else by the own index's ranking."""
        if self.judged_own:
            return self.judged / self.judged_own
        return self.ranked / self.pairs if self.pairs else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    files = (options.documents, options.people, options.queries)
    missing = [p for p in (*files, options.qrels) if p is not None and not p.is_file()]
    if missing:
        print(f"skipped: {missing[0]} is not there", file=sys.stderr)
        raise SystemExit(2)
    try:
        rows = permissions_rows.read(*files)
    except BadRows as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    embedder = Cached(load_embedder(), options.cache)
    folder = Path(tempfile.mkdtemp(prefix="permissions-"))
    try:
        with opened(folder, rows, embedder) as desk:
            embedder.save()
            result = measure(desk, rows, folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))
    leaks = result["leaks"] + result["leaks_after_change"]
    raise SystemExit(1 if leaks or result["ndcg_ratio"] < LEAST_RATIO else 0)


def measure(desk: Desk, rows: Rows, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    truth = Truth.of(rows)
    queries = {q: (text, desk.embedder.query(text)) for q, text in rows.queries.items()}
    judged = read_qrels(options.qrels) if options.qrels else {}
    print(f"{len(rows.documents)} documents, {len(desk.points)} chunks")
    print(f"documents a person may read: {_spread(len(truth.permitted(p)) for p in rows.people)}")
    began = time.perf_counter()
    first = sweep(desk, truth, rows.people, queries, judged)
    _report(first, time.perf_counter() - began)
    rng = random.Random(options.seed)
    sample = rng.sample(list(rows.people), min(options.engine, len(rows.people)))
    same, asked, off = compare_engine(desk, truth, sample, queries, folder)
    print(
        f"exact own index as the engine's: {same} of {asked} rankings; scores differ by {off:.1e}"
    )
    began = time.perf_counter()
    changed = Stream(desk, truth, rng).run(options.changes)
    _report_changes(changed, time.perf_counter() - began)
    some = rng.sample(list(rows.people), min(options.again, len(rows.people)))
    again = sweep(desk, truth, some, queries, judged)
    print(f"after all changes, {len(some)} people ask again:")
    _report(again, None)
    return {
        "people": len(rows.people),
        "queries": len(queries),
        "leaks": first.leaks,
        "ndcg_ratio": round(first.ratio, 6),
        "changes": changed.changes,
        "leaks_after_change": changed.leaks + again.leaks,
    }


def sweep(
    desk: Desk,
    truth: Truth,
    people: Sequence[str],
    queries: Queries,
    judged: Judgements | None = None,
) -> Tally:
    """Each of these people asks each query."""
    tally = Tally()
    for number, person in enumerate(people, 1):
        permitted = truth.permitted(person)
        desk.own.hold(permitted)
        known = desk.person(person)
        for query, (text, vector) in queries.items():
            found = desk.ask(text, vector, known).passages
            alone = desk.ask_own(text, vector).passages
            tally.pairs += 1
            if [p.chunk_id for p in found] != [p.chunk_id for p in alone]:
                tally.different += 1
                tally.ties += _tied(found, alone)
            here = list(dict.fromkeys(p.document_id for p in found))
            there = list(dict.fromkeys(p.document_id for p in alone))
            tally.leaks += len(set(here) - permitted)
            tally.missing += len(set(there) - set(here))
            tally.empty += not there
            tally.ranked += _ndcg_by(there, here)
            relevant = {d: g for d, g in (judged or {}).get(query, {}).items() if d in permitted}
            if relevant:
                tally.judged_pairs += 1
                tally.judged += ndcg(here, relevant)
                tally.judged_own += ndcg(there, relevant)
        print(f"\r{number} of {len(people)} people", end="", file=sys.stderr)
    print(file=sys.stderr)
    return tally


def compare_engine(
    desk: Desk, truth: Truth, people: Sequence[str], queries: Queries, folder: Path
) -> tuple[int, int, float]:
    """Rankings equal, rankings compared, and the largest difference of scores between `Own` and the real engine alone."""
    same, asked, off = 0, 0, 0.0
    for person in people:
        permitted = truth.permitted(person)
        desk.own.hold(permitted)
        mine = [point for point in desk.points if point.document_id in permitted]
        place = folder / "alone"
        engine = Engine(mine, place, desk.embedder.dimension)
        for text, vector in queries.values():
            exact, real = desk.own.search(vector, text, ANYBODY), engine.search(vector, text)
            asked += 1
            same += [hit.chunk_id for hit in exact] == [hit.chunk_id for hit in real]
            pairs = zip(exact, real, strict=False)
            off = max([off, *(abs(a.score - b.score) for a, b in pairs)])
        engine.close()
        shutil.rmtree(place, ignore_errors=True)
    return same, asked, off


def _tied(found: Sequence[Passage], alone: Sequence[Passage]) -> bool:
    """Place by place the scores are the same, so that only equals changed places."""
    return len(found) == len(alone) and all(
        abs(here.score - there.score) < ROUNDING for here, there in zip(found, alone, strict=True)
    )


def _ndcg_by(ideal: Sequence[str], ranked: Sequence[str]) -> float:
    """nDCG@10 of `ranked` where `ideal` is the perfect ranking."""
    if not ideal:
        return float(not ranked)
    return ndcg(ranked, {document: DEPTH - at for at, document in enumerate(ideal[:DEPTH])})


def _spread(counts: Iterable[int]) -> str:
    numbers = list(counts)
    low, high = np.percentile(numbers, [10, 90])
    return f"median {median(numbers):.0f}, tenth {low:.0f}, ninetieth {high:.0f} percentile"


def _report(tally: Tally, seconds: float | None) -> None:
    print(f"  pairs              {tally.pairs} ({tally.empty} where the own index finds nothing)")
    print(f"  leaks              {tally.leaks}")
    print(
        f"  different results  {tally.different} ({tally.ties} ties, {tally.missing} documents missing)"
    )
    print(f"  nDCG ratio, own    {tally.ranked / max(1, tally.pairs):.6f}")
    if tally.judged_own:
        own = tally.judged_own / tally.judged_pairs
        print(f"  nDCG ratio, qrels  {tally.judged / tally.judged_own:.6f}", end=" ")
        print(f"({tally.judged_pairs} pairs, own index {own:.4f})")
    if seconds is not None:
        print(f"  seconds            {seconds:.0f} for filtered and own searches together")


def _report_changes(outcome: Outcome, seconds: float) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.kinds.items()))
    print(f"{outcome.changes} changes ({kinds}), {outcome.probes} probes, {seconds:.0f} s")
    print(f"  leaks              {outcome.leaks}", end=" ")
    print(f"({outcome.leaks_before_following} before the index followed)")
    print(f"  re-check at work   in {outcome.stale} probes before the index followed")
    print(f"  different results  {outcome.different} after the index followed")
    print(f"  revoked            {outcome.revoked}, {outcome.visible} found it just before")
    print(f"  granted            {outcome.granted}, {outcome.granted_found} find it now")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = f"{__doc__}{permissions_rows.__doc__}"
    parser = argparse.ArgumentParser(
        prog="tests.bench.permissions",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("documents", "people", "queries"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--qrels", type=Path, help="judgements, tab-separated, for true nDCG")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--again", type=int, default=20, help="people who ask again at the end")
    parser.add_argument("--engine", type=int, default=10, help="people with a real engine too")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
