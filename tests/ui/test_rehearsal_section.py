"""Golden sets and rehearsals on the Routes page."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import delete
from sqlmodel import col
from streamlit.testing.v1 import AppTest

from app.db.tables import ConversationRow, GoldenQuestionRow, RehearsalRow
from app.domain import Person
from app.rehearsal import Golden
from app.routing.swaps import Draft
from tests.ui.conftest import Desk, OpenPage, html
from tests.ui.test_routes_page import TRAVEL, press

QUESTION = "How do I book a trip?"
DRAFT = Draft(("reader",), "grounded")


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    versions, noor = desk.services.versions, desk.people["Noor"]
    if (row := versions.open_version(TRAVEL)) is not None:
        versions.discard(noor, row.id)
    with desk.services.database.write() as session:
        session.execute(delete(RehearsalRow))
        session.execute(delete(GoldenQuestionRow))


@pytest.fixture
def noor(desk: Desk) -> Person:
    return desk.people["Noor"]


def over(desk: Desk) -> RehearsalRow:
    until = time.monotonic() + 90
    while (row := desk.services.rehearsals.runs.of(TRAVEL)[0]).status == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    return row


def area(test: AppTest, label: str) -> object:
    return next(box for box in test.text_area if box.label.startswith(label))


def test_a_question_is_added_changed_and_removed_by_hand(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert "Nothing to rehearse with yet" in html(test)
    area(test, "What is asked").set_value(QUESTION)  # type: ignore[attr-defined]
    area(test, "Rests on").set_value("travel policy")  # type: ignore[attr-defined]
    area(test, "Must say").set_value("travel desk\nseven days")  # type: ignore[attr-defined]
    test = press(test, "Save the question")
    (row,) = desk.services.rehearsals.golden.of(TRAVEL)
    assert row.sources[0].startswith("doc_")
    assert row.must_say == ["travel desk", "seven days"]
    page = html(test)
    for words in (QUESTION, "Travel policy", "travel desk<br>seven days"):
        assert words in page
    box = next(box for box in test.selectbox if box.label == "Question")
    test = box.set_value(row.id).run()
    area(test, "Must not say").set_value("hotel")  # type: ignore[attr-defined]
    test = press(test, "Save the question")
    (changed,) = desk.services.rehearsals.golden.of(TRAVEL)
    assert (changed.must_not_say, changed.sources) == (["hotel"], row.sources)
    box = next(box for box in test.selectbox if box.label == "Question")
    press(box.set_value(row.id).run(), "Remove it")
    assert desk.services.rehearsals.golden.of(TRAVEL) == []


def test_two_questions_that_begin_the_same_are_told_apart(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    """A person's choice comes back from the browser as the words of its option."""
    begin, golden = "Where is the form " + "for a trip " * 12, desk.services.rehearsals.golden
    for end in ("to Lyon?", "to Paris?"):
        golden.add(noor, TRAVEL, Golden(begin + end))
    second = golden.of(TRAVEL)[1]
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    box = next(box for box in test.selectbox if box.label == "Question")
    assert len(set(box.options)) == 3
    box.set_value(second.id).run()
    assert area(test, "What is asked").value == second.question  # type: ignore[attr-defined]


def test_an_own_answer_is_taken_with_one_click_and_others_are_not_offered(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    asked = [
        desk.services.turns.start(who, None, words)
        for who, words in (
            (noor, "How do I book a train to Lyon?"),
            (desk.people["Ada"], "And how do I, Ada, book a train to Lyon?"),
        )
    ]
    assert all(live.wait_done(90) for live in asked)
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert "And how do I, Ada" not in "".join(element.value for element in test.markdown)
    mine, hers = (f"take_{live.turn_id}" for live in asked)
    assert hers not in [b.key for b in test.button]
    test.button(key=mine).click().run()
    (row,) = desk.services.rehearsals.golden.of(TRAVEL)
    assert (row.question, row.origin) == ("How do I book a train to Lyon?", "answer")
    with desk.services.database.write() as session:  # the next test counts last week's questions
        mine = col(ConversationRow.id).in_([live.conversation_id for live in asked])
        session.execute(delete(ConversationRow).where(mine))


def test_a_draft_is_rehearsed_after_its_cost_was_shown(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    desk.services.versions.draft(noor, TRAVEL, DRAFT)
    assert "No golden question yet" in html(open_page("Noor", "admin_routes", id=TRAVEL))
    golden = Golden(QUESTION, ("Travel policy",), ("travel desk",))
    desk.services.rehearsals.golden.add(noor, TRAVEL, golden)
    test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Rehearse…")
    assert "1 question, 2 calls, at most" in html(test)
    assert desk.services.rehearsals.runs.of(TRAVEL) == []
    press(test, "Start the rehearsal")
    assert over(desk).status == "finished"
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    page = html(test)
    for words in (
        "1 better",
        "sign test",
        "Published route",
        "Draft",
        "Scripted model",
        "Reader",
        "does not say",
        "Grounded, mean",
    ):
        assert words in page
    assert "<b>How do I book a trip?</b>" in page

    second = Golden("How do I book a hotel?")
    desk.services.rehearsals.golden.add(noor, TRAVEL, second)
    before = over(desk).id
    test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Ask the 1 question left…")
    assert "1 question, 2 calls, at most" in html(test)
    assert over(desk).id == before
    press(test, "Go on")
    row = over(desk)
    assert (row.status, row.questions, row.done) == ("finished", 2, 2)
    page = html(open_page("Noor", "admin_routes", id=TRAVEL))
    assert "2 of 2 done" in page
    assert "<b>How do I book a hotel?</b>" in page


def test_the_page_says_before_that_it_may_not_fit_and_after_why_it_stopped(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    book = desk.services.budgets.book
    budget = book.allot(noor, "person", noor.id, "month", 0.00001)
    try:
        desk.services.versions.draft(noor, TRAVEL, DRAFT)
        for number in range(4):
            desk.services.rehearsals.golden.add(noor, TRAVEL, Golden(f"{QUESTION} {number}"))
        test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Rehearse…")
        page = html(test)
        assert "It may not fit." in page
        assert "Your budget for this month has no room for that much: $0.00001 of" in page
        press(test, "Start the rehearsal")
        row = over(desk)
        assert (row.status, row.done) == ("stopped", 0)
        page = html(open_page("Noor", "admin_routes", id=TRAVEL))
        assert "stopped at a budget" in page
        assert "Your budget for this month has no room for another answer: $0.00001 of" in page
        test = open_page("Noor", "admin_routes", id=TRAVEL)
        assert "Ask the 4 questions left…" in [button.label for button in test.button]
        with desk.services.database.write() as session:
            theirs = session.get(RehearsalRow, row.id)
            assert theirs is not None
            theirs.person_id = desk.people["Tom"].id
            session.add(theirs)
        page = html(open_page("Noor", "admin_routes", id=TRAVEL))
        assert "It stopped: a budget had no room." in page
        assert "Your budget" not in page
        assert "$0.00001 " not in page
        test = open_page("Noor", "admin_routes", id=TRAVEL)
        assert not [button for button in test.button if "left" in button.label]
    finally:
        book.remove(noor, budget.id)


def test_of_a_model_that_is_declared_free_no_price_is_missed(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    change = desk.services.catalogue.change
    desk.services.versions.draft(noor, TRAVEL, DRAFT)
    desk.services.rehearsals.golden.add(noor, TRAVEL, Golden(QUESTION))
    missed = "is not set and counts as nothing"
    try:
        change(noor, "scripted", price_in=0.0, price_out=0.0)
        test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Rehearse…")
        assert missed in html(test)
        change(noor, "scripted", free=True)
        test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Rehearse…")
        assert missed not in html(test)
    finally:
        change(noor, "scripted", price_in=1.0, price_out=2.0, free=False)


def test_another_admin_sees_the_verdicts_and_not_the_answers(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    desk.services.rehearsals.golden.add(noor, TRAVEL, Golden(QUESTION))
    version = desk.services.versions.draft(noor, TRAVEL, DRAFT)
    desk.services.rehearsals.start(noor, version.id)
    row = over(desk)
    with desk.services.database.write() as session:
        theirs = session.get(RehearsalRow, row.id)
        assert theirs is not None
        theirs.person_id = desk.people["Tom"].id
        session.add(theirs)
    page = html(open_page("Noor", "admin_routes", id=TRAVEL))
    assert "The answers are not shown" in page
    assert "sb-pair" not in page
    assert "1 of 1 done" in page


def test_what_a_model_wrote_is_shown_as_words(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    desk.pieces[:] = ["<script>alert(1)</script> ", '<img src="http://evil.test/x.png">']
    desk.services.rehearsals.golden.add(
        noor, TRAVEL, Golden("<b>How</b> do I book a trip?", must_say=("<i>x</i>",))
    )
    version = desk.services.versions.draft(noor, TRAVEL, DRAFT)
    desk.services.rehearsals.start(noor, version.id)
    over(desk)
    page = html(open_page("Noor", "admin_routes", id=TRAVEL))
    assert "<script>" not in page
    assert "<img" not in page.replace('<img src="/app', "")
    assert "<b>How</b>" not in page
    assert "<i>x</i>" not in page


def test_a_running_rehearsal_shows_how_far_it_is(
    desk: Desk, noor: Person, open_page: OpenPage
) -> None:
    """As another process would see it."""
    version = desk.services.versions.draft(noor, TRAVEL, DRAFT)
    desk.services.rehearsals.golden.add(noor, TRAVEL, Golden(QUESTION))
    route = {"version": 0, "models": ["a"], "prompt": "p", "temperature": 0.0, "max_tokens": 9}
    desk.services.rehearsals.runs.open(
        RehearsalRow(
            intent=TRAVEL,
            version_id=version.id,
            number=1,
            before=route,
            after=route,
            person_id=noor.id,
            questions=4,
            done=1,
        )
    )
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert "1 of 4 questions" in html(test)
    press(test, "Cancel")
    assert over(desk).status == "cancelled"
