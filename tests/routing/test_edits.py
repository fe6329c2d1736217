"""What admins change about the intents: the layer over the file, and what cannot stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import InputError
from app.routing import RoutingTable
from app.routing.edits import Edits, IntentEdit, name_of
from app.routing.table import RouteEntry, TieBreak

FILE = RoutingTable.load()
NEW = ("Where is the canteen?", "What is for lunch?", "Is there vegan food?")


def examples(table: RoutingTable, name: str) -> tuple[str, ...]:
    return next(entry.examples for entry in table.entries if entry.name == name)


def test_no_edits_give_the_file() -> None:
    assert Edits().apply(FILE) == FILE


def test_a_new_intent_takes_anothers_route_and_its_own_examples() -> None:
    edits = Edits().add(FILE, "canteen", "Canteen", "general", [*NEW, "", NEW[0] + " "])
    entry, like = edits.apply(FILE).entry("canteen"), FILE.entry("general")
    assert (entry.label, entry.examples) == ("Canteen", NEW)
    assert (entry.models, entry.prompt, entry.search) == (like.models, like.prompt, like.search)
    assert edits.differs(Edits()) == {"canteen": "added with 3 examples"}


def test_examples_are_added_taken_away_and_put_back() -> None:
    own = FILE.entry("it_help").examples
    edits = Edits().change(FILE, "it_help", "Help desk", [*own[1:], "The dock is dead"])
    assert edits.apply(FILE).entry("it_help").examples == (*own[1:], "The dock is dead")
    assert edits.apply(FILE).entry("it_help").label == "Help desk"
    assert edits.differs(Edits()) == {"it_help": "1 examples more, 1 fewer"}
    back = edits.change(FILE, "it_help", FILE.entry("it_help").label, own)
    assert back == Edits()


def test_a_merged_intents_examples_are_learned_by_the_other_along_a_chain() -> None:
    edits = Edits().add(FILE, "canteen", "Canteen", "general", NEW)
    edits = edits.merge(FILE, "canteen", "it_help").merge(FILE, "it_help", "travel_expenses")
    table = edits.apply(FILE)
    assert {"canteen", "it_help"}.isdisjoint(entry.name for entry in table.entries)
    assert set(NEW) | set(FILE.entry("it_help").examples) < set(examples(table, "travel_expenses"))
    assert edits.gone() == {"canteen": "it_help", "it_help": "travel_expenses"}
    restored = edits.restore(FILE, "it_help").apply(FILE)
    assert set(NEW) < set(examples(restored, "it_help"))
    assert edits.own(FILE, "it_help").examples == FILE.entry("it_help").examples
    assert edits.own(FILE, "canteen").examples == NEW


def test_a_retired_intent_is_gone_until_it_is_brought_back() -> None:
    retired = Edits().retire(FILE, "it_help")
    assert "it_help" not in {entry.name for entry in retired.apply(FILE).entries}
    assert retired.apply(FILE).entry("it_help") == FILE.fallback
    assert retired.restore(FILE, "it_help").apply(FILE) == FILE
    assert retired.differs(Edits()) == {"it_help": "retired"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda e: e.add(FILE, "IT", "x", "general", NEW), "cannot name"),
        (lambda e: e.add(FILE, "it_help", "x", "general", NEW), "already"),
        (lambda e: e.add(FILE, "canteen", "x", "nothing", NEW), "take the route"),
        (lambda e: e.add(FILE, "canteen", "x", "general", NEW[:2]), "3 examples"),
        (lambda e: e.add(FILE, "canteen", "x", "general", ["a" * 301, *NEW]), "at most 300"),
        (lambda e: e.change(FILE, "general", "General", []), "3 examples"),
        (
            lambda e: e.add(FILE, "canteen", "x", "general", FILE.fallback.examples),
            "belongs to 'Anything else' already",
        ),
        (lambda e: e.change(FILE, "nothing", "x", NEW), "no intent"),
        (lambda e: e.retire(FILE, "general"), "has to stay"),
        (lambda e: e.merge(FILE, "general", "it_help"), "has to stay"),
        (lambda e: e.merge(FILE, "it_help", "it_help"), "into itself"),
        (
            lambda e: e.merge(FILE, "it_help", "general").merge(FILE, "general", "it_help"),
            "into itself",
        ),
        (lambda e: e.retire(FILE, "it_help").merge(FILE, "travel_expenses", "it_help"), "in use"),
        (
            lambda e: e.merge(FILE, "it_help", "travel_expenses").retire(FILE, "travel_expenses"),
            "Bring that one back",
        ),
    ],
)
def test_what_cannot_stand_is_refused_with_the_way_out(change: object, why: str) -> None:
    with pytest.raises(InputError, match=why):
        change(Edits())  # type: ignore[operator]


def test_edits_that_no_longer_fit_the_file_are_left_out() -> None:
    """A file may change under published edits; a start must not fail for it."""
    edits = Edits(
        intents={
            "left_the_file": IntentEdit(added=("a", "b", "c")),
            "canteen": IntentEdit(label="Canteen", like="left_the_file", added=NEW),
            "it_help": IntentEdit(merged_into="left_the_file"),
        }
    )
    table = edits.apply(FILE)
    assert table.entry("canteen").models == FILE.fallback.models
    assert {"it_help", "left_the_file"}.isdisjoint(entry.name for entry in table.entries)


def test_edits_survive_the_database() -> None:
    edits = Edits().add(FILE, "canteen", "Canteen", "general", NEW).retire(FILE, "it_help")
    assert Edits.model_validate(edits.model_dump(mode="json")) == edits


KNOWN = ("anthropic", "local")


def test_how_two_close_intents_are_told_apart_is_a_layer_over_the_file() -> None:
    asked = Edits().ask_when_close(0.2, ["local"], 3.0, KNOWN)
    assert asked.apply(FILE).tie_break == TieBreak(margin=0.2, models=("local",), deadline_s=3.0)
    assert asked.differs(Edits()) == {"tie-break": "local is asked within 0.2, for 3 s"}
    assert asked.never_ask().apply(FILE).tie_break is None
    assert asked.never_ask().differs(asked) == {"tie-break": "no model is asked"}
    assert asked.ask_as_delivered() == Edits()
    own = replace(FILE, tie_break=TieBreak(margin=0.1))
    assert Edits().apply(own).tie_break == own.tie_break
    assert Edits().never_ask().apply(own).tie_break is None
    assert Edits.model_validate(asked.model_dump(mode="json")) == asked


def test_changing_an_intent_leaves_that_setting_as_it_was() -> None:
    asked = Edits().ask_when_close(0.2, ["local"], 3.0, KNOWN)
    changed = asked.add(FILE, "canteen", "Canteen", "general", NEW).retire(FILE, "it_help")
    assert changed.ties == asked.ties
    assert changed.restore(FILE, "it_help").apply(FILE).tie_break == asked.tie_break(FILE)


@pytest.mark.parametrize(
    ("margin", "models", "deadline_s", "cause"),
    [
        (0.0, ["local"], 2.0, "close within"),
        (1.1, ["local"], 2.0, "close within"),
        (float("nan"), ["local"], 2.0, "close within"),
        (0.1, ["local"], 0.0, "at most 10 seconds"),
        (0.1, ["local"], 11.0, "at most 10 seconds"),
        (0.1, [], 2.0, "no model to ask"),
        (0.1, ["local", "gone"], 2.0, "There is no model gone"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(
    margin: float, models: list[str], deadline_s: float, cause: str
) -> None:
    with pytest.raises(InputError, match=cause) as refused:
        Edits().ask_when_close(margin, models, deadline_s, KNOWN)
    assert refused.value.fix


@pytest.mark.parametrize("label", ["Кантина", "食堂", "X", "Café 2", "42", "Very " * 7 + "long"])
def test_any_label_gives_a_name(label: str) -> None:
    name = name_of(label)
    table = Edits().add(FILE, name, label, "general", NEW).apply(FILE)
    assert table.entry(name).label == label
    assert name_of(f" {label} ") == name
    assert RouteEntry.model_validate(table.entry(name).model_dump()).name == name


def test_labels_that_differ_give_names_that_differ() -> None:
    labels = ["Floor 1", "Floor 2", "Floor", "Кантина", "Столовая", "Кантина 2", "Столовая 2"]
    names = [name_of(label) for label in labels]
    assert len(set(names)) == len(labels)
    assert names[:3] == ["floor_one", "floor_two", "floor"]
    assert name_of("Café") == "cafe"


def test_two_intents_cannot_read_the_same() -> None:
    with pytest.raises(InputError, match="There is an intent 'IT help' already"):
        Edits().add(FILE, "helpers", "it HELP", "general", NEW)
    own = FILE.entry("product_questions").examples
    with pytest.raises(InputError, match="There is an intent 'IT help' already") as refused:
        Edits().change(FILE, "product_questions", "IT help", own)
    assert "different names" in refused.value.fix
    retired = Edits().retire(FILE, "it_help")
    freed = retired.add(FILE, "helpers", "IT help", "general", NEW)
    with pytest.raises(InputError, match="There is an intent 'IT help' already"):
        freed.restore(FILE, "it_help")


def test_an_intent_without_a_label_is_told_so() -> None:
    with pytest.raises(InputError, match="needs a name"):
        Edits().add(FILE, name_of("  "), "  ", "general", NEW)
