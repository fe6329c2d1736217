"""Intents learned from examples: `python -m tests.bench.intents --train F.jsonl --test F.jsonl [--oos F.jsonl]`.

Rows are JSON lines with `text` and `label`; of `--oos` (questions that belong to no intent) only `text` is read. The product's
own embedder, features and model are trained on `--train` and asked one question at a time, as a turn asks: p50 and p99 hold
the embedding, the features and the judgement, on one core (the examples are embedded on all). `train_s` holds the embedding of the examples too. With
`--validation` its accuracy is printed as well: what is chosen is chosen on it, never on `--test`.

The baseline of the same run is the usual one: TF-IDF of words and pairs of words with a linear SVM (squared hinge, C = 1,
one against the rest), in this project's own numpy implementation (app.routing.intents), since scikit-learn is no dependency;
its out-of-scope score is the largest margin. `--curve` repeats both with 5, 10, 50 and 100 examples an intent.

`python -m tests.bench.intents --clinc data_full.json --to FOLDER` writes CLINC150's splits in this format.
"""

from __future__ import annotations

import os

# One core, set before numpy loads its BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.knowledge.embed import Embedder, load_embedder
from app.routing.intents import IntentModel, Judgement, TextFeatures, fit, train
from app.routing.intents.features import Floats

CURVE = (5, 10, 50, 100)
SPLITS = {"train": "train", "val": "validation", "test": "test", "oos_test": "oos",
          "oos_val": "oos-validation"}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    texts: list[str]
    labels: list[str]
    vectors: Floats

    def few(self, count: int) -> Rows:
        """At most `count` rows a label, drawn with a fixed seed."""
        order = np.random.default_rng(0).permutation(len(self.texts))
        taken: dict[str, list[int]] = {}
        for i in order:
            own = taken.setdefault(self.labels[i], [])
            if len(own) < count:
                own.append(int(i))
        which = sorted(i for own in taken.values() for i in own)
        return Rows(
            [self.texts[i] for i in which], [self.labels[i] for i in which], self.vectors[which]
        )


@dataclass(frozen=True)
class Result:
    """`scope` and `oos` are what in-scope and out-of-scope questions are ranked by: higher is more surely in scope."""

    accuracy: float
    macro_f1: float
    scope: Floats
    oos: Floats
    train_s: float

    @property
    def auroc(self) -> float | None:
        return auroc(self.scope, self.oos) if len(self.oos) else None

    @property
    def recall_at_90(self) -> float | None:
        """The share of out-of-scope questions turned away at the limit that keeps 90 % of those in scope."""
        if not len(self.oos):
            return None
        return float((self.oos < np.quantile(self.scope, 0.1)).mean())


def read(path: Path | None, embedder: Embedder) -> Rows:
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    rows = [json.loads(line) for line in lines if line.strip()]
    texts = [str(row["text"]) for row in rows]
    return Rows(texts, [str(row.get("label", "")) for row in rows], embedder.documents(texts))


def auroc(inside: Floats, outside: Floats) -> float:
    """The chance that a question in scope ranks above one out of scope; a tie counts half."""
    below = np.searchsorted(np.sort(outside), inside, side="left")
    upto = np.searchsorted(np.sort(outside), inside, side="right")
    return float((below + upto).mean() / 2 / len(outside))


def macro_f1(truth: list[str], found: list[str]) -> float:
    scores = []
    for label in set(truth):
        both = sum(t == f == label for t, f in zip(truth, found, strict=True))
        scores.append(2 * both / (truth.count(label) + found.count(label)))
    return float(np.mean(scores))


def trained(known: Rows) -> tuple[IntentModel, float]:
    """The model, and the seconds that its training took."""
    start = time.perf_counter()
    model = train(known.texts, known.vectors, known.labels)
    return model, time.perf_counter() - start


def learned(model: IntentModel, took: float, test: Rows, oos: Rows) -> Result:
    def judged(rows: Rows) -> list[Judgement]:
        return [model.judge(t, v) for t, v in zip(rows.texts, rows.vectors, strict=True)]

    inside, outside = judged(test), judged(oos)
    found = [model.names[j.best] for j in inside]
    return Result(
        float(np.mean([f == t for f, t in zip(found, test.labels, strict=True)])),
        macro_f1(test.labels, found),
        np.asarray([j.scope for j in inside], np.float32),
        np.asarray([j.scope for j in outside], np.float32),
        took,
    )


def baseline(known: Rows, test: Rows, oos: Rows) -> Result:
    start = time.perf_counter()
    names = sorted(set(known.labels))
    y = np.asarray([names.index(label) for label in known.labels], np.int64)
    features = TextFeatures(known.texts, with_runs=False)

    def nothing(rows: Rows) -> Floats:
        return np.empty((len(rows.texts), 0), np.float32)

    rows = features.rows(known.texts)
    model = fit(rows, nothing(known), y, len(names), features.width, cost=1.0)
    took = time.perf_counter() - start
    inside = model.all_margins(features.rows(test.texts), nothing(test))
    outside = model.all_margins(features.rows(oos.texts), nothing(oos))
    found = [names[i] for i in inside.argmax(axis=1)]
    right = float(np.mean([f == t for f, t in zip(found, test.labels, strict=True)]))
    return Result(
        right, macro_f1(test.labels, found), inside.max(axis=1), outside.max(axis=1), took
    )


def latencies(
    model: IntentModel, test: Rows, embedder: Embedder, most: int = 1000
) -> NDArray[np.float64]:
    """Milliseconds a question, from its text to the judgement, of at most `most` questions."""
    took = []
    for text in test.texts[:most]:
        start = time.perf_counter()
        model.judge(text, embedder.query(text))
        took.append((time.perf_counter() - start) * 1000)
    return np.asarray(took)


def convert(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = json.loads(source.read_text(encoding="utf-8"))
    for split, name in SPLITS.items():
        lines = [json.dumps({"text": text, "label": label}) for text, label in data[split]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def line(name: str, result: Result) -> None:
    oos = "" if result.auroc is None else f"{result.auroc:9.4f}{result.recall_at_90:14.4f}"
    print(f"{name:28}{result.accuracy:10.4f}{result.macro_f1:10.4f}{oos}{result.train_s:10.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "oos", "validation", "clinc", "to"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--curve", action="store_true")
    given = parser.parse_args()
    if given.clinc and given.to:
        convert(given.clinc, given.to)
        return
    if not (given.train and given.test):
        parser.error("--train and --test are needed (or --clinc and --to)")
    embedder = load_embedder()
    start = time.perf_counter()
    known = read(given.train, embedder)
    embedded = time.perf_counter() - start
    test, oos = read(given.test, embedder), read(given.oos, embedder)
    print(f"{len(known.texts)} examples embedded in {embedded:.1f} s")
    print(f"{'':28}{'accuracy':>10}{'macro F1':>10}{'AUROC':>9}{'recall at 90':>14}{'train':>10}")
    model, took = trained(known)
    if given.validation:
        line("validation", learned(model, took, read(given.validation, embedder), oos.few(0)))
    ours, plain = learned(model, took, test, oos), baseline(known, test, oos)
    line("TF-IDF + linear SVM", plain)
    line("learned", ours)
    for count in CURVE if given.curve else ():
        few = known.few(count)
        if len(few.texts) == len(known.texts):
            break  # that is the whole, printed above
        line(f"{count} an intent, baseline", baseline(few, test, oos))
        line(f"{count} an intent, learned", learned(*trained(few), test, oos))
    print(json.dumps(_last(ours, plain, latencies(model, test, embedder), embedded)))


def _last(
    ours: Result, plain: Result, took: NDArray[np.float64], embedded: float
) -> dict[str, float | None]:
    found = {
        "accuracy": ours.accuracy,
        "macro_f1": ours.macro_f1,
        "oos_auroc": ours.auroc,
        "oos_recall_at_90": ours.recall_at_90,
        "p50_ms": float(np.median(took)),
        "p99_ms": float(np.quantile(took, 0.99)),
        "train_s": ours.train_s + embedded,
        "baseline_accuracy": plain.accuracy,
        "baseline_oos_auroc": plain.auroc,
    }
    return {k: None if v is None else round(v, 4) for k, v in found.items()}


if __name__ == "__main__":
    main()
