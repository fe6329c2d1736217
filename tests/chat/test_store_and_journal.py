"""Conversations belong to one person; a turn is written once at each of its moments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import select

from app.chat import Chats, Journal
from app.chat.journal import MAX_QUESTION
from app.db import Database
from app.db.tables import EventRow, TurnRow, UsageFactRow
from app.domain import Exchange, Finished, Person, Question, now
from app.draft import Draft
from app.errors import InputError, NotFound
from app.knowledge.cite import cite
from app.records import Ledger


@pytest.fixture
def chats(database: Database, ledger: Ledger) -> Chats:
    return Chats(database, ledger)


@pytest.fixture
def journal(database: Database, ledger: Ledger) -> Journal:
    return Journal(database, ledger)


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    return make_person("Ada")


@pytest.fixture
def eve(make_person: Callable[..., Person]) -> Person:
    return make_person("Eve")


def begin(
    journal: Journal,
    person: Person,
    text: str,
    conversation: str | None = None,
    *,
    replaces: str | None = None,
    channel: str = "page",
) -> Question:
    return journal.begin(
        person,
        conversation,
        text,
        model_wish=None,
        replaces=replaces,
        channel=channel,
        past=None,
    )


def finish(journal: Journal, question: Question, text: str) -> None:
    draft = Draft(question.turn_id, parts=[text])
    end = Finished(cite(text, ()), draft.receipt())
    journal.end(question, draft, "finished", end.answer.text, end.receipt)


def test_nobody_reaches_into_somebody_elses_conversation(
    chats: Chats, journal: Journal, ada: Person, eve: Person
) -> None:
    question = begin(journal, ada, "What is my salary?")
    reached = [
        lambda: chats.get(eve, question.conversation_id),
        lambda: chats.turns(eve, question.conversation_id),
        lambda: chats.turn(eve, question.turn_id),
        lambda: chats.rename(eve, question.conversation_id, "Mine"),
        lambda: chats.delete(eve, question.conversation_id),
        lambda: chats.feedback(eve, question.turn_id, 1),
        lambda: begin(journal, eve, "Again?", question.conversation_id),
        lambda: begin(journal, eve, "Again?", replaces=question.turn_id),
    ]
    for attempt in reached:
        with pytest.raises(NotFound):
            attempt()
    assert chats.list(eve) == ()
    assert chats.get(ada, question.conversation_id).title == "What is my salary?"


def test_search_looks_into_titles_questions_and_answers_and_takes_wildcards_literally(
    chats: Chats, journal: Journal, ada: Person
) -> None:
    first = begin(journal, ada, "How do I travel to Lyon?")
    finish(journal, first, "Book through the desk; 100% refundable.")
    begin(journal, ada, "Who is on call?")
    found = {
        query: [c.title for c in chats.list(ada, query)]
        for query in ("lyon", "refundable", "100%", "_", "call who", "nothing")
    }
    assert found == {
        "lyon": ["How do I travel to Lyon?"],
        "refundable": ["How do I travel to Lyon?"],
        "100%": ["How do I travel to Lyon?"],
        "_": [],
        "call who": ["Who is on call?"],
        "nothing": [],
    }


def test_a_deleted_conversation_comes_back_within_a_day_and_is_gone_after(
    chats: Chats, journal: Journal, database: Database, ledger: Ledger, ada: Person
) -> None:
    question = begin(journal, ada, "Delete me")
    chats.delete(ada, question.conversation_id)
    assert chats.list(ada) == ()
    chats.restore(ada, question.conversation_id)
    assert len(chats.list(ada)) == 1
    chats.delete(ada, question.conversation_id)
    assert chats.purge() == 0
    later = Chats(database, ledger, clock=lambda: now() + timedelta(days=2))
    assert later.purge() == 1
    with pytest.raises(NotFound):
        chats.get(ada, question.conversation_id)
    assert ledger.verify().broken is None


def test_an_edited_question_hides_what_followed_and_keeps_what_came_before(
    chats: Chats, journal: Journal, ada: Person
) -> None:
    first = begin(journal, ada, "one")
    finish(journal, first, "1")
    second = begin(journal, ada, "two", first.conversation_id)
    finish(journal, second, "2")
    third = begin(journal, ada, "three", first.conversation_id)
    assert third.history == (Exchange("one", "1"), Exchange("two", "2"))
    edited = begin(journal, ada, "two, better", first.conversation_id, replaces=second.turn_id)
    assert edited.history == (Exchange("one", "1"),)
    shown = [turn.question for turn in chats.turns(ada, first.conversation_id)]
    assert shown == ["one", "two, better"]


def test_a_turn_ends_once_even_when_a_stop_races_its_end(
    journal: Journal, database: Database, ada: Person
) -> None:
    question = begin(journal, ada, "Race")
    finish(journal, question, "whole answer")
    draft = Draft(question.turn_id)
    journal.end(question, draft, "stopped", "whole", draft.receipt())
    journal.progress(question.turn_id, "who")
    with database.read() as session:
        turn = session.exec(select(TurnRow)).one()
        ends = session.exec(select(EventRow).where(EventRow.type == "answered")).all()
        facts = session.exec(select(UsageFactRow)).all()
    assert (turn.status, turn.answer, len(ends), len(facts)) == ("finished", "whole answer", 1, 1)


def test_a_turn_whose_process_died_is_interrupted_with_what_had_arrived(
    journal: Journal, chats: Chats, ada: Person
) -> None:
    question = begin(journal, ada, "Crash")
    journal.progress(question.turn_id, "half an ans")
    assert journal.interrupt_running(older_than_s=60) == 0
    assert journal.interrupt_running(older_than_s=0) == 1
    turn = chats.turn(ada, question.turn_id)
    assert (turn.status, turn.answer) == ("interrupted", "half an ans")


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (MAX_QUESTION + 1)])
def test_an_empty_or_oversized_question_leaves_nothing_behind(
    journal: Journal, chats: Chats, database: Database, ada: Person, text: str
) -> None:
    with pytest.raises(InputError):
        begin(journal, ada, text)
    with database.read() as session:
        assert session.exec(select(TurnRow)).all() == []
    assert chats.list(ada) == ()


def test_no_event_holds_the_text_of_a_question_or_an_answer(
    journal: Journal, chats: Chats, database: Database, ada: Person
) -> None:
    question = begin(journal, ada, "Is the zebra project secret?")
    finish(journal, question, "The zebra is striped.")
    chats.feedback(ada, question.turn_id, 0, "zebra is wrong")
    with database.read() as session:
        bodies = "".join(row.body for row in session.exec(select(EventRow)))
    assert "question_asked" in bodies
    assert "zebra" not in bodies.lower()


def test_api_conversations_stay_out_of_the_list(
    journal: Journal, chats: Chats, ada: Person
) -> None:
    begin(journal, ada, "by api", channel="api")
    begin(journal, ada, "by page")
    assert [c.title for c in chats.list(ada)] == ["by page"]
