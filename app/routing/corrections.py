"""Corrections: what a question's intent should have been, said by the person who asked or by an admin who may read it.

A person's questions are read by nobody else unless that person allows it. A corrected question is learned from while its
chat exists; of one person's corrections the newest count, so that nobody can bend the intents alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVarTuple

from sqlalchemy import Select, func, or_, select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import ConversationRow, IntentCorrectionRow, QuestionSharingRow, TurnRow
from app.domain import Person, now
from app.errors import NotFound
from app.records import Ledger
from app.records.events import IntentsChanged, PersonChanged

NEWEST = 5_000  # corrections learned from
Columns = TypeVarTuple("Columns")
OF_ONE = 50  # of them, said by one employee about their own questions


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    intent: str


class Corrections:
    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def correct_own(self, person: Person, turn_id: str, intent: str, version: int) -> None:
        """Raises NotFound for a turn that is not this person's."""
        with self._database.write() as session:
            row = session.get(TurnRow, turn_id)
            if row is None or row.person_id != person.id:
                raise _no_question()
            self._store(session, person, row, intent, version)

    def correct(self, actor: Person, turn_id: str, intent: str, version: int) -> None:
        """An admin's word; the caller has asked Policy.administer. Raises NotFound for a question not shared with admins."""
        with self._database.write() as session:
            row = session.get(TurnRow, turn_id)
            if row is None or not _shares(session, row.person_id):
                raise _no_question()
            self._store(session, actor, row, intent, version)

    def examples(self) -> list[Labelled]:
        """The newest corrected questions whose chats exist, oldest first. One that an admin corrected is left out once its
        person shares no longer."""
        found = _learnable(
            select(
                col(TurnRow.question),
                col(IntentCorrectionRow.should_be),
                col(IntentCorrectionRow.corrected_by),
                col(TurnRow.person_id),
            )
        ).order_by(col(IntentCorrectionRow.corrected_at).desc(), col(TurnRow.id))
        with self._database.read() as session:
            rows = session.execute(found.limit(NEWEST)).all()
        said: Counter[str] = Counter()
        kept = []
        for text, intent, by, person in rows:
            said[by] += by == person
            if by != person or said[by] <= OF_ONE:
                kept.append(Labelled(text, intent))
        return kept[::-1]

    def state(self) -> tuple[int, datetime | None]:
        """How many corrections can be learned from, and when the newest was said: other when `examples` are others."""
        found = _learnable(select(func.count(), func.max(col(IntentCorrectionRow.corrected_at))))
        with self._database.read() as session:
            number, newest = session.execute(found).one()
        return int(number), newest

    def said(self, turn_ids: Iterable[str]) -> dict[str, str]:
        """What was said of these turns: id to intent."""
        turn, should = col(IntentCorrectionRow.turn_id), col(IntentCorrectionRow.should_be)
        with self._database.read() as session:
            rows = session.execute(select(turn, should).where(turn.in_(tuple(turn_ids)))).all()
        return {str(turn_id): str(intent) for turn_id, intent in rows}

    def confusion(self) -> dict[tuple[str, str], int]:
        """How many questions went to the first intent and, as somebody said, belong to the second; often the same one."""
        was, should = col(IntentCorrectionRow.was), col(IntentCorrectionRow.should_be)
        with self._database.read() as session:
            rows = session.execute(
                select(was, should, func.count()).group_by(was, should).order_by(was, should)
            ).all()
        return {(a, b): int(n) for a, b, n in rows}

    def shares(self, person_id: str) -> bool:
        """Whether admins may read this person's questions; no unless said otherwise."""
        with self._database.read() as session:
            return _shares(session, person_id)

    def share(self, person: Person, allowed: bool) -> None:
        """Only the person decides it."""
        with self._database.write() as session:
            row = session.get(QuestionSharingRow, person.id)
            row = row or QuestionSharingRow(person_id=person.id)
            row.allowed, row.changed_at = allowed, now()
            session.add(row)
            change = {"shares_questions": "yes" if allowed else "no"}
            self._ledger.append(
                session, PersonChanged(actor=person.id, person=person.id, change=change)
            )

    def _store(
        self, session: Session, actor: Person, turn: TurnRow, intent: str, version: int
    ) -> None:
        row = session.get(IntentCorrectionRow, turn.id)
        if row is None:
            row = IntentCorrectionRow(
                turn_id=turn.id, was=turn.intent, should_be=intent, corrected_by=actor.id
            )
        row.should_be, row.corrected_by, row.corrected_at = intent, actor.id, now()
        session.add(row)
        self._ledger.append(
            session,
            IntentsChanged(
                actor=actor.id,
                subject=turn.id,
                change="corrected",
                version=version,
                intents={turn.intent: f"should be {intent}" if turn.intent != intent else "right"},
            ),
        )


def _learnable(what: Select[*Columns]) -> Select[*Columns]:
    return (
        what.select_from(IntentCorrectionRow)
        .join(TurnRow, col(IntentCorrectionRow.turn_id) == col(TurnRow.id))
        .join(ConversationRow, col(ConversationRow.id) == col(TurnRow.conversation_id))
        .outerjoin(QuestionSharingRow, col(QuestionSharingRow.person_id) == col(TurnRow.person_id))
        .where(
            col(ConversationRow.deleted_at).is_(None),
            or_(
                col(IntentCorrectionRow.corrected_by) == col(TurnRow.person_id),
                col(QuestionSharingRow.allowed),
            ),
        )
    )


def _shares(session: Session, person_id: str) -> bool:
    row = session.get(QuestionSharingRow, person_id)
    return row is not None and row.allowed


def _no_question() -> NotFound:
    return NotFound("There is no such question, or none that you may read.")
