"""Golden questions from good answers: an admin's own, and those of people who share; never anybody else's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlmodel import Session

from app.db import Database, migrate
from app.db.tables import (
    ConversationRow,
    IntentCorrectionRow,
    PersonRow,
    QuestionSharingRow,
    TurnRow,
)
from app.domain import EVERYONE, Person, Role, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.rehearsal import Golden, GoldenSets, GoodAnswers
from app.routing.classifier import Vector
from tests.rehearsal.conftest import LYON, TRAVEL, Stage
from tests.servers.postgres import postgres


def letters(texts: Sequence[str]) -> Vector:
    """Counts of letters, of length 1: questions with much the same letters are alike."""
    counts = np.array([[t.lower().count(chr(97 + i)) + 0.01 for i in range(26)] for t in texts])
    found: Vector = (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)
    return found


@dataclass
class Desk:
    """People with turns, without models."""

    database: Database
    sets: GoldenSets
    answers: GoodAnswers
    people: dict[str, Person] = field(default_factory=dict)
    turns: int = 0

    def person(self, name: str, *, shares: bool) -> Person:
        row = PersonRow(
            id=name, issuer="t", subject=name, email=f"{name}@t.test", name=name, role=Role.EMPLOYEE
        )
        with self.database.write() as session:
            session.add(row)
        self.people[name] = Person(name, row.email, name, Role.EMPLOYEE, "", frozenset({EVERYONE}))
        if shares:
            self.share(name, True)
        return self.people[name]

    def share(self, name: str, allowed: bool) -> None:
        with self.database.write() as session:
            session.merge(QuestionSharingRow(person_id=name, allowed=allowed))

    def asked(self, name: str, question: str, **changes: Any) -> str:
        """A finished turn with a thumb up, the newest so far; `changes` are columns."""
        self.turns += 1
        turn = TurnRow(
            **{
                "id": f"turn_{self.turns}",
                "conversation_id": f"chat_{self.turns}",
                "person_id": name,
                "question": question,
                "status": "finished",
                "intent": TRAVEL,
                "feedback": 1,
                "started_at": now() + timedelta(seconds=self.turns),
                **changes,
            }
        )
        with self.database.write() as session:
            session.add(ConversationRow(id=turn.conversation_id, person_id=name))
            session.flush()
            session.add(turn)
        return turn.id

    def change(self, turn_id: str, **changes: Any) -> None:
        with self.database.write() as session:
            self._set(session, turn_id, changes)

    def _set(self, session: Session, turn_id: str, changes: dict[str, Any]) -> None:
        turn = session.get_one(TurnRow, turn_id)
        for name, value in changes.items():
            setattr(turn, name, value)
        session.add(turn)

    def listed(self) -> list[str]:
        return [one.turn_id for one in self.answers.shared(TRAVEL)]


def made(database: Database, ledger: Ledger) -> Desk:
    sets = GoldenSets(database, ledger)
    return Desk(database, sets, GoodAnswers(database, sets, letters))


@pytest.fixture
def desk(database: Database, ledger: Ledger) -> Desk:
    return made(database, ledger)


@pytest.fixture
def noor(desk: Desk) -> Person:
    return desk.person("noor", shares=False)


def refused(desk: Desk, noor: Person, turn_id: str) -> None:
    with pytest.raises(NotFound):
        desk.answers.take_shared(noor, TRAVEL, turn_id)
    assert desk.sets.of(TRAVEL) == []


def test_one_click_makes_ones_own_answer_a_golden_question(stage: Stage) -> None:
    answers, sets, house = stage.rehearsals.answers, stage.rehearsals.golden, stage.house
    turn = house.ask(stage.noor, LYON).id
    house.services.chats.feedback(stage.noor, turn, 1)
    bad = house.ask(stage.noor, "What may a hotel cost in Paris?").id
    house.services.chats.feedback(stage.noor, bad, 0)
    (candidate,) = answers.own(stage.noor, TRAVEL)
    assert (candidate.turn_id, candidate.liked) == (turn, True)
    row = answers.take_own(stage.noor, turn)
    assert (row.intent, row.question, row.origin) == (TRAVEL, LYON, "answer")
    assert list(sets.names.titles(stage.noor, row.sources).values()) == ["Travel policy"]
    assert answers.own(stage.noor, TRAVEL) == []
    with pytest.raises(InputError, match="already"):
        answers.take_own(stage.noor, turn)


def test_an_admin_does_not_get_at_the_answers_of_somebody_who_does_not_share(stage: Stage) -> None:
    ada, answers = stage.house.person("ada"), stage.rehearsals.answers
    turn = stage.house.ask(ada, LYON).id
    stage.house.services.chats.feedback(ada, turn, 1)
    assert answers.own(stage.noor, TRAVEL) == []
    assert answers.shared(TRAVEL) == []
    with pytest.raises(NotFound):
        answers.take_own(stage.noor, turn)
    with pytest.raises(NotFound):
        answers.take_shared(stage.noor, TRAVEL, turn)


def test_a_shared_answer_with_a_thumb_up_becomes_a_golden_question_with_its_sources(
    stage: Stage,
) -> None:
    """Through real turns, the person's own switch and the real sentence vectors."""
    ada, answers, house = stage.house.person("ada"), stage.rehearsals.answers, stage.house
    chats, corrections = house.services.chats, house.services.intents.corrections
    corrections.share(ada, True)
    turns = [house.ask(ada, q).id for q in (LYON, "What's the hotel limit in Lyon?")]
    for turn in turns:
        assert answers.shared(TRAVEL) == []
        chats.feedback(ada, turn, 1)
        chats.feedback(ada, turn, None)
    for turn in turns:
        chats.feedback(ada, turn, 1)
    (found,) = answers.shared(TRAVEL)  # the newer of two that ask the same
    assert found.turn_id == turns[1]
    row = answers.take_shared(stage.noor, TRAVEL, found.turn_id)
    assert (row.origin, row.created_by, row.must_say) == ("traffic", stage.noor.id, [])
    assert list(stage.rehearsals.golden.names.titles(stage.noor, row.sources).values()) == [
        "Travel policy"
    ]
    assert answers.shared(TRAVEL) == []
    stage.rehearsals.golden.change(stage.noor, row.id, Golden(LYON, must_say=("180 euros",)))
    assert stage.rehearsals.golden.of(TRAVEL)[0].must_say == ["180 euros"]
    last = json.loads(list(house.services.ledger.export())[-2])["event"]
    assert (last["change"], last["origin"], last["actor"]) == ("added", "traffic", stage.noor.id)
    corrections.share(ada, False)


def test_only_people_who_share_are_listed_newest_first(desk: Desk, noor: Person) -> None:
    desk.person("ada", shares=True)
    desk.person("ben", shares=False)
    old = desk.asked("ada", "May I fly?")
    hidden = desk.asked("ben", "Which trains are there?")
    new = desk.asked("ada", "Who pays for my dog?")
    assert desk.listed() == [new, old]
    refused(desk, noor, hidden)


def test_who_withdraws_disappears_and_cannot_be_added(desk: Desk, noor: Person) -> None:
    desk.person("ada", shares=True)
    turn = desk.asked("ada", "May I fly?")
    assert desk.listed() == [turn]
    desk.share("ada", False)
    assert desk.listed() == []
    refused(desk, noor, turn)


def test_who_withdraws_between_the_look_and_the_write_is_not_added(
    desk: Desk, noor: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.person("ada", shares=True)
    turn = desk.asked("ada", "May I fly?")
    usable = desk.sets._usable

    def withdrawn(actor: Person, golden: Golden) -> Golden:
        desk.share("ada", False)
        return usable(actor, golden)

    monkeypatch.setattr(desk.sets, "_usable", withdrawn)
    refused(desk, noor, turn)


@pytest.mark.parametrize(
    "changes",
    [
        {"feedback": 0},
        {"feedback": None},
        {"status": "stopped"},
        {"intent": "it_help"},
        {"hidden_at": now()},
        {"receipt": {"protection": {"found": {"email": 1}}}},
        {"question": "And by train?", "position": 2},
    ],
)
def test_what_is_not_good_or_not_for_others_eyes_is_neither_listed_nor_added(
    desk: Desk, noor: Person, changes: dict[str, Any]
) -> None:
    desk.person("ada", shares=True)
    turn = desk.asked("ada", "May I fly?")
    assert desk.listed() == [turn]
    desk.change(turn, **changes)
    assert desk.listed() == []
    refused(desk, noor, turn)


def test_a_deleted_chat_and_another_topic_are_left_out(desk: Desk, noor: Person) -> None:
    desk.person("ada", shares=True)
    deleted, other = desk.asked("ada", "May I fly?"), desk.asked("ada", "Who fixes a laptop?")
    with desk.database.write() as session:
        chat = session.get_one(ConversationRow, "chat_1")
        chat.deleted_at = now()
        session.add(chat)
        session.add(
            IntentCorrectionRow(turn_id=other, was=TRAVEL, should_be="it_help", corrected_by="ada")
        )
    assert desk.listed() == []
    refused(desk, noor, deleted)
    refused(desk, noor, other)


def test_what_the_set_or_a_newer_answer_asks_in_nearly_the_same_words_is_left_out(
    desk: Desk, noor: Person
) -> None:
    desk.person("ada", shares=True)
    desk.sets.add(noor, TRAVEL, Golden("May I fly to Lyon?"))
    desk.asked("ada", "may i FLY  to lyon?")
    desk.asked("ada", "May I fly to Lyon!")
    dearer = desk.asked("ada", "May it cost 200 euros?")
    older = desk.asked("ada", "May it cost 300 euros?")
    newer = desk.asked("ada", "May it cost the 300 euros?")
    assert desk.listed() == [newer, dearer]  # other numbers ask something else
    assert older not in desk.listed()


def test_two_admins_who_add_the_same_answer_are_told(desk: Desk, noor: Person) -> None:
    desk.person("ada", shares=True)
    turn = desk.asked("ada", "May I fly?")
    desk.answers.take_shared(noor, TRAVEL, turn)
    with pytest.raises(InputError, match="already"):
        desk.answers.take_shared(noor, TRAVEL, turn)


def test_good_answers_are_found_on_postgresql_too() -> None:
    with postgres() as url:
        database = Database(url)
        migrate(database)
        desk = made(database, Ledger(database))
        noor = desk.person("noor", shares=False)
        desk.person("ada", shares=True)
        cited = {"citations": [{"number": 1, "passage": {"document_id": "doc_1"}}]}
        turn = desk.asked("ada", "May I fly?", receipt=cited)
        assert desk.answers.own(noor, TRAVEL) == []
        assert [(one.turn_id, one.sources) for one in desk.answers.shared(TRAVEL)] == [
            (turn, ("doc_1",))
        ]
        assert desk.answers.take_shared(noor, TRAVEL, turn).sources == ["doc_1"]
        database.close()
