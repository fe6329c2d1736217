"""Intents that change while they are asked: versions, drafts, corrections and the swap, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.domain import now
from app.errors import InputError, NotFound
from app.routing import Intents
from app.routing.classifier import Embed, Vector
from app.routing.corrections import OF_ONE
from app.routing.edits import Edits
from tests.routing.company import FILE, LUNCH, NEW, Company, desk, either, embed, server

__all__ = ["desk", "either", "embed", "server"]


def draft(desk: Company) -> Edits:
    return desk.intents.versions.edit(
        desk.admin, lambda edits: edits.add(FILE, "canteen", "Canteen", "general", NEW)
    )


def test_a_draft_changes_nothing_until_it_is_published_and_then_every_question(
    either: Company,
) -> None:
    versions = either.intents.versions
    draft(either)
    assert either.intents.refresh() is False
    assert either.intent(LUNCH) == ("general", 0)
    assert versions.publish(either.admin).number == 1
    assert versions.draft() is None
    assert either.intents.refresh() is True
    assert either.intents.refresh() is False
    assert either.intent(LUNCH) == ("canteen", 1)
    drafted, published = either.events("intents_changed")
    assert (drafted["change"], published["change"]) == ("drafted", "published")
    assert drafted["intents"] == published["intents"] == {"canteen": "added with 3 examples"}
    assert (published["version"], published["actor"]) == (1, either.admin.id)
    assert NEW[0] not in "".join(either.ledger.export())
    again = Intents(either.database, either.ledger, FILE, either.embed)
    assert (again.now().version, again.now().table) == (1, either.intents.now().table)


def test_an_earlier_version_becomes_the_draft_again(desk: Company) -> None:
    versions = desk.intents.versions
    edits = draft(desk)
    versions.publish(desk.admin)
    versions.restore(desk.admin, 0)
    versions.publish(desk.admin)
    assert versions.latest().edits == Edits()
    assert versions.restore(desk.admin, 1) == edits
    assert [v.number for v in versions.history()] == [2, 1]
    with pytest.raises(NotFound):
        versions.restore(desk.admin, 7)
    versions.discard(desk.admin)
    assert versions.draft() is None
    assert [e["change"] for e in desk.events("intents_changed")][-1] == "discarded"


def test_a_draft_that_was_overtaken_is_not_published_over_the_other(desk: Company) -> None:
    versions = desk.intents.versions
    with pytest.raises(InputError, match="no draft"):
        versions.publish(desk.admin)
    draft(desk)
    versions.publish(desk.admin)
    versions.restore(desk.admin, 0)
    with desk.database.write() as session:
        session.execute(text("UPDATE intent_draft SET base = 0"))
    with pytest.raises(InputError, match="Discard the draft"):
        versions.publish(desk.admin)
    assert versions.latest().number == 1


def test_of_two_who_publish_at_once_one_is_told(either: Company) -> None:
    draft(either)
    said = at_once(lambda _: str(either.intents.versions.publish(either.admin).number))
    assert said.count("1") == 1
    assert either.intents.versions.latest().number == 1
    assert [e["change"] for e in either.events("intents_changed")].count("published") == 1


def test_of_two_who_edit_at_once_neither_loses_the_others_change(either: Company) -> None:
    draft(either)

    def add(number: int) -> str:
        texts = [f"{text} {number}" for text in NEW]
        name = "first" if number else "second"
        either.intents.versions.edit(
            either.admin, lambda edits: edits.add(FILE, name, name, "general", texts)
        )
        return "kept"

    assert at_once(add) == ["kept", "kept"]
    kept = either.intents.versions.draft()
    assert kept is not None
    assert set(kept.edits.intents) == {"canteen", "first", "second"}


def at_once(work: Callable[[int], str]) -> list[str]:
    """What two threads came to that began together: their result, or the error's words."""
    start = threading.Barrier(2)

    def one(number: int) -> str:
        start.wait()
        try:
            return work(number)
        except InputError as error:
            return error.message

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(2)))


def correct(desk: Company, question: str, intent: str) -> None:
    """Three nearest examples decide, so one correction alone would move little."""
    for number in range(3):
        turn = desk.asked(desk.ada, f"{question} {number}")
        desk.intents.correct_own(desk.ada, turn, intent)


def test_a_corrected_question_is_learned_until_its_chat_is_deleted(either: Company) -> None:
    question = "The blue box under my either hums"
    assert either.intent(question)[0] != "travel_expenses"
    correct(either, question, "travel_expenses")
    assert either.intents.refresh() is True
    assert either.intent(question)[0] == "travel_expenses"
    assert either.intents.now().classifier.corrections == 3
    assert either.intents.corrections.confusion() == {("general", "travel_expenses"): 3}
    event = either.events("intents_changed")[0]
    assert str(event["subject"]).startswith("turn_")
    assert event["intents"] == {"general": "should be travel_expenses"}
    with either.database.write() as session:
        session.execute(text("UPDATE conversation SET deleted_at = :at"), {"at": now()})
    assert either.intents.refresh() is True
    assert either.intent(question)[0] != "travel_expenses"


def test_corrections_follow_an_intent_that_was_merged(desk: Company) -> None:
    question = "The blue box under my desk hums"
    correct(desk, question, "travel_expenses")
    versions = desk.intents.versions
    versions.edit(desk.admin, lambda edits: edits.merge(FILE, "travel_expenses", "it_help"))
    versions.publish(desk.admin)
    desk.intents.refresh()
    assert desk.intent(question) == ("it_help", 1)
    assert desk.intents.now().classifier.corrections == 3


def test_of_one_persons_corrections_the_newest_count(desk: Company) -> None:
    for number in range(OF_ONE + 2):
        turn = desk.asked(desk.ada, f"The box hums {number}")
        desk.intents.correct_own(desk.ada, turn, "it_help")
    kept = [one.text for one in desk.intents.corrections.examples()]
    assert kept == [f"The box hums {number}" for number in range(2, OF_ONE + 2)]


def test_an_example_holds_against_a_correction(desk: Company) -> None:
    entry = FILE.entry("it_help")
    turn = desk.asked(desk.ada, entry.examples[0])
    desk.intents.correct_own(desk.ada, turn, "travel_expenses")
    desk.intents.refresh()
    assert desk.intents.now().classifier.corrections == 0
    assert desk.intent(entry.examples[0])[0] == "it_help"


def test_nobody_corrects_what_they_may_not_read(either: Company) -> None:
    intents, corrections = either.intents, either.intents.corrections
    turn = either.asked(either.ada, "May I see the doctor on Monday?")
    with pytest.raises(NotFound):
        intents.correct_own(either.admin, turn, "time_off_benefits")
    with pytest.raises(NotFound):
        intents.correct(either.admin, turn, "time_off_benefits")
    with pytest.raises(NotFound, match="no intent"):
        intents.correct_own(either.ada, turn, "nowhere")
    corrections.share(either.ada, True)
    assert corrections.shares(either.ada.id)
    intents.correct(either.admin, turn, "time_off_benefits")
    assert [one.intent for one in corrections.examples()] == ["time_off_benefits"]
    assert corrections.said([turn]) == {turn: "time_off_benefits"}
    corrections.share(either.ada, False)
    assert corrections.examples() == []
    assert corrections.state() == (0, None)
    assert [e["change"] for e in either.events("person_changed")] == [
        {"shares_questions": "yes"},
        {"shares_questions": "no"},
    ]


class Moody:
    """An embedder whose disk is gone now and then."""

    def __init__(self, embed: Embed) -> None:
        self.broken = False
        self._embed = embed

    def documents(self, texts: Sequence[str]) -> Vector:
        if self.broken:
            raise RuntimeError("the model file is gone")
        return self._embed(texts)


def test_a_training_that_fails_keeps_the_old_one_says_so_and_recovers(desk: Company) -> None:
    moody = Moody(desk.embed)
    intents = Intents(desk.database, desk.ledger, FILE, moody.documents)
    before = intents.now()
    draft(desk)
    desk.intents.versions.publish(desk.admin)
    moody.broken = True
    assert intents.refresh() is False
    assert intents.now() is before
    assert intents.trouble is not None
    assert (intents.trouble.version, intents.trouble.why) == (
        1,
        "RuntimeError: the model file is gone",
    )
    assert intents.refresh() is False
    (event,) = [e for e in desk.events("intents_changed") if e["change"] == "not_learned"]
    assert (event["actor"], event["version"], event["reason"]) == ("system", 1, "RuntimeError")
    moody.broken = False
    desk.intents.versions.restore(desk.admin, 1)
    desk.intents.versions.publish(desk.admin)
    assert intents.refresh() is True
    assert intents.now().version == 2
    assert intents.trouble is None


def test_another_process_follows_by_itself(desk: Company) -> None:
    other = Intents(desk.database, desk.ledger, FILE, desk.embed)
    other.start(every_s=0.01)
    try:
        draft(desk)
        desk.intents.versions.publish(desk.admin)
        until(lambda: other.now().version == 1)
    finally:
        other.stop()
    assert "canteen" in {entry.name for entry in other.now().table.entries}


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        threading.Event().wait(0.01)
