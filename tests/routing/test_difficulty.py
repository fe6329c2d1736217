"""Difficulty: learned from what came of earlier questions, and only ever an order among the models that may answer."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from sqlalchemy import func, select, update

from app.db import Database, migrate
from app.db.tables import ConversationRow, DifficultyRow, PersonRow, TurnRow, UsageFactRow
from app.domain import DataClass, Person, now
from app.errors import ModelCredential
from app.knowledge.embed import Embedder
from app.records import Ledger
from app.routing import Catalogue, RouteEntry, RoutingTable, choose
from app.routing.difficulty.learned import KEPT, WINDOW, LearnedScores
from app.routing.difficulty.model import Recipe, train
from app.routing.difficulty.outcomes import outcomes
from app.routing.difficulty.stored import Unusable, pack, unpack
from app.routing.difficulty.tradeoff import ranked
from app.routing.intents.features import Floats
from app.routing.table import Tradeoff
from tests.conftest import MakePerson
from tests.routing.conftest import MakeCatalogue, Rules, card, intent, table
from tests.servers.postgres import postgres

INTERNAL, CONFIDENTIAL = DataClass.INTERNAL, DataClass.CONFIDENTIAL
TOWNS = ("Lyon", "Leeds", "Turin", "Ghent", "Porto", "Bergen", "Graz", "Cork", "Lund", "Basel")
EASY = [f"What is the phone number of the {t} {w}?" for t in TOWNS for w in ("office", "store", "lab")]  # fmt: skip
HARD = [
    f"Compare the {w} clauses of the {t} contract with the statute and derive how much is owed."
    for t in TOWNS
    for w in ("penalty", "liability", "warranty")
]
NEW_EASY = "What is the phone number of the Malmo office?"
NEW_HARD = (
    "Compare the penalty clauses of the Malmo contract with the statute and derive what is owed."
)


Query = Callable[[str], Floats]


@pytest.fixture(scope="module")
def query(embedder: Embedder) -> Query:
    """The product's embedder, which embeds each text of this module once."""
    return cache(embedder.query)


@pytest.fixture
def person(make_person: MakePerson) -> Person:
    return make_person("Ada")


def cards(catalogue: MakeCatalogue, **changes: DataClass) -> Catalogue:
    return catalogue(
        card("strong", changes.get("strong", INTERNAL), price_in=10.0, price_out=30.0),
        card("cheap", changes.get("cheap", INTERNAL), price_in=0.5, price_out=0.5),
    )


def learning(worth_usd: float = 0.05) -> RoutingTable:
    plain = table(("strong", "cheap"))
    tradeoff = Tradeoff(worth_usd=worth_usd, least=20)
    entries = tuple(e.model_copy(update={"difficulty": tradeoff}) for e in plain.entries)
    return replace(plain, entries=entries)


def travel(routes: RoutingTable) -> RouteEntry:
    return routes.entry("travel")


Record = Callable[..., list[str]]


@pytest.fixture
def record(database: Database, person: Person) -> Record:
    """Stores finished turns of Travel with a thumb, as a turn of the desk leaves them; answers their ids."""

    def store(
        questions: Iterable[str], model: str, thumb: int | None, **changes: object
    ) -> list[str]:
        ids = []
        with database.write() as session:
            chat = ConversationRow(person_id=person.id)
            session.add(chat)
            session.flush()
            for text in questions:
                values = {
                    "conversation_id": chat.id,
                    "person_id": person.id,
                    "question": text,
                    "model": model,
                    "intent": "travel",
                    "status": "finished",
                    "feedback": thumb,
                }
                row = TurnRow(**(values | changes))
                session.add(row)
                session.flush()
                session.add(
                    UsageFactRow(
                        id=row.id, kind="question", day=now().date(), person_id=person.id,
                        team="Sales", completion_tokens=200,
                    )
                )  # fmt: skip
                ids.append(row.id)
        return ids

    return store


@pytest.fixture
def learned(database: Database, ledger: Ledger, query: Query) -> LearnedScores:
    return LearnedScores(database, ledger, learning, query)


def asked(
    text: str,
    learned: LearnedScores,
    query: Query,
    models: Catalogue,
    person: Person,
    **options: object,
) -> tuple[str, str]:
    """The chosen model, and why."""
    routes = learning()
    wanted: dict[str, object] = {"data_class": INTERNAL, "wish": None, "policy": Rules()}
    wanted |= options
    expected = learned.expect(travel(routes), text, query(text))
    route = choose(
        routes, intent(), person, catalogue=models, needs_passages=True, prompt_tokens=1000,
        expected=expected, **wanted,  # type: ignore[arg-type]
    )  # fmt: skip
    return route.model, route.reason


def easy_and_hard(record: Record) -> None:
    """The cheap model does well with easy questions only, the strong one with all."""
    record(EASY[:20], "cheap", 1)
    record(HARD[:20], "cheap", 0)
    record(EASY[10:], "strong", 1)
    record(HARD[10:], "strong", 1)


def test_easy_questions_go_to_the_cheap_model_and_hard_ones_to_the_strong(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
) -> None:
    easy_and_hard(record)
    models = cards(catalogue)
    assert learned.check() == ["travel"]
    model, why = asked(NEW_EASY, learned, query, models, person)
    assert model == "cheap"
    assert "an easy question: the cheaper of two, Cheap (expected score 0." in why
    model, why = asked(NEW_HARD, learned, query, models, person)
    assert model == "strong"
    assert "a hard question: Strong (expected score 0." in why


def test_a_model_that_is_cheaper_and_better_is_chosen_for_every_question(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
) -> None:
    record(EASY + HARD, "cheap", 1)
    record(EASY, "strong", 1)
    record(HARD, "strong", 0)
    models = cards(catalogue)
    learned.learn(travel(learning()))
    for text in (NEW_EASY, NEW_HARD):
        model, why = asked(text, learned, query, models, person)
        assert model == "cheap"
        assert "no worse than Strong" in why


def test_of_two_models_on_a_par_the_cheaper_wins(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
) -> None:
    for model in ("strong", "cheap"):
        record(EASY + HARD[:15], model, 1)
        record(HARD[15:], model, 0)
    learned.learn(travel(learning()))
    assert asked(NEW_EASY, learned, query, cards(catalogue), person)[0] == "cheap"
    assert ranked(np.asarray([0.8, 0.8]), np.asarray([2.0, 1.0]), np.inf).tolist() == [1, 0]


def test_what_a_good_answer_is_worth_decides_between_quality_and_cost() -> None:
    quality, costs = np.asarray([0.9, 0.8]), np.asarray([0.02, 0.001])
    assert ranked(quality, costs, 0.01).tolist() == [1, 0]
    assert ranked(quality, costs, 10.0).tolist() == [0, 1]


@pytest.mark.parametrize("known", [(), ("strong",)], ids=["nothing", "one model only"])
def test_without_enough_outcomes_the_order_is_the_tables(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
    known: tuple[str, ...],
) -> None:
    for model in known:
        record(EASY + HARD, model, 0)
    record(EASY[:19], "cheap", 1)
    assert learned.check() == []
    model, why = asked(NEW_EASY, learned, query, cards(catalogue), person)
    assert (model, why.split(":")[0]) == ("strong", "First choice for “Travel”")
    state = learned.state(travel(learning()))
    assert state.version == 0
    assert "need 20 judged answers each" in state.why_off
    assert state.outcomes["cheap"] == 19


def test_a_route_without_a_tradeoff_is_left_alone(
    record: Record, learned: LearnedScores, query: Query
) -> None:
    easy_and_hard(record)
    learned.check()
    plain = table(("strong", "cheap")).entry("travel")
    assert learned.expect(plain, NEW_EASY, query(NEW_EASY)) is None
    assert not learned.learn(plain)


@pytest.mark.parametrize("why", ["clearance", "policy", "switched off", "failing"])
def test_a_model_that_may_not_answer_is_never_brought_in_by_its_score(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
    why: str,
) -> None:
    record(EASY + HARD, "cheap", 1)
    record(EASY + HARD, "strong", 0)
    learned.check()
    models = cards(catalogue, strong=CONFIDENTIAL)
    options: dict[str, object] = {}
    if why == "clearance":
        options["data_class"] = CONFIDENTIAL
    elif why == "policy":
        options["policy"] = Rules({"cheap"})
    elif why == "switched off":
        models.change(person, "cheap", enabled=False)
    else:
        models.health.failed("cheap", ModelCredential("Refused."))
    assert asked(NEW_EASY, learned, query, models, person, **options)[0] == "strong"
    allowed = cards(catalogue, strong=CONFIDENTIAL, cheap=CONFIDENTIAL)
    if why == "clearance":
        assert asked(NEW_EASY, learned, query, allowed, person, **options)[0] == "cheap"


def test_a_model_picked_by_hand_stays_first(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
) -> None:
    easy_and_hard(record)
    learned.check()
    found = asked(NEW_EASY, learned, query, cards(catalogue), person, wish="strong")
    assert found == ("strong", "You picked Strong.")


def test_a_model_that_nothing_is_known_of_keeps_its_place(
    catalogue: MakeCatalogue,
    person: Person,
    record: Record,
    learned: LearnedScores,
    query: Query,
) -> None:
    easy_and_hard(record)
    learned.check()
    models = catalogue(card("new"), card("strong", price_in=10.0), card("cheap", price_in=0.5))
    expected = learned.expect(travel(learning()), NEW_EASY, query(NEW_EASY))
    routes = table(("new", "strong", "cheap"))
    route = choose(
        routes, intent(), person, INTERNAL, None, models, Rules(), True,
        prompt_tokens=1000, expected=expected,
    )  # fmt: skip
    assert (route.model, route.fallbacks) == ("new", ("cheap", "strong"))
    assert route.reason.startswith("First choice for “Travel”")


@pytest.mark.parametrize("how", ["damaged", "cut", "old form", "no model"])
def test_stored_weights_that_cannot_be_used_are_ignored_told_and_learned_again(
    catalogue: MakeCatalogue,
    person: Person,
    database: Database,
    record: Record,
    ledger: Ledger,
    learned: LearnedScores,
    query: Query,
    how: str,
) -> None:
    easy_and_hard(record)
    learned.check()
    with database.write() as session:
        row = session.execute(select(DifficultyRow)).scalar_one()
        if how == "old form":
            row.form = "0:" + row.form.split(":")[1]
        elif how == "cut":
            row.weights = row.weights[:-40]
        elif how == "damaged":
            row.weights = b"\0" * len(row.weights)
        else:
            row.weights, row.sha256 = b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # fmt: skip
        session.add(row)
    started_anew = LearnedScores(database, ledger, learning, query)
    models = cards(catalogue)
    assert asked(NEW_EASY, started_anew, query, models, person)[0] == "strong"
    state = started_anew.state(travel(learning()))
    assert state.version == 0
    assert "weights of version 1 are not used" in state.why_off
    assert ("another version" if how == "old form" else "damaged") in state.why_off
    assert started_anew.check() == ["travel"]
    assert started_anew.state(travel(learning())).version == 2
    assert asked(NEW_EASY, started_anew, query, models, person)[0] == "cheap"


def test_versions_are_made_from_news_only_and_old_ones_go(
    database: Database, record: Record, ledger: Ledger, learned: LearnedScores
) -> None:
    easy_and_hard(record)
    assert learned.check() == ["travel"]
    assert learned.check() == []
    for _ in range(KEPT):
        record(EASY, "cheap", 1)
        assert learned.check() == ["travel"]
    assert learned.state(travel(learning())).version == KEPT + 1
    with database.read() as session:
        assert session.execute(select(func.count()).select_from(DifficultyRow)).scalar() == KEPT
    told = [line for line in ledger.export() if '"difficulty_learned"' in line]
    assert len(told) == KEPT + 1
    assert not any("phone" in line for line in told)


def test_outcomes_that_are_too_old_are_forgotten(
    database: Database, record: Record, ledger: Ledger, query: Query
) -> None:
    easy_and_hard(record)
    later = [now()]
    learned = LearnedScores(database, ledger, learning, query, lambda: later[0])
    learned.check()
    assert learned.state(travel(learning())).version == 1
    later[0] += WINDOW + timedelta(days=1)
    assert learned.check() == []
    assert learned.state(travel(learning())).version == 0
    assert learned.expect(travel(learning()), NEW_EASY, query(NEW_EASY)) is None


def test_what_counts_as_an_outcome(database: Database, record: Record) -> None:
    (up,), (down,) = record(["up"], "m", 1), record(["down"], "m", 0)
    (again,) = record(["again"], "m", None, hidden_at=now())
    record(["again"], "m", None, replaces=again)
    (edited,) = record(["edited"], "m", None, hidden_at=now())
    record(["edited, better"], "m", None, replaces=edited)
    record(["silent"], "m", None)
    record(["failed"], "m", None, status="failed")
    record(["no model may"], "", None, status="failed")
    record(["stopped"], "m", 0, status="stopped")
    record(["other intent"], "m", 1, intent="other")
    (gone,) = record(["gone"], "m", 1)
    with database.write() as session:
        chat = session.get_one(TurnRow, gone).conversation_id
        session.execute(
            update(ConversationRow).where(ConversationRow.id == chat).values(deleted_at=now())  # type: ignore[arg-type]
        )
    found = outcomes(database, "travel", now() - timedelta(hours=1))
    assert {(o.text, o.score) for o in found} == {
        ("up", 1.0),
        ("down", 0.0),
        ("again", 0.0),
        ("failed", 0.0),
    }
    assert {o.answer_tokens for o in found} == {200}
    assert up != down


def test_a_trained_model_is_the_same_after_it_was_stored_with_trees_too(query: Query) -> None:
    texts = (EASY + HARD) * 4
    vectors = np.stack([query(text) for text in EASY + HARD] * 4)
    easy = np.tile(np.repeat([1.0, 0.0], len(EASY)), 4)
    partly = np.where(np.arange(len(texts)) % 3 == 0, np.nan, easy)
    model = train(
        texts, vectors, {"a": easy * 9 + 1, "b": partly * 9 + 1}, Recipe(for_trees=30, forests=1)
    )
    assert len(model.trees) == 2
    before = model.expect(texts, vectors)
    again = unpack(pack(model))
    assert np.array_equal(again.expect(texts, vectors), before)
    assert before.min() >= 1 - 1e-6  # on the scale of what it was trained on
    assert before[easy == 1].mean() > before[easy == 0].mean() + 4
    with pytest.raises(Unusable, match="damaged"):
        unpack(pack(model)[:-1000])


def test_what_is_stored_holds_no_word_of_the_questions(query: Query) -> None:
    texts = [text.replace("Lyon", "Xyzzyville") for text in EASY + HARD]
    vectors = np.stack([query(text) for text in texts])
    model = train(texts, vectors, {"a": np.ones(60), "b": np.zeros(60)})
    with np.load(io.BytesIO(pack(model))) as kept:
        assert all("xyzzy" not in str(kept[name]).lower() for name in kept.files)
        assert {kept[name].dtype.kind for name in kept.files} <= {"f", "i", "u", "U"}


def test_training_needs_two_outcomes_a_model() -> None:
    with pytest.raises(ValueError, match="two scores a model"):
        train(["a", "b"], np.eye(2, dtype=np.float32), {"m": np.asarray([1.0, np.nan])})


def test_it_learns_in_the_background_and_ends_when_asked(
    learned: LearnedScores, record: Record
) -> None:
    easy_and_hard(record)
    before = threading.active_count()
    learned.start(every_s=0.01)
    deadline = time.monotonic() + 60
    while learned.state(travel(learning())).version == 0:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    learned.stop()
    assert threading.active_count() == before


def test_outcomes_and_versions_are_kept_on_postgresql_too(query: Query) -> None:
    with postgres() as url:
        database = Database(url)
        migrate(database)
        with database.write() as session:
            person = PersonRow(email="ada@example.test", name="Ada", role="employee", team="Sales")
            session.add(person)
            session.flush()
            chat = ConversationRow(person_id=person.id)
            session.add(chat)
            session.flush()
            for text in EASY:
                for model, thumb in (("strong", 1), ("cheap", 0)):
                    session.add(
                        TurnRow(
                            conversation_id=chat.id, person_id=person.id, question=text, model=model,
                            intent="travel", status="finished", feedback=thumb,
                        )
                    )  # fmt: skip
        learned = LearnedScores(database, Ledger(database), learning, query)
        assert learned.check() == ["travel"]
        anew = LearnedScores(database, Ledger(database), learning, query)
        expected = anew.expect(travel(learning()), NEW_EASY, query(NEW_EASY))
        assert expected is not None
        assert expected.scores["strong"] > expected.scores["cheap"]
        database.close()
