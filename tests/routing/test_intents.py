"""Intents learned from examples: features, the linear model, honest probabilities, and the benchmark's own arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.knowledge.embed import Embedder
from app.routing import RoutingTable
from app.routing.intents import IntentModel, Recipe, TextFeatures, fit, train
from app.routing.intents.calibration import logistic, stacking
from app.routing.intents.features import Floats
from app.routing.intents.model import _Examples
from tests.bench.intents import auroc, convert, macro_f1


def blobs(rng: np.random.Generator, classes: int, each: int) -> tuple[Floats, list[str]]:
    """Unit vectors around one centre a class, close enough to each other that some are on the wrong side."""
    centres = rng.normal(size=(classes, 16))
    points = np.repeat(centres, each, axis=0) + rng.normal(scale=1.6, size=(classes * each, 16))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), [f"c{i // each}" for i in range(classes * each)]


@pytest.fixture(scope="module")
def model(embedder: Embedder) -> IntentModel:
    entries = RoutingTable.load().entries
    texts = [text for entry in entries for text in entry.examples]
    labels = [entry.name for entry in entries for _ in entry.examples]
    return train(texts, embedder.documents(texts), labels)


def test_blocks_have_length_one_and_unknown_terms_add_nothing() -> None:
    features = TextFeatures(["reset my token", "reset the printer"])
    columns, values = features.row("Reset my TOKEN!")
    assert float(values @ values) == pytest.approx(2.0, abs=1e-5)
    assert len(set(columns.tolist())) == len(columns)
    assert columns.max() < features.width
    assert [len(part) for part in features.row("ябв 123")] == [0, 0]


def test_rare_terms_weigh_more_and_can_be_left_out() -> None:
    texts = ["reset token", "reset printer", "reset screen"]
    columns, values = TextFeatures(texts, with_runs=False).row("reset token")
    by_weight = dict(zip(columns.tolist(), values.tolist(), strict=True))
    assert min(by_weight.values()) < max(by_weight.values())
    assert TextFeatures(texts, with_runs=False, rarest=2).width == 1


def test_the_linear_model_reaches_the_optimum_of_its_problem() -> None:
    """At the optimum of the squared hinge the weights are the violated margins' own sum (the gradient is 0)."""
    rng = np.random.default_rng(3)
    vectors, names = blobs(rng, 3, 30)
    labels = np.asarray([int(name[1:]) for name in names])
    rows = TextFeatures([""]).rows([""] * len(names))
    found = fit(rows, vectors, labels, 3, 0, cost=0.5, rounds=400)
    signs = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    violated = np.maximum(1 - signs * found.all_margins(rows, vectors), 0)
    gradient = found.dense - 2 * 0.5 * vectors.T @ (signs * violated)
    assert float(np.abs(gradient).max()) < 0.05 * float(np.abs(found.dense).max())
    assert (found.all_margins(rows, vectors).argmax(axis=1) == labels).mean() > 0.8


def test_sparse_and_dense_margins_of_one_row_and_of_many_agree(model: IntentModel) -> None:
    rows = model.features.rows(["reset the VPN token", "a day off"])
    vectors = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    together = model.linear.all_margins(rows, vectors)
    for i in range(2):
        alone = model.linear.margins(*rows.row(i), vectors[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5)


def test_closeness_is_the_mean_of_the_nearest_examples_whoever_is_asked_for() -> None:
    rng = np.random.default_rng(5)
    vectors, _ = blobs(rng, 4, 10)
    labels = rng.permutation(np.repeat([0, 1, 2, 3], [1, 4, 15, 20]))
    examples = _Examples.of(vectors, labels, 4, 3)
    question = vectors[:70][0]
    cosines = vectors @ question
    right = [np.sort(cosines[labels == c])[-3:].mean() for c in range(4)]
    assert np.allclose(examples.closeness(vectors[:1])[0], right, atol=1e-6)
    assert np.allclose(examples.among(question, np.asarray([3, 0])), np.asarray(right)[[3, 0]])


def test_with_many_examples_only_likely_intents_are_compared_and_the_same_one_wins() -> None:
    rng = np.random.default_rng(6)
    vectors, names = blobs(rng, 12, 40)
    texts = [f"word{i} of {name}" for i, name in enumerate(names)]
    asked = rng.permutation(len(names))[:100]
    kept = np.setdiff1d(np.arange(len(names)), asked)
    known = [texts[i] for i in kept], vectors[kept], [names[i] for i in kept]
    whole = train(*known)
    some = train(*known, Recipe(many=0, likely=5))
    same = 0
    for i in asked:
        every, few = whole.judge("", vectors[i]), some.judge("", vectors[i])
        # Five are compared; the others are set to the least of them.
        compared = few.closeness > few.closeness.min()
        assert compared.sum() == 4
        assert np.allclose(few.closeness[compared], every.closeness[compared], atol=1e-6)
        if few.best == every.best:
            same += 1
            assert few.scope == pytest.approx(every.scope, abs=1e-5)
            assert np.abs(few.probabilities - every.probabilities).max() < 0.2
    assert same >= 97


def test_probabilities_are_honest_on_questions_not_seen() -> None:
    rng = np.random.default_rng(7)
    vectors, names = blobs(rng, 6, 100)
    order = rng.permutation(len(names))
    known, unseen = order[:300], order[300:]
    found = train([""] * 300, vectors[known], [names[i] for i in known])
    judged = [found.judge("", vectors[i]) for i in unseen]
    right = [found.names[j.best] == names[i] for j, i in zip(judged, unseen, strict=True)]
    claimed = float(np.mean([j.probabilities.max() for j in judged]))
    assert 0.6 < np.mean(right) < 0.995
    assert claimed == pytest.approx(float(np.mean(right)), abs=0.06)


def test_a_question_from_elsewhere_is_less_in_scope_than_one_of_ours(
    model: IntentModel, embedder: Embedder
) -> None:
    ours, other = "My VPN token is locked", "Who won the football match in 1966?"
    inside, outside = (model.judge(text, embedder.query(text)) for text in (ours, other))
    assert model.names[inside.best] == "it_help"
    assert inside.in_scope > 0.6 > 0.5 > outside.in_scope
    assert float(inside.probabilities.sum()) == pytest.approx(1.0, abs=1e-4)


def test_the_same_examples_give_the_same_model_and_few_are_enough() -> None:
    vectors, names = blobs(np.random.default_rng(1), 2, 3)
    texts = ["day off", "holiday", "leave", "vpn", "token", "laptop"]
    first, again = (train(texts, vectors, names) for _ in range(2))
    np.testing.assert_array_equal(first.linear.dense, again.linear.dense)
    assert first.names[first.judge("a holiday", vectors[0]).best] == "c0"
    with pytest.raises(ValueError, match="two intents"):
        train(texts[:3], vectors[:3], ["one"] * 3)


def test_newton_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(5)
    evidence = rng.normal(size=(20_000, 4, 2)).astype(np.float32)
    chances = np.exp(evidence @ np.asarray([2.0, 0.5]))
    chances /= chances.sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    np.testing.assert_allclose(stacking(evidence, labels), [2.0, 0.5], atol=0.06)
    found = np.stack([evidence[:, 0, 0], np.ones(20_000, np.float32)], axis=1)
    outcome = (rng.random(20_000) < 1 / (1 + np.exp(-(found @ np.asarray([1.5, -0.5]))))) * 1.0
    np.testing.assert_allclose(logistic(found, outcome), [1.5, -0.5], atol=0.08)


def test_the_benchmarks_measures() -> None:
    low, high = np.asarray([0.1, 0.2], np.float32), np.asarray([0.2, 0.9], np.float32)
    assert auroc(high, low) == pytest.approx(0.875)  # three pairs in order and one tie
    assert macro_f1(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx(2 / 3)


def test_the_converter_keeps_every_row(tmp_path: Path) -> None:
    splits = ("train", "val", "test", "oos_val", "oos_test")
    data = {split: [[f"{split} text", "label"]] * 3 for split in splits}
    (tmp_path / "data.json").write_text(json.dumps(data))
    convert(tmp_path / "data.json", tmp_path / "out")
    lines = (tmp_path / "out" / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "val text", "label": "label"}] * 3
    assert len(list((tmp_path / "out").iterdir())) == 5
