"""Which model for which question: `python -m tests.bench.model_routing --rows F.jsonl --folds 5`.

Rows are JSON lines `{"prompt", "scores": {model: number}, "costs": {model: number}}`, every model in every row. What is said of a
row comes from the product's own model (app.routing.difficulty) trained without that row's fold; equal prompts share a fold.
A row's cost is not looked at when a model is chosen for it: expected costs are learned like expected scores, as a line over the
prompt's length.

The quality-cost curve sweeps what a point of quality may cost. APGR (*RouteLLM: Learning to Route LLMs with Preference Data*,
2024) is the mean share of the gap between two models that is recovered while the share of questions sent to the stronger one
grows from 0 to 100 %, those with the largest expected gain first. The stronger one is the best single model, the other the
cheapest of the rest, whichever of them is dearer. `cost_at_95` is read off the curve: the least mean cost with 95 % of the
stronger's quality. `quality` and `cost` are at one point of it, chosen inside each fold's training rows: the least cost that keeps the
best single model's quality on a quarter of them, judged by a linear model of the rest.

`--tfidf` compares with the linear model of words alone. Sentence vectors take longest; `--vectors FILE.npz` keeps them. `python -m tests.bench.routellm` makes rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.knowledge.embed import load_embedder
from app.routing.difficulty.model import Recipe
from app.routing.difficulty.regression import Doubles, Places
from app.routing.difficulty.tradeoff import chosen
from app.routing.intents.features import Floats
from tests.bench.model_routing_curve import (
    Data,
    Point,
    apgr,
    curve,
    difference,
    interval,
    least_cost,
    mixed,
    paid,
    recovered,
)

ENOUGH = 0.95
SHOWN = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Expected:
    """Out-of-fold expectations of every row, (rows, models), and the worth chosen inside each row's training folds."""

    scores: Doubles
    costs: Doubles
    worth: Doubles
    plain: Doubles | None  # the scores expected from TF-IDF alone


def read(path: Path, cache: Path | None) -> Data:
    """Raises SystemExit for rows that cannot be compared."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    models = tuple(sorted(rows[0]["scores"])) if rows else ()
    if len(models) < 2 or any(sorted(r["scores"]) != sorted(r["costs"]) for r in rows):
        raise SystemExit("rows need two models at least, with a score and a cost each")
    if any(tuple(sorted(row["scores"])) != models for row in rows):
        raise SystemExit("every row needs the same models")
    prompts = [str(row["prompt"]) for row in rows]
    return Data(
        prompts,
        models,
        np.asarray([[float(row["scores"][m]) for m in models] for row in rows]),
        np.asarray([[float(row["costs"][m]) for m in models] for row in rows]),
        embedded(prompts, cache),
    )


def embedded(prompts: list[str], cache: Path | None) -> Floats:
    keys = [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts]
    known: dict[str, Floats] = {}
    if cache and cache.exists():
        with np.load(cache, allow_pickle=False) as kept:
            known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
    missing = {k: p for k, p in zip(keys, prompts, strict=True) if k not in known}
    if missing:
        embedder = load_embedder()
        with ThreadPoolExecutor() as pool:  # one question at a time, as a turn embeds it
            known |= dict(zip(missing, pool.map(embedder.query, missing.values()), strict=True))
        if cache:
            np.savez(cache, keys=np.asarray(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[key] for key in keys]).astype(np.float32)


def folds_of(prompts: list[str], folds: int) -> Places:
    """Equal prompts are in the same fold, so that none is judged by its own outcome."""
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    dealt = np.random.default_rng(0).permutation(len(number)) % folds
    return np.asarray([dealt[number[prompt]] for prompt in prompts], np.int64)


def out_of_fold(data: Data, folds: int, recipe: Recipe, tfidf: bool) -> Expected:
    shape = data.scores.shape
    plain_scores = np.zeros(shape) if tfidf else None
    found = Expected(np.zeros(shape), np.zeros(shape), np.zeros(shape[0]), plain_scores)
    fold = folds_of(data.prompts, folds)
    plain = replace(recipe, meaning=0.0, form=0.0, for_trees=10**9)
    for held in range(folds):
        start = time.perf_counter()
        out, kept = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        known, asked = data.take(kept), data.take(out)
        found.scores[out] = known.trained(recipe).expect(asked.prompts, asked.vectors)
        if found.plain is not None:
            found.plain[out] = known.trained(plain).expect(asked.prompts, asked.vectors)
        found.costs[out] = expected_costs(known, asked)
        found.worth[out] = worth_inside(known, recipe)
        print(f"fold {held + 1} of {folds}: {time.perf_counter() - start:.0f} s", flush=True)
    return found


def expected_costs(known: Data, asked: Data) -> Doubles:
    """A least-squares line over the prompt's length for each model."""

    def columns(data: Data) -> Doubles:
        lengths = np.asarray([len(prompt) for prompt in data.prompts], np.float64)
        return np.stack([np.ones_like(lengths), lengths], axis=1)

    line = np.linalg.lstsq(columns(known), known.costs, rcond=None)[0]
    return np.maximum(columns(asked) @ line, 0.0)


def worth_inside(known: Data, recipe: Recipe) -> float:
    """The smallest worth that keeps the best single model's quality on a quarter of `known`."""
    held = folds_of(known.prompts, 4) == 0
    learned, judged = known.take(np.flatnonzero(~held)), known.take(np.flatnonzero(held))
    model = learned.trained(replace(recipe, for_trees=10**9))
    scores = model.expect(judged.prompts, judged.vectors)
    best = judged.scores[:, learned.strong].mean()
    kept = [
        (point.cost, worth)
        for worth, point in curve(judged, scores, expected_costs(learned, judged))
        if point.quality >= best - 1e-12
    ]
    return min(kept, default=(0.0, np.inf))[1]


def report(data: Data, found: Expected) -> dict[str, float | None]:
    """Prints the tables; answers the last line."""
    whole = np.ones(len(data.prompts), np.int64)
    strong, cheap = paid(data, whole * data.strong), paid(data, whole * data.cheap)
    enough = ENOUGH * strong.quality
    drawn = np.random.default_rng(0)
    chances = [apgr(data, drawn.random(len(whole))) for _ in range(20)]
    by_chance = float(np.mean([c for c in chances if c is not None])) if chances[0] else None
    point = paid(data, chosen(found.scores, found.costs, found.worth))
    learned = [p for _, p in curve(data, found.scores, found.costs)]
    ideal = [p for _, p in curve(data, data.scores, data.costs)]
    at_95 = least_cost(learned, enough)
    gains = {
        "learned": difference(data, found.scores),
        "oracle": difference(data, data.scores),
    }
    print(
        f"\n{len(whole)} rows; stronger {data.models[data.strong]}, other {data.models[data.cheap]}"
    )
    print(f"{'':14}{'quality':>10}{'cost':>14}{'APGR':>8}{'cost at 95 %':>14}")
    line("always other", cheap, None, None)
    line("always stronger", strong, None, strong.cost)
    line("random", None, by_chance, mixed(cheap, strong, enough))
    if found.plain is not None:
        gains["TF-IDF"] = difference(data, found.plain)
        plain = [p for _, p in curve(data, found.plain, found.costs)]
        line("TF-IDF", None, apgr(data, gains["TF-IDF"]), least_cost(plain, enough))
    line("learned", point, apgr(data, gains["learned"]), at_95)
    line("oracle", best_of(ideal), apgr(data, gains["oracle"]), least_cost(ideal, enough))
    if between := interval(data, gains["learned"]):
        print(f"95 % of 1,000 resamples of the rows: APGR {between[0]:.4f} to {between[1]:.4f}")
    print_shares(data, gains)
    print_curve(learned)
    return {
        "apgr": apgr(data, gains["learned"]),
        "cost_at_95": at_95,
        "random_apgr": by_chance,
        "oracle_apgr": apgr(data, gains["oracle"]),
        "quality": point.quality,
        "cost": point.cost,
        "best_single_quality": strong.quality,
        "best_single_cost": strong.cost,
    }


def best_of(points: list[Point]) -> Point:
    return max(points, key=lambda point: (point.quality, -point.cost))


def line(name: str, point: Point | None, area: float | None, at_95: float | None) -> None:
    quality, cost = (f"{point.quality:.4f}", f"{point.cost:.6g}") if point else ("", "")
    shown = "" if area is None else f"{area:.4f}"
    print(f"{name:16}{quality:>8}{cost:>14}{shown:>8}{'' if at_95 is None else f'{at_95:.6g}':>14}")


def print_shares(data: Data, gains: dict[str, Doubles]) -> None:
    got = {name: recovered(data, gain) for name, gain in gains.items()}
    print("\nshare of the gap that is recovered, by the share of questions sent to the stronger")
    print(f"{'share':>6}" + "".join(f"{name:>10}" for name in got))
    for share in SHOWN:
        at = round(share * len(data.prompts))
        print(
            f"{share:6.0%}" + "".join("" if g is None else f"{g[at]:10.3f}" for g in got.values())
        )


def print_curve(points: list[Point]) -> None:
    print("\nthe learned quality-cost curve")
    print(f"{'cost':>14}{'quality':>10}")
    shown = np.linspace(points[0].cost, points[-1].cost, 12)
    for at in dict.fromkeys(min(points, key=lambda p: abs(p.cost - c)) for c in shown):
        print(f"{at.cost:14.6g}{at.quality:10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--tfidf", action="store_true")
    given = parser.parse_args()
    start = time.perf_counter()
    data = read(given.rows, given.vectors)
    print(f"{len(data.prompts)} rows read and embedded in {time.perf_counter() - start:.0f} s")
    last = report(data, out_of_fold(data, given.folds, Recipe(), given.tfidf))
    print(json.dumps({k: None if v is None else round(v, 8) for k, v in last.items()}))


if __name__ == "__main__":
    main()
