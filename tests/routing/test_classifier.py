"""Classification by examples, with the product's own embedder, the shipped table and questions it has not seen."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.knowledge.embed import Embedder
from app.routing import IntentClassifier, RoutingTable
from app.routing.table import ROUTES

QUESTIONS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text())
CLINC = Path(__file__).parents[3] / "shared" / "data" / "clinc150" / "data" / "data_full.json"
ACTIONS = {"open_ticket", "send_webhook"}


@pytest.fixture(scope="module")
def classifier(embedder: Embedder) -> IntentClassifier:
    return IntentClassifier(RoutingTable.load(), embedder.documents)


def named(classifier: IntentClassifier, embedder: Embedder, texts: Sequence[str]) -> list[str]:
    return [classifier.classify(text, embedder.query(text)).name for text in texts]


def test_most_unseen_questions_go_where_they_belong(
    classifier: IntentClassifier, embedder: Embedder
) -> None:
    cases = [
        (text, name)
        for name, entry in QUESTIONS.items()
        if name != "elsewhere"
        for text in entry["questions"]
    ]
    found = named(classifier, embedder, [text for text, _ in cases])
    right = [name == want for name, (_, want) in zip(found, cases, strict=True)]
    assert sum(right) / len(right) >= 0.86


def test_the_questions_are_not_among_the_examples() -> None:
    examples = {text for entry in RoutingTable.load().entries for text in entry.examples}
    assert not examples & {text for entry in QUESTIONS.values() for text in entry["questions"]}


def test_questions_from_elsewhere_go_to_the_general_intent(
    classifier: IntentClassifier, embedder: Embedder
) -> None:
    texts = QUESTIONS["elsewhere"]["questions"]
    assert set(named(classifier, embedder, texts)) == {"general"}
    intent = classifier.classify(texts[0], embedder.query(texts[0]))
    assert intent.chosen_by == "below threshold"
    assert intent.runner_up != "general"
    assert intent.runner_up_score < RoutingTable.load().threshold


@pytest.mark.skipif(not CLINC.exists(), reason="the CLINC150 data folder is not there")
def test_out_of_scope_questions_of_clinc_are_turned_away(
    classifier: IntentClassifier, embedder: Embedder
) -> None:
    texts = [text for text, _ in json.loads(CLINC.read_text())["oos_val"]]
    assert named(classifier, embedder, texts).count("general") / len(texts) >= 0.92


def test_an_example_scores_high_and_names_its_runner_up(
    classifier: IntentClassifier, embedder: Embedder
) -> None:
    text = "How many days of holiday do I have?"
    intent = classifier.classify(text, embedder.query(text))
    assert (intent.name, intent.label) == ("time_off_benefits", "Time off and benefits")
    assert intent.chosen_by == "examples"
    assert 1.0 >= intent.score > intent.runner_up_score
    assert intent.runner_up not in {"", intent.name}
    assert next(iter(classifier.scores(text, embedder.query(text)))) == "time_off_benefits"


@pytest.mark.parametrize("text", ["", "   ", "?", "ä" * 5000, "🌧️"])
def test_odd_texts_are_classified_without_complaint(
    classifier: IntentClassifier, embedder: Embedder, text: str
) -> None:
    assert classifier.classify(text, embedder.query(text)).name in {
        entry.name for entry in RoutingTable.load().entries
    }


class Counting:
    def __init__(self, seed: int = 1) -> None:
        self.texts = 0
        self.seed = seed

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        rows = [
            np.random.default_rng(abs(hash((self.seed, text)))).normal(size=8) for text in texts
        ]
        return np.asarray([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


def test_examples_are_embedded_once_for_each_embedder_and_table(tmp_path: Path) -> None:
    table = RoutingTable.load()
    count = sum(len(entry.examples) for entry in table.entries)
    first, again, other = Counting(), Counting(), Counting(seed=2)
    for embed in (first, again, other):
        IntentClassifier(table, embed, tmp_path)
    assert (first.texts, again.texts, other.texts) == (count + 1, 1, count + 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    IntentClassifier(RoutingTable.load(), Counting(), tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"not numpy")
    again = Counting()
    IntentClassifier(RoutingTable.load(), again, tmp_path)
    assert again.texts > 1


def test_the_shipped_table_is_complete() -> None:
    table = RoutingTable.load()
    assert len(table.entries) >= 9
    assert table.fallback.name == "general"
    assert len(table.suggestions) >= 4
    for entry in table.entries:
        assert 8 <= len(entry.examples) <= 15
        assert set(entry.actions) <= ACTIONS
        assert set(entry.models) & {"reader", "smollm2"}, f"{entry.name} needs a key"
        assert ("reader" in entry.models) == entry.search


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("threshold = 0.30", "threshold = 7"), "threshold"),
        (('name = "it_help"', 'name = "IT help"'), "intents.3.name"),
        (('name = "it_help"', 'name = "general"'), "twice"),
        (("search = true", "searches = true"), "intents.0.search"),
        (("[[intents]]", "[intents"), "cannot be read"),
    ],
)
def test_a_wrong_table_is_named_with_its_place(
    tmp_path: Path, change: tuple[str, str], where: str
) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(ROUTES.read_text().replace(*change))
    with pytest.raises(ConfigurationError, match=where):
        RoutingTable.load(path)
