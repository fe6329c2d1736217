"""Inputs of the permissions benchmark for SciFact: `python -m tests.bench.permissions_data --out DIR --scifact DIR`.

Groups are a random company: `--depth` levels that widen downwards, each group inside one or two of the level above, and some
links that lead back up, so that there are cycles. Everybody is directly in one to three groups, mostly deep ones. A document
is read by one to three groups or people; some by everyone, some by nobody, a few by up to fifty. Judged queries come first.
With `--openfga DIR` a third of the documents get their readers from copies of OpenFGA's test stores (see permissions_openfga),
in which employees stand for the people of the store.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.permissions_openfga import Store, stores

TOP = 5
WIDER = 1.6
CYCLES = 4
COPIES = 4
BORROWED = 1 / 3
Row = Mapping[str, Any]


def company(people: int, depth: int, rng: random.Random) -> list[Row]:
    """Rows of the people file: groups nested `depth` deep, and people."""
    levels = [
        [f"level{level}-{n}" for n in range(round(TOP * WIDER**level))] for level in range(depth)
    ]
    members: dict[str, set[str]] = {group: set() for level in levels for group in level}
    for above, level in pairwise(levels):
        for group in level:
            for parent in rng.sample(above, rng.choice((1, 1, 1, 2))):
                members[parent].add(f"group:{group}")
    for _ in range(CYCLES if depth > 2 else 0):
        # From a deep group back up to the middle: everybody under one is then under the other.
        members[rng.choice(levels[-1])].add(f"group:{rng.choice(levels[depth // 2])}")
    rows: list[Row] = [
        {"group": group, "members": sorted(listed)} for group, listed in members.items()
    ]
    everything = [group for level in levels for group in level]
    weights = [1 + level * level for level, groups in enumerate(levels) for _ in groups]
    for number in range(people):
        direct = set(rng.choices(everything, weights, k=rng.randint(1, 3)))
        rows.append({"id": f"person{number}", "groups": sorted(direct)})
    return rows


def readers(people: Sequence[Row], rng: random.Random) -> list[str]:
    """Who may read one document."""
    groups = [f"group:{row['group']}" for row in people if "group" in row]
    persons = [f"user:{row['id']}" for row in people if "id" in row]
    kind = rng.random()
    if kind < 0.03:
        return []
    if kind < 0.08:
        return ["everyone"]
    if kind < 0.10:
        return rng.sample(persons, min(rng.randint(10, 50), len(persons)))
    chosen = [rng.choice(groups) for _ in range(rng.randint(1, 3))]
    chosen += [rng.choice(persons) for _ in range(rng.randint(0, 2))]
    return sorted(set(chosen))


def copies(
    stores: Sequence[Store], people: Sequence[Row], count: int, rng: random.Random
) -> tuple[list[Row], list[str]]:
    """Rows of groups, `count` copies of each store, and those of them that OpenFGA asserts something about."""
    persons = [row["id"] for row in people if "id" in row]
    rows: list[Row] = []
    asserted: set[str] = set()
    for store in stores:
        for number in range(count):
            prefix = f"{store.name}-{number}/"
            names = sorted(store.people)
            some = rng.sample(persons, len(names))
            stands = {f"user:{n}": f"user:{p}" for n, p in zip(names, some, strict=True)}
            for group, members in store.members.items():
                named = [stands.get(m) or f"group:{prefix}{m[len('group:') :]}" for m in members]
                rows.append({"group": prefix + group, "members": sorted(named)})
            asserted |= {f"group:{prefix}{group}" for _, group in store.expected}
    return rows, sorted(asserted)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    corpus, judged = options.scifact / "corpus.jsonl", options.scifact / "qrels" / "test.tsv"
    if not corpus.is_file():
        print(f"skipped: {corpus} is not there")
        raise SystemExit(2)
    rng = random.Random(options.seed)
    people = company(options.people, options.depth, rng)
    qrels = judged.read_text().splitlines()
    wanted = {line.split("\t")[0] for line in qrels[1:]}
    asked = _read(options.scifact / "queries.jsonl")
    asked.sort(key=lambda row: row["_id"] not in wanted)
    borrowed: list[Row] = []
    asserted: list[str] = []
    if options.openfga:
        borrowed, asserted = copies(stores(options.openfga), people, COPIES, rng)
    documents = []
    for row in _read(corpus):
        some = readers(people, rng)
        if asserted and rng.random() < BORROWED:
            some = rng.sample(asserted, rng.randint(1, 6))
        document = {"_id": row["_id"], "title": row["title"], "text": row["text"]}
        documents.append(document | {"readers": some})
    options.out.mkdir(parents=True, exist_ok=True)
    _write(options.out / "documents.jsonl", documents)
    _write(options.out / "people.jsonl", [*borrowed, *people])
    queries = [{"_id": row["_id"], "text": row["text"]} for row in asked[: options.queries]]
    _write(options.out / "queries.jsonl", queries)
    (options.out / "qrels.tsv").write_text("\n".join(qrels) + "\n")
    print(f"{len(documents)} documents, {options.people} people, {len(queries)} queries,", end=" ")
    print(f"{len(people) - options.people} groups in {options.depth} levels", end=" ")
    print(f"and {len(borrowed)} from OpenFGA: {options.out}")


def _read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def _write(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.permissions_data", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scifact", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--openfga", type=Path, help="OpenFGA's folder, for a third of the readers")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
