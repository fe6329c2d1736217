"""Choosing a model: the table's order, filtered, with a reason for every model that is left out."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from app.domain import DataClass, Person
from app.errors import ModelCredential, ModelUnavailable, NoModel
from app.routing import RoutingTable, choose
from app.routing.cards import READER, SMOLLM2
from tests.conftest import MakePerson
from tests.routing.conftest import MakeCatalogue, Rules, card, intent, table

INTERNAL, CONFIDENTIAL = DataClass.INTERNAL, DataClass.CONFIDENTIAL


@pytest.fixture
def person(make_person: MakePerson) -> Person:
    return make_person("Ada")


def test_the_first_of_the_list_answers_and_the_others_stand_by(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("one"), card("two"))
    route = choose(table(("one", "two")), intent(), person, INTERNAL, None, models, Rules(), True)
    assert (route.model, route.fallbacks) == ("one", ("two",))
    assert route.reason.startswith("First choice for “Travel”")
    assert [d.model for d in route.decisions] == ["one", "two"]
    assert (route.prompt, route.actions, route.search) == ("grounded", ("open_ticket",), True)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("switched off", "switched it off"),
        ("clearance", "cleared for internal data only, and this is confidential"),
        ("policy", "only Engineering may use it"),
        ("ungrounded", "cannot be trusted"),
        ("short", "longer than the 500 tokens"),
        ("unhealthy", "failed a moment ago"),
        ("unknown", "not configured"),
        ("no key", "OPENAI_API_KEY is not set"),
    ],
)
def test_every_model_left_out_has_a_reason(
    catalogue: MakeCatalogue, person: Person, why: str, reason: str
) -> None:
    odd = {
        "switched off": card("one", CONFIDENTIAL, enabled=False),
        "clearance": card("one", INTERNAL),
        "ungrounded": card("one", CONFIDENTIAL, grounded=False),
        "short": card("one", CONFIDENTIAL, context_tokens=500),
    }.get(why, card("one", CONFIDENTIAL))
    models = catalogue(odd, card("two", CONFIDENTIAL))
    if why == "unhealthy":
        models.health.failed("one", ModelCredential("Refused."))
    first = {"unknown": "nowhere", "no key": "openai"}.get(why, "one")
    rules = Rules({"one"} if why == "policy" else ())
    route = choose(table((first, "two")), intent(), person, CONFIDENTIAL, None, models, rules, True)
    assert route.model == "two"
    left_out = route.decisions[0]
    assert not left_out.allowed
    assert reason in left_out.reason
    assert route.reason.startswith("First model that may and can answer")


def test_a_model_picked_by_hand_goes_first(catalogue: MakeCatalogue, person: Person) -> None:
    models = catalogue(card("one"), card("two"), card("three"))
    rules = Rules()
    route = choose(table(("one", "two")), intent(), person, INTERNAL, "three", models, rules, True)
    assert (route.model, route.fallbacks) == ("three", ("one", "two"))
    assert route.reason == "You picked Three."
    again = choose(table(("one", "two")), intent(), person, INTERNAL, "two", models, rules, True)
    assert (again.model, again.fallbacks) == ("two", ("one",))


@pytest.mark.parametrize("wish", ["auto", "", None])
def test_auto_is_no_pick(catalogue: MakeCatalogue, person: Person, wish: str | None) -> None:
    models = catalogue(card("one"))
    assert (
        choose(table(("one",)), intent(), person, INTERNAL, wish, models, Rules(), True).model
        == "one"
    )


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("low", "you picked it, but it is cleared for public data only"),
        ("theirs", "you picked it, but only Engineering may use it"),
        ("nonsense", "there is no such model"),
        (SMOLLM2, "you picked it, but it cannot be trusted"),
    ],
)
def test_a_pick_that_is_not_allowed_is_not_honoured_and_says_why(
    catalogue: MakeCatalogue, person: Person, wish: str, reason: str
) -> None:
    models = catalogue(card("one"), card("low", DataClass.PUBLIC), card("theirs"))
    route = choose(
        table(("one",)), intent(), person, INTERNAL, wish, models, Rules({"theirs"}), True
    )
    assert route.model == "one"
    assert reason in route.decisions[0].reason
    assert "Not " in route.reason


def test_when_nothing_may_answer_the_error_tells_every_reason(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("one"), card("two"))
    with pytest.raises(NoModel, match="cleared for internal") as caught:
        choose(
            table(("openai", "one", "two")),
            intent(),
            person,
            CONFIDENTIAL,
            None,
            models,
            Rules(),
            True,
        )
    assert set(caught.value.reasons) == {"openai", "one", "two"}


def test_the_small_local_model_never_answers_from_documents(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue()
    with pytest.raises(NoModel, match="cannot be trusted"):
        choose(table((SMOLLM2,)), intent(), person, INTERNAL, SMOLLM2, models, Rules(), True)
    route = choose(
        table((READER, SMOLLM2), search=False),
        intent(),
        person,
        INTERNAL,
        None,
        models,
        Rules(),
        False,
    )
    assert route.model == SMOLLM2
    assert "only quotes documents" in route.decisions[0].reason


def test_without_any_key_every_intent_of_the_shipped_table_has_a_model(
    catalogue: MakeCatalogue, person: Person
) -> None:
    shipped, models = RoutingTable.load(), catalogue()
    chosen = {
        entry.name: choose(
            shipped,
            intent(entry.name),
            person,
            DataClass.RESTRICTED,
            None,
            models,
            Rules(),
            entry.search,
        ).model
        for entry in shipped.entries
    }
    assert set(chosen.values()) == {READER, SMOLLM2}
    assert {name for name, model in chosen.items() if model == SMOLLM2} == {
        "drafting",
        "small_talk",
    }


def test_a_retired_intent_is_answered_as_the_fallback(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("one"))
    route = choose(table(("one",)), intent("gone"), person, INTERNAL, None, models, Rules(), True)
    assert route.intent == "other"


def test_an_outage_is_noticed_once_and_then_costs_nothing(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models, both = catalogue(card("one"), card("two")), table(("one", "two"))
    for _ in range(3):
        assert choose(both, intent(), person, INTERNAL, None, models, Rules(), True).model == "one"
        models.health.failed("one", ModelUnavailable("Down."))
    assert choose(both, intent(), person, INTERNAL, None, models, Rules(), True).model == "two"


CLASSES = st.sampled_from(list(DataClass))


@with_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    clearances=st.lists(CLASSES, min_size=1, max_size=5),
    data_class=CLASSES,
    order=st.permutations(range(5)),
    wish=st.sampled_from([None, "auto", "m0", "m1", "m2", "m3", "m4", READER, SMOLLM2, "none"]),
    forbidden=st.sets(st.sampled_from(["m0", "m1", "m2", READER])),
    needs_passages=st.booleans(),
)
def test_no_question_ever_goes_below_its_data_class_or_past_a_policy(
    catalogue: MakeCatalogue,
    person: Person,
    clearances: list[DataClass],
    data_class: DataClass,
    order: list[int],
    wish: str | None,
    forbidden: set[str],
    needs_passages: bool,
) -> None:
    cards = [card(f"m{i}", clearance) for i, clearance in enumerate(clearances)]
    models = catalogue(*cards)
    names = (*(f"m{i}" for i in order), READER, SMOLLM2)
    rules = Rules(forbidden)
    try:
        route = choose(
            table(names), intent(), person, data_class, wish, models, rules, needs_passages
        )
    except NoModel:
        return
    for model_id in (route.model, *route.fallbacks):
        assert models.card(model_id).clearance >= data_class
        assert model_id not in forbidden
        assert models.card(model_id).grounded or not needs_passages
    told = {decision.model for decision in route.decisions}
    assert told >= set(names)
    assert all(decision.reason for decision in route.decisions)
