"""One question through every stage: what is used, who answers, what is kept and what is on record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace

import pytest

from app.domain import (
    Found,
    ModelCall,
    ModelChunk,
    Offered,
    Progress,
    Routed,
    TextDelta,
)
from app.errors import ModelRefused, ModelUnavailable
from app.llm.model import Continues
from app.routing import RoutingTable
from app.turn import search_text
from tests.chat.house import House, house

LYON = "What is the hotel limit in Lyon?"


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def desk(_house: House) -> House:
    for model in (_house.first, _house.second):
        model.calls.clear()
        _house.services.catalogue.health.succeeded(model.id)
    return _house


class Waiting:
    """A model that says its first words and then waits until the test lets it end, or the turn is cancelled."""

    id, label, provider = "first", "Waiting", "scripted"
    continues: Continues = ""

    def __init__(self) -> None:
        self.spoke, self.cancelled = threading.Event(), threading.Event()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        del call
        try:
            yield TextDelta("The first words ")
            self.spoke.set()
            await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    async def check(self) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def waiting(desk: House) -> Iterator[Waiting]:
    from app.domain import DataClass
    from tests.chat.house import card

    model = Waiting()
    desk.services.catalogue.add(card("first", DataClass.INTERNAL), model, "openai")
    yield model
    desk.services.catalogue.add(card("first", DataClass.INTERNAL), desk.first, "openai")


def test_a_question_passes_every_stage_in_order_and_leaves_a_whole_receipt(desk: House) -> None:
    ann = desk.person("ann")
    live = desk.start(ann, LYON)
    assert live.wait_done(90)
    kinds = [type(event).__name__ for event in live.events if not isinstance(event, Progress)]
    assert [k for n, k in enumerate(kinds) if k not in kinds[:n]][:3] == [
        Found.__name__,
        Routed.__name__,
        TextDelta.__name__,
    ]
    assert kinds[-1] == "Finished"
    turn = desk.services.chats.turn(ann, live.turn_id)
    receipt = turn.receipt
    assert receipt is not None
    assert (turn.status, receipt.model, receipt.prompt_name) == ("finished", "first", "grounded")
    assert [c.passage.title for c in receipt.citations] == ["Travel policy"]
    assert receipt.citations[0].passage.basis.principal == "everyone"
    assert receipt.cost_usd > 0
    assert {"understand", "search", "choose", "first words", "write"} <= {
        stage.name for stage in receipt.stages
    }


def test_receipts_keep_no_text_of_a_passage(desk: House) -> None:
    turn = desk.ask(desk.person("ann"), LYON)
    assert turn.receipt is not None
    assert turn.receipt.passages
    assert {p.text for p in turn.receipt.passages} == {""}
    assert {c.passage.text for c in turn.receipt.citations} == {""}


def test_what_a_person_may_not_read_reaches_no_prompt(desk: House) -> None:
    desk.ask(desk.person("ann"), "What is the salary band of a senior engineer in Lyon?")
    sent = [message.content for call in desk.first.calls for message in call.prompt.messages]
    assert sent
    assert not any("61,000" in text or "Salary bands" in text for text in sent)


def test_a_restricted_passage_goes_to_a_model_that_is_cleared_and_the_receipt_says_why(
    desk: House,
) -> None:
    hana = desk.person("hana", "hr")
    turn = desk.ask(hana, "What is the salary band of a senior engineer in Lyon?")
    assert desk.first.calls == []
    assert desk.second.calls == []
    assert turn.receipt is not None
    assert turn.receipt.route is not None
    assert turn.receipt.model == "reader"
    assert "61,000" in turn.answer
    left_out = {d.model: d.reason for d in turn.receipt.route.decisions if not d.allowed}
    assert "restricted" in left_out["first"]


def test_the_next_model_answers_when_the_first_fails_before_its_first_word(desk: House) -> None:
    desk.first._faults.append(ModelUnavailable("First is down."))
    turn = desk.ask(desk.person("ann"), LYON)
    assert turn.status == "finished"
    assert turn.receipt is not None
    assert [(a.model, a.allowed) for a in turn.receipt.attempts] == [
        ("first", False),
        ("second", True),
    ]
    called = [e for e in desk.events(turn.id) if e["type"] == "model_called"]
    assert [(e["model"], e["outcome"]) for e in called] == [
        ("first", "First is down."),
        ("second", "answered"),
    ]


def test_a_refusal_is_told_and_not_asked_again_elsewhere(desk: House) -> None:
    desk.first._faults.append(ModelRefused("First declined to answer."))
    turn = desk.ask(desk.person("ann"), LYON)
    assert (turn.status, desk.second.calls) == ("failed", [])
    assert "declined" in turn.error


def breaking_off(*pieces: str) -> Callable[[ModelCall], Iterator[str]]:
    """An answer that ends with its connection."""

    def answer(call: ModelCall) -> Iterator[str]:
        del call
        yield from pieces
        raise ModelUnavailable("First broke off in mid-answer.")

    return answer


@pytest.fixture
def breaks_off(desk: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The first model stops after three words; the second says how the sentence ends."""
    monkeypatch.setattr(desk.first, "_answer", breaking_off("The hotel ", "limit "))
    monkeypatch.setattr(desk.second, "_answer", lambda _: ["limit ", "is 180 euros [1]."])
    return desk


def test_an_answer_that_breaks_off_keeps_its_text_and_offers_a_retry(breaks_off: House) -> None:
    turn = breaks_off.ask(breaks_off.person("ann"), LYON)
    assert (turn.status, turn.answer) == ("failed", "The hotel limit ")
    assert turn.error.startswith("First broke off in mid-answer. Try again")
    assert breaks_off.second.calls == []
    assert turn.receipt is not None
    assert [(p.model, p.characters) for p in turn.receipt.parts] == [("first", 16)]
    assert turn.receipt.usage.estimated
    assert turn.receipt.cost_usd > 0


def test_where_the_intent_allows_it_the_receipt_says_who_wrote_which_part(
    breaks_off: House,
) -> None:
    services = breaks_off.services
    stages = services.stages()
    entries = tuple(
        entry.model_copy(update={"continuation": True}) for entry in services.table.entries
    )
    table = RoutingTable(entries, services.table.threshold)
    allowing = replace(stages, intents=lambda: replace(services.intents.now(), table=table))
    services.turns.attach(breaks_off.loop, allowing)
    try:
        turn = breaks_off.ask(breaks_off.person("ann"), LYON)
    finally:
        services.turns.attach(breaks_off.loop, stages)
    assert (turn.status, turn.answer) == ("finished", "The hotel limit is 180 euros [1].")
    receipt = turn.receipt
    assert receipt is not None
    assert receipt.model == "second"
    assert [(p.model, p.characters) for p in receipt.parts] == [("first", 16), ("second", 17)]
    assert [c.passage.title for c in receipt.citations] == ["Travel policy"]
    called = [e for e in breaks_off.events(turn.id) if e["type"] == "model_called"]
    assert [e["model"] for e in called] == ["first", "second"]
    assert all(e["cost_usd"] > 0 for e in called)
    assert sum(e["cost_usd"] for e in called) == pytest.approx(receipt.cost_usd)


def test_stop_keeps_what_had_arrived_and_cancels_the_model(desk: House, waiting: Waiting) -> None:
    ann = desk.person("ann")
    live = desk.start(ann, LYON)
    assert waiting.spoke.wait(20)
    desk.services.turns.stop(ann, live.turn_id)
    assert live.wait_done(90)
    assert waiting.cancelled.wait(5)
    turn = desk.services.chats.turn(ann, live.turn_id)
    assert (turn.status, turn.answer) == ("stopped", "The first words ")
    assert turn.receipt is not None
    assert turn.receipt.usage.estimated
    assert [e["status"] for e in desk.events(turn.id) if e["type"] == "answered"] == ["stopped"]


def test_stop_in_the_moment_of_asking_is_not_lost(desk: House, waiting: Waiting) -> None:
    del waiting
    ann = desk.person("ann")
    for _ in range(20):
        live = desk.start(ann, LYON)
        desk.services.turns.stop(ann, live.turn_id)
        assert live.wait_done(90)
        assert desk.services.chats.turn(ann, live.turn_id).status == "stopped"


def test_the_route_and_the_search_are_on_record_before_the_first_word_is_shown(
    desk: House, waiting: Waiting
) -> None:
    ann = desk.person("ann")
    live = desk.start(ann, LYON)
    assert waiting.spoke.wait(20)
    kinds = [event["type"] for event in desk.events(live.turn_id)]
    assert kinds == ["question_asked", "route_chosen", "search_done"]
    desk.services.turns.stop(ann, live.turn_id)
    assert live.wait_done(90)


def test_nobody_stops_or_follows_somebody_elses_answer(desk: House, waiting: Waiting) -> None:
    from app.errors import NotFound

    ann, eve = desk.person("ann"), desk.person("eve")
    live = desk.start(ann, LYON)
    assert waiting.spoke.wait(20)
    with pytest.raises(NotFound):
        desk.services.turns.stop(eve, live.turn_id)
    with pytest.raises(NotFound):
        desk.services.turns.live(eve, live.turn_id)
    assert not live.done
    desk.services.turns.stop(ann, live.turn_id)
    assert live.wait_done(90)


def test_a_new_try_cancels_the_running_one_and_takes_its_place(
    desk: House, waiting: Waiting
) -> None:
    ann = desk.person("ann")
    live = desk.start(ann, LYON)
    assert waiting.spoke.wait(20)
    again = desk.start(ann, LYON, chat=live.conversation_id, replaces=live.turn_id)
    assert live.wait_done(90)
    desk.services.turns.stop(ann, again.turn_id)
    assert again.wait_done(90)
    shown = desk.services.chats.turns(ann, live.conversation_id)
    assert [turn.id for turn in shown] == [again.turn_id]


def test_a_model_picked_by_hand_answers_when_allowed(desk: House) -> None:
    turn = desk.ask(desk.person("ann"), LYON, model_wish="second")
    assert turn.receipt is not None
    assert turn.receipt.model == "second"


def test_a_defect_in_a_stage_ends_the_turn_with_a_way_out(
    desk: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> Offered:
        raise ZeroDivisionError

    monkeypatch.setattr("app.turn.offer", broken)
    turn = desk.ask(desk.person("ann"), LYON)
    assert turn.status == "failed"
    assert "Try again" in turn.error
    assert "ZeroDivision" not in turn.error


def test_a_short_follow_up_is_searched_with_the_question_before_it(desk: House) -> None:
    ann = desk.person("ann")
    first = desk.ask(ann, LYON)
    second = desk.ask(ann, "And breakfast?", chat=first.conversation_id)
    assert second.receipt is not None
    assert "Travel policy" in [p.title for p in second.receipt.passages]


def test_only_a_follow_up_borrows_words() -> None:
    from app.domain import Exchange, Person, Question, Role

    person = Person("p", "p@example.test", "P", Role.EMPLOYEE, "Sales", frozenset({"everyone"}))
    long = "What is the notice period of the contract with our landlord?"
    history = (Exchange(LYON, "180"),)
    assert search_text(Question("t", "c", person, long, history)) == long
    assert search_text(Question("t", "c", person, "And in Leeds?")) == "And in Leeds?"
    assert LYON in search_text(Question("t", "c", person, "And in Leeds?", history))


def test_the_data_folder_serves_one_process_at_a_time(desk: House) -> None:
    from app import wiring
    from app.errors import AlreadyRunning

    with pytest.raises(AlreadyRunning, match="in use by another Switchboard"):
        wiring.build(desk.services.settings)


def test_every_chain_of_this_module_holds_together(desk: House) -> None:
    assert desk.services.ledger.verify().broken is None
