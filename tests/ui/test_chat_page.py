"""Chat as a person uses it: ask, read, verify, correct, take the next step; and nobody else's conversation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col
from streamlit.testing.v1 import AppTest

from app.chat import TurnView
from app.db.tables import TurnRow
from app.domain import DataClass, ModelDecision, Person, Receipt, Route, Usage
from app.knowledge.sync import first_syncs
from app.routing.added import NewModel
from app.ui.widgets.picked import instead_of
from tests.ui.conftest import Desk, OpenPage, form_of, html

TRIP = "How do I book a trip to Lyon?"


def ask(test: AppTest, question: str = TRIP) -> AppTest:
    return test.chat_input(key="question").set_value(question).run()


def button(test: AppTest, label: str) -> AppTest:
    return next(b for b in test.button if b.label == label).click().run()


def conversation_of(test: AppTest) -> str:
    named = test.query_params["c"]
    return named if isinstance(named, str) else named[0]


def last_turn(desk: Desk, person: Person, test: AppTest) -> TurnView:
    return desk.services.chats.turns(person, conversation_of(test))[-1]


def test_an_empty_chat_greets_and_suggests(open_page: OpenPage) -> None:
    test = open_page("Ada", "chat")
    assert "What do you need, Ada?" in html(test)
    assert len([b for b in test.button if b.key and b.key.startswith("suggestion_")]) == 4
    assert not test.exception


def test_a_suggestion_is_asked_with_one_click(open_page: OpenPage) -> None:
    test = open_page("Ada", "chat")
    suggestion = test.button(key="suggestion_0")
    assert suggestion.click().run().query_params["c"]
    assert suggestion.label.replace("'", "&#x27;") in html(test)


def test_an_answer_comes_with_sources_and_its_receipt(desk: Desk, open_page: OpenPage) -> None:
    test = ask(open_page("Ada", "chat"))
    page = html(test)
    assert not test.exception
    assert TRIP in page
    assert 'class="sb-cite"' in page
    assert "answered by Scripted model from 1 source" in page
    assert "Travel policy" in page
    assert "everyone · synced" in page
    assert "Why this answer" in page
    assert "you may read it as: everyone" in page
    assert "Withheld" not in page
    turn = last_turn(desk, desk.people["Ada"], test)
    assert turn.status == "finished"
    assert turn.receipt is not None
    assert turn.id in page


def test_who_asks_while_a_source_is_read_for_the_first_time_is_told(
    desk: Desk, open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_syncs, "LOOKED_EVERY_S", 0.0)
    says = "Not all sources yet."
    assert says not in html(ask(open_page("Ada", "chat")))
    path = {"path": str(tmp_path)}
    slow = desk.services.sync.add(desk.people["Noor"], "folder", "Only for admins to know", path)
    try:
        test = ask(open_page("Ada", "chat"))
        chat = conversation_of(test)
        assert says in html(test)
        assert "Only for admins" not in html(test)
    finally:
        desk.services.sync.remove(desk.people["Noor"], slow)
    assert says in html(open_page("Ada", "chat", c=chat))
    assert says not in html(ask(open_page("Ada", "chat")))


def test_only_admins_are_told_how_much_was_withheld(open_page: OpenPage) -> None:
    assert "only admins see this" in html(ask(open_page("Noor", "chat")))


def test_what_somebody_may_not_read_is_nowhere_on_their_page(open_page: OpenPage) -> None:
    question = "Who does Zirkon escalate to?"
    assert "Escalation list" in html(ask(open_page("Ada", "chat"), question))
    page = html(ask(open_page("Ben", "chat"), question))
    assert "Escalation" not in page
    assert "Okafor" not in page


def test_a_deep_link_opens_ones_own_conversation_only(open_page: OpenPage) -> None:
    chat = conversation_of(ask(open_page("Ada", "chat")))
    assert TRIP in html(open_page("Ada", "chat", c=chat))
    for who, conversation in (("Ben", chat), ("Noor", chat), ("Ben", "chat_nowhere")):
        page = html(open_page(who, "chat", c=conversation))
        assert "No such chat" in page
        assert TRIP not in page


def test_hostile_words_of_a_model_are_only_words(desk: Desk, open_page: OpenPage) -> None:
    desk.pieces[:] = ["<script>alert(1)</script> ", "![x](https://evil.example/p.png)"]
    page = html(ask(open_page("Ada", "chat")))
    assert "<script" not in page
    assert "<img" not in page
    assert "(evil.example)" in page


def test_regenerate_takes_the_place_of_the_answer(desk: Desk, open_page: OpenPage) -> None:
    test = ask(open_page("Ada", "chat"))
    first = last_turn(desk, desk.people["Ada"], test)
    button(test, "Regenerate")
    turns = desk.services.chats.turns(desk.people["Ada"], first.conversation_id)
    assert len(turns) == 1
    assert turns[0].id != first.id


def test_an_edited_question_is_asked_instead(desk: Desk, open_page: OpenPage) -> None:
    test = button(ask(open_page("Ada", "chat")), "Edit question")
    turn = last_turn(desk, desk.people["Ada"], test)
    test.text_area(key=f"edited_{turn.id}").set_value("And by bus?")
    button(test, "Send again")
    turns = desk.services.chats.turns(desk.people["Ada"], turn.conversation_id)
    assert [t.question for t in turns] == ["And by bus?"]
    assert "And by bus?" in html(test)


def test_a_verdict_and_a_comment_are_kept(desk: Desk, open_page: OpenPage) -> None:
    test = ask(open_page("Ada", "chat"))
    turn = last_turn(desk, desk.people["Ada"], test)
    test.feedback(key=f"verdict_{turn.id}").set_value(0).run()
    test.text_input(key=f"comment_{turn.id}").set_value("Too short").run()
    kept = desk.services.chats.turn(desk.people["Ada"], turn.id)
    assert (kept.feedback, kept.feedback_comment) == (0, "Too short")


def endless() -> Iterator[str]:
    """A model that goes on until it is stopped, at a reader's pace rather than the machine's."""
    while True:
        time.sleep(0.005)
        yield "word "


def test_stop_is_on_the_page_and_stops(
    desk: Desk, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that asked is busy following, so another tab stops it."""
    person = desk.people["Ada"]
    monkeypatch.setattr(desk, "pieces", endless())
    live = desk.services.turns.start(person, None, TRIP)
    deadline = time.monotonic() + 90
    while not live.view().text:
        assert time.monotonic() < deadline
        live.wait(len(live.events), 0.1)
    test = AppTest.from_function(_stop_only, default_timeout=90)
    test.session_state["who"] = person
    test.query_params["c"] = live.conversation_id
    test.run()
    test.button(key="stop").click().run()
    assert live.wait_done(90)
    page = html(open_page("Ada", "chat", c=live.conversation_id))
    assert "You stopped this answer" in page
    assert desk.services.chats.turn(person, live.turn_id).status == "stopped"


def _stop_only() -> None:
    import streamlit as st

    from app import wiring
    from app.ui.widgets import ask_row

    ask_row.stop_button(wiring.current(), st.session_state["who"])


def test_an_interrupted_answer_offers_a_retry(desk: Desk, open_page: OpenPage) -> None:
    person = desk.people["Ada"]
    live = desk.services.turns.start(person, None, TRIP)
    assert live.wait_done(90)
    with desk.services.database.write() as session:
        session.execute(
            update(TurnRow).where(col(TurnRow.id) == live.turn_id).values(status="interrupted")
        )
    test = open_page("Ada", "chat", c=live.conversation_id)
    assert "Interrupted." in html(test)
    button(test, "Retry")
    assert last_turn(desk, person, test).status == "finished"


def test_an_action_is_shown_exactly_before_it_is_sent_and_its_outcome_comes_back(
    desk: Desk, open_page: OpenPage
) -> None:
    chat = ask(open_page("Ada", "chat"), "My laptop does not start")
    turn = last_turn(desk, desk.people["Ada"], chat)
    (offer,) = [offer for offer in turn.offers if offer.action == "open_ticket"]
    assert "Open a ticket" in [b.label for b in chat.button]
    test = form_of(desk.people["Ada"], offer, turn.id, turn.conversation_id)
    assert "from your question" in html(test)
    assert "Runs at once." in [caption.value for caption in test.caption]
    test.text_input(key=f"{offer.id}_title").set_value("").run()
    test.button(key=f"send_{offer.id}").click().run()
    assert "Say in a few words what it is about." in html(test)
    test.text_input(key=f"{offer.id}_title").set_value("Laptop is dead").run()
    assert '"title": "Laptop is dead"' in test.code[0].value
    for _ in range(2):
        test.button(key=f"send_{offer.id}").click().run()
    (row,) = desk.services.actions.of_conversation(turn.conversation_id)
    assert row.payload["title"] == "Laptop is dead"
    page = open_page("Ada", "chat", c=turn.conversation_id)
    assert "Open a ticket: " in html(page)
    assert "Open a ticket" not in [b.label for b in page.button]


def test_an_admin_makes_an_own_answer_golden_and_nobody_else_is_offered_it(
    desk: Desk, open_page: OpenPage
) -> None:
    assert "Make it golden" not in [b.label for b in ask(open_page("Ben", "chat")).button]
    test = ask(open_page("Noor", "chat"))
    turn = last_turn(desk, desk.people["Noor"], test)
    assert turn.receipt is not None
    assert turn.receipt.intent is not None
    button(test, "Make it golden")
    golden = desk.services.rehearsals.golden
    (row,) = golden.of(turn.receipt.intent.name)
    assert (row.question, row.origin) == (turn.question, "answer")
    assert "already" in html(button(test, "Make it golden"))
    golden.remove(desk.people["Noor"], row.id)


def test_a_model_that_was_picked_and_may_not_answer_is_told_above_the_answer(
    desk: Desk, open_page: OpenPage
) -> None:
    catalogue, noor = desk.services.catalogue, desk.people["Noor"]
    id = catalogue.add_model(noor, NewModel("openai", "c", "Costly", free=True))
    try:
        test = open_page("Ada", "chat")
        test.selectbox(key="model").set_value(id)
        catalogue.change(noor, id, enabled=False)
        page = html(ask(test))
        says = "you chose Costly, but an admin switched it off; answered by Scripted model"
        assert says in page
        chat = conversation_of(test)
        assert says in html(open_page("Ada", "chat", c=chat))
    finally:
        catalogue.remove_model(noor, id)
    assert "you chose" not in html(ask(open_page("Ada", "chat")))


def test_a_model_that_was_picked_and_did_not_answer_is_told_without_its_address() -> None:
    def receipt(reason: str, allowed: bool, *attempts: ModelDecision) -> Receipt:
        picked = ModelDecision("costly", "Costly (EU)", allowed, reason)
        route = Route(
            intent="", model="other", fallbacks=(), prompt="", reason="", decisions=(picked,),
            data_class=DataClass.PUBLIC, search=False,
        )  # fmt: skip
        return Receipt(
            id="", intent=None, route=route, model="other", attempts=attempts, prompt_name="",
            prompt_version="", prompt_sha="", citations=(), passages=(), withheld=0,
            data_class=DataClass.PUBLIC, usage=Usage(), cost_usd=0.0, stages=(),
        )  # fmt: skip

    away = ModelDecision("costly", "Costly", False, "Nobody listens at 127.0.0.1:9.")
    late = ModelDecision("costly", "Costly", True, "Other spoke sooner.")
    kept = "you picked it, but Only people it is kept for may use it."
    for made, said in (
        (receipt("you picked it", True, away), "you chose Costly (EU), but it did not answer"),
        (receipt("you picked it", True), "you chose Costly (EU), but it did not answer"),
        (
            receipt("you picked it", True, late),
            "you chose Costly (EU), but another one spoke sooner",
        ),
        (receipt(kept, False), "you chose Costly (EU): Only people it is kept for may use it"),
    ):
        assert instead_of(made, "costly") == said
        assert instead_of(made, "other") == instead_of(made, None) == instead_of(made, "auto") == ""
