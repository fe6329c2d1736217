"""The page on which admins change the intents, and the control with which people say what a question was about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.routing.edits import Edits
from app.routing.live import Trouble
from app.routing.table import TieBreak
from tests.ui.conftest import Desk, OpenPage, html, press

CANTEEN = ("Where is the canteen?", "What is for lunch today?", "Is there vegan food at lunch?")
ASKED = ("Is the canteen open today?", "Is there vegan lunch in the canteen?")


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    """Each test begins and ends with the intents as delivered, and nobody shares."""
    yield
    versions, noor = desk.services.intents.versions, desk.people["Noor"]
    versions.discard(noor)
    if versions.latest().edits != Edits():
        versions.restore(noor, 0)
        versions.publish(noor)
        desk.services.intents.refresh()
    desk.services.intents.corrections.share(desk.people["Ada"], False)


def ask(desk: Desk, question: str) -> tuple[str, str]:
    """The conversation and the turn."""
    live = desk.services.turns.start(desk.people["Ada"], None, question)
    assert live.wait_done(90)
    return live.conversation_id, live.turn_id


def with_canteen(open_page: OpenPage) -> AppTest:
    test = open_page("Noor", "admin_intents")
    next(t for t in test.text_input if t.label == "Name").set_value("Canteen")
    test.text_area[0].set_value("\n".join(CANTEEN))
    return press(test, "Add to the draft")


def test_an_intent_is_drafted_looked_at_published_and_taken_back(
    desk: Desk, open_page: OpenPage
) -> None:
    for question in ASKED:
        ask(desk, question)
    test = with_canteen(open_page)
    assert "added with 3 examples" in html(test)
    assert "canteen" not in {entry.name for entry in desk.services.table.entries}
    page = html(press(test, "What would change"))
    assert "would be for another intent" in page
    assert "Canteen" in page
    assert not any(question in page for question in ASKED)
    desk.services.intents.corrections.share(desk.people["Ada"], True)
    page = html(press(test, "What would change"))
    assert any(question in page for question in ASKED)
    next(t for t in test.text_input if t.label == "Question").set_value("Is there soup at lunch?")
    assert "With the draft" in html(press(test, "Try"))
    test = press(test, "Publish")
    assert f"Version {desk.services.intents.now().version}, learned from" in html(test)
    assert desk.services.table.entry("canteen").label == "Canteen"
    test = press(open_page("Noor", "admin_intents"), "Make the draft as delivered")
    assert "The draft" in html(test)


def test_examples_change_and_an_intent_is_merged_retired_and_brought_back(
    open_page: OpenPage,
) -> None:
    test = open_page("Noor", "admin_intents", id="it_help")
    examples = test.text_area[0].value
    test.text_area[0].set_value(f"{examples}\nThe docking station is dead")
    press(test, "Save in the draft")
    test = open_page("Noor", "admin_intents", id="it_help")
    assert "The docking station is dead" in test.text_area[0].value
    test.text_area[0].set_value("Only one")
    assert "needs 3 examples" in html(press(test, "Save in the draft"))
    test = open_page("Noor", "admin_intents", id="it_help")
    test.selectbox[0].set_value("travel_expenses").run()
    assert "Merged into Travel and expenses" in html(press(test, "Merge"))
    test = press(open_page("Noor", "admin_intents", id="it_help"), "Bring it back")
    assert "Retired" in html(press(test, "Retire"))
    page = html(open_page("Noor", "admin_intents"))
    assert "retired" in page
    assert "There is no intent" in html(open_page("Noor", "admin_intents", id="nowhere"))


def test_what_no_intent_claims_is_labelled_where_it_may_be_read(
    desk: Desk, open_page: OpenPage
) -> None:
    parrots = ("What do parrots eat?", "Which seeds do parrots eat?", "Do parrots eat apples?")
    turns = [ask(desk, question)[1] for question in parrots]
    page = html(press(open_page("Noor", "admin_intents"), "Look through last month's questions"))
    assert "not shown" in page
    assert not any(question in page for question in parrots)
    desk.services.intents.corrections.share(desk.people["Ada"], True)
    test = press(open_page("Noor", "admin_intents"), "Look through last month's questions")
    assert parrots[0] in html(test)
    about = next(s for s in test.selectbox if s.label == "They are about")
    about.set_value("time_off_benefits").run()
    test = press(test, "Label them")
    assert parrots[0] not in html(test)
    said = desk.services.intents.corrections.said(turns)
    assert set(said.values()) == {"time_off_benefits"}
    assert "Time off" in html(test)


def test_the_person_who_asked_says_what_it_was_about_and_who_may_read_it(
    desk: Desk, open_page: OpenPage
) -> None:
    chat, turn = ask(desk, "How do I book a train to Lyon?")
    test = open_page("Ada", "chat", c=chat)
    topic = next(s for s in test.selectbox if s.key == f"topic_{turn}")
    assert "Travel" in topic.label
    topic.set_value("it_help").run()
    corrections = desk.services.intents.corrections
    assert corrections.said([turn]) == {turn: "it_help"}
    assert not corrections.shares(desk.people["Ada"].id)
    next(t for t in test.toggle if t.label == "Let admins read my questions").set_value(True).run()
    assert corrections.shares(desk.people["Ada"].id)
    test = open_page("Ada", "my_usage")
    (shared,) = test.toggle
    assert shared.value is True
    shared.set_value(False).run()
    assert not corrections.shares(desk.people["Ada"].id)


def test_the_list_names_every_intent_and_a_training_that_failed(
    desk: Desk, open_page: OpenPage
) -> None:
    page = html(open_page("Noor", "admin_intents"))
    assert "In use." in page
    for entry in desk.services.table.entries:
        assert entry.label in page
    desk.services.intents.trouble = Trouble(3, "RuntimeError: the model file is gone")
    try:
        page = html(open_page("Noor", "admin_intents"))
    finally:
        desk.services.intents.trouble = None
    assert "Version 3 could not be learned." in page
    assert "the model file is gone." in page


def test_whether_a_model_is_asked_where_two_intents_are_close_is_shown(
    desk: Desk, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def captions(test: AppTest) -> str:
        return " ".join(caption.value for caption in test.caption)

    test = open_page("Noor", "admin_intents")
    assert "no model is asked" in captions(test)
    assert "a model would be asked" not in tried(test)
    intents = desk.services.intents
    table = replace(intents.now().table, tie_break=TieBreak(margin=1.0, models=("scripted",)))
    monkeypatch.setattr(intents, "_in_force", replace(intents.now(), table=table))
    test = open_page("Noor", "admin_intents")
    assert "lie within 1 of each other" in captions(test)
    assert "that may be of Scripted model (local, for tests). It has 2 seconds" in captions(test)
    assert "The next is close: a model would be asked" in tried(test)


def test_an_admin_has_a_model_asked_and_turns_it_off_again(desk: Desk, open_page: OpenPage) -> None:
    ask(desk, ASKED[0])
    test = open_page("Noor", "admin_intents")
    (toggle,) = test.toggle
    assert not toggle.value
    toggle.set_value(True)
    next(n for n in test.number_input if n.label == "Close within").set_value(1.0)
    next(m for m in test.multiselect if m.label == "Models").set_value([])
    test = saved(test)
    assert "There is no model to ask." in html(test)
    assert desk.services.intents.versions.draft() is None
    next(m for m in test.multiselect if m.label == "Models").set_value(["scripted"])
    test = saved(test)
    assert "scripted is asked within 1, for 2 s" in html(test)
    assert "Two intents that are close" in html(test)
    assert desk.services.table.tie_break is None
    effect = html(press(test, "What would change"))
    assert re.search(r"of two intents it is for <b>[1-9]\d* questions?</b>; now for 0\.", effect)
    press(test, "Publish")
    assert desk.services.table.tie_break == TieBreak(margin=1.0, models=("scripted",))
    test = open_page("Noor", "admin_intents")
    assert test.toggle[0].value
    test.toggle[0].set_value(False)
    assert "no model is asked" in html(saved(test))
    assert "as delivered" not in html(test)
    press(test, "As delivered")
    assert desk.services.intents.versions.draft().edits == Edits()  # type: ignore[union-attr]


def saved(test: AppTest) -> AppTest:
    """The first of that name on the page: the one of two close intents."""
    return press(test, "Save in the draft")


def tried(test: AppTest) -> str:
    next(t for t in test.text_input if t.label == "Question").set_value("How do I book a train?")
    return html(press(test, "Try"))
