from __future__ import annotations

from collections.abc import Callable

import pytest

from app.demo.people import load_people
from app.demo.questions import DemoQuestion, load_questions
from app.demo.seed import COMPANY_FOLDER
from tests.demo.papers import Paper, text_of

QUESTIONS = load_questions()
MayRead = Callable[[str, Paper], bool]


def test_all_kinds_of_people_ask_and_some_are_denied() -> None:
    asked = {question.asker for question in QUESTIONS}
    assert len(QUESTIONS) >= 25
    assert {person.role for person in load_people() if person.email in asked} == {
        person.role for person in load_people()
    }
    assert {person.team for person in load_people() if person.email in asked} == {
        person.team for person in load_people()
    }
    assert sum(bool(question.denied) for question in QUESTIONS) >= 15


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_the_document_holds_the_phrase_and_only_its_readers_may_ask(
    question: DemoQuestion, papers: dict[str, Paper], may_read: MayRead
) -> None:
    text = " ".join(text_of(COMPANY_FOLDER / question.source).split())
    assert " ".join(question.phrase.split()) in text
    paper = papers[question.source]
    assert may_read(question.asker, paper)
    assert not [email for email in question.denied if may_read(email, paper)]
