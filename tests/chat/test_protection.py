"""A question's own personal data and secrets: what the model sees, what the person reads, and what stays on record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.chat.views import TurnView
from app.domain import DataClass, ModelCall, Role
from app.llm.scripted import ScriptedModel
from app.ui.widgets.receipt_html import Reader, answered_by, why_html
from tests.chat.house import House, card, house

MAIL, CARD, PASSWORD = "anna.li@example.com", "4111 1111 1111 1111", "Wren!42xQ"
LYON = "What is the hotel limit in Lyon?"


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def desk(_house: House) -> Iterator[House]:
    for model in (_house.first, _house.second):
        model.calls.clear()
        _house.services.catalogue.health.succeeded(model.id)
    script = _house.first._answer
    yield _house
    _house.first._answer = script


def says(model: ScriptedModel, *pieces: str) -> None:
    model._answer = lambda _call: pieces


def words(call: ModelCall) -> str:
    return call.question + "".join(message.content for message in call.prompt.messages)


def event(desk: House, turn: TurnView, kind: str) -> dict[str, object]:
    (one,) = [e for e in desk.events(turn.id) if e["type"] == kind]
    return one


def test_the_model_sees_placeholders_and_the_person_reads_the_values(desk: House) -> None:
    says(desk.first, "Dear [EM", "AIL", "_1], the limit for [", "CARD_1] is 180 [1", "].")
    ann = desk.person("ann")
    live = desk.start(ann, f"Write to {MAIL}: {LYON} Card {CARD}")
    assert live.wait_done(90)
    streamed = live.view().text
    assert streamed == f"Dear {MAIL}, the limit for {CARD} is 180 [1]."
    turn = desk.services.chats.turn(ann, live.turn_id)
    assert turn.answer == streamed
    assert turn.receipt is not None
    assert [c.passage.title for c in turn.receipt.citations] == ["Travel policy"]
    (sent,) = desk.first.calls
    assert MAIL not in words(sent)
    assert CARD not in words(sent)
    assert "[EMAIL_1]" in sent.question
    assert "its placeholder exactly" in sent.prompt.messages[0].content


def test_receipt_and_log_say_what_was_done_by_kind_and_never_the_values(desk: House) -> None:
    turn = desk.ask(desk.person("ann"), f"Write to {MAIL} and {MAIL}, card {CARD}: {LYON}")
    assert turn.receipt is not None
    assert turn.receipt.protection is not None
    assert turn.receipt.protection.masked == {"email": 2, "card": 1}
    assert turn.receipt.protection.question_class is DataClass.RESTRICTED
    assert turn.receipt.data_class is DataClass.INTERNAL
    screened = event(desk, turn, "words_screened")
    assert screened["masked"] == {"email": 2, "card": 1}
    log = "".join(desk.services.ledger.export())
    assert MAIL not in log
    assert CARD not in log
    why = why_html(turn.receipt, reader())
    assert "e-mail address (2)" in why
    assert "placeholder" in why


def reader() -> Reader:
    from datetime import UTC

    return Reader("ann@example.test", Role.EMPLOYEE, UTC)


def test_a_cleared_model_gets_the_words_as_they_were_typed(desk: House) -> None:
    own = ScriptedModel("own")
    desk.services.catalogue.add(card("own", DataClass.RESTRICTED), own, "own")
    turn = desk.ask(desk.person("ann"), f"Write to {MAIL}: {LYON}", model_wish="own")
    assert MAIL in own.calls[0].question
    assert turn.receipt is not None
    assert turn.receipt.data_class is DataClass.CONFIDENTIAL
    assert turn.receipt.protection is not None
    assert turn.receipt.protection.masked == {}
    assert turn.receipt.protection.found == {"email": 1}


def test_a_secret_goes_to_no_model_below_its_class(desk: House) -> None:
    turn = desk.ask(desk.person("ann"), f"The password is {PASSWORD}. {LYON}")
    assert desk.first.calls == []
    assert desk.second.calls == []
    assert turn.receipt is not None
    assert (turn.receipt.model, turn.receipt.data_class) == ("reader", DataClass.RESTRICTED)


def test_where_no_model_is_cleared_the_turn_is_refused_in_plain_words(desk: House) -> None:
    """Drafts have no local reader to fall back on."""
    turn = desk.ask(desk.person("ann"), f"Draft an email to the team: the password is {PASSWORD}")
    assert turn.status == "failed"
    assert "Nothing was sent: the password in it counts as restricted" in turn.error
    assert PASSWORD not in turn.error
    assert desk.first.calls == desk.second.calls == []
    assert event(desk, turn, "words_screened")["found"] == {"password": 1}


def test_the_conversation_is_treated_as_the_question_is(desk: House) -> None:
    ann = desk.person("ann")
    says(desk.first, "Noted: [EMAIL_1].")
    first = desk.ask(ann, f"{LYON} {MAIL} asks.")
    assert MAIL in first.answer
    desk.ask(ann, f"The password is {PASSWORD}. {LYON}", chat=first.conversation_id)
    again = desk.ask(ann, f"{LYON} Again, please.", chat=first.conversation_id)
    assert again.receipt is not None
    assert again.receipt.model == "reader", "a cleared model comes before a shorter memory"
    desk.services.catalogue.change(ann, "reader", enabled=False)
    try:
        last = desk.ask(ann, f"{LYON} Once more.", chat=first.conversation_id)
    finally:
        desk.services.catalogue.change(ann, "reader", enabled=True)
    (*_, sent) = desk.first.calls
    assert MAIL not in words(sent)
    assert "Noted: [EMAIL_1]." in words(sent)
    assert PASSWORD not in words(sent)
    assert last.receipt is not None
    assert last.receipt.protection is not None
    assert last.receipt.protection.forgotten == 2


def test_an_answer_from_restricted_passages_is_not_history_for_a_lesser_model(desk: House) -> None:
    hana = desk.person("hana", "hr")
    first = desk.ask(hana, "What is the salary band of a senior engineer in Lyon?")
    assert "61,000" in first.answer
    desk.ask(hana, "Draft an email to the team about lunch", chat=first.conversation_id)
    assert desk.first.calls
    assert all("61,000" not in words(call) for call in desk.first.calls)


def test_passages_that_no_model_is_cleared_for_are_left_out_and_said(desk: House) -> None:
    hana = desk.person("hana", "hr")
    catalogue = desk.services.catalogue
    catalogue.change(hana, "reader", enabled=False)
    try:
        turn = desk.ask(hana, "What is the salary band of a senior engineer in Lyon?")
    finally:
        catalogue.change(hana, "reader", enabled=True)
    assert turn.status == "finished"
    assert turn.receipt is not None
    assert turn.receipt.protection is not None
    assert turn.receipt.protection.dropped == {"restricted": 1}
    assert all("61,000" not in words(call) for call in desk.first.calls)
    assert "1 passage left out: no cleared model" in answered_by(turn.receipt)
    assert "(restricted)" in why_html(turn.receipt, reader())
    assert event(desk, turn, "words_screened")["dropped"] == {"restricted": 1}
