"""Golden sets: for each intent, questions with what a good answer rests on, must say and must not say.

Every admin reads them, so a question gets in by a click of somebody who may read it: typed, from a file, or from an answer
(answers.py). Expected documents are kept by id; their titles are shown to those who may read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import GoldenQuestionRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import GoldenSetChanged
from app.rehearsal.sources import SourceNames

MOST_QUESTIONS = 500
LONGEST_QUESTION = 4_000
LONGEST_PHRASE = 300
MOST_PHRASES = 20


@dataclass(frozen=True, slots=True)
class Golden:
    """`sources` are documents, by id, title or address. A phrase may name several wordings, `180 euros | €180`."""

    question: str
    sources: tuple[str, ...] = ()
    must_say: tuple[str, ...] = ()
    must_not_say: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: GoldenQuestionRow) -> Golden:
        return cls(row.question, tuple(row.sources), tuple(row.must_say), tuple(row.must_not_say))


@dataclass(frozen=True, slots=True)
class Brought:
    """What an import did."""

    added: int
    changed: int


class GoldenSets:
    """The caller has asked Policy.administer."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self.names = SourceNames(database, clock)

    def of(self, intent: str) -> list[GoldenQuestionRow]:
        """Oldest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(GoldenQuestionRow)
                    .where(col(GoldenQuestionRow.intent) == intent)
                    .order_by(col(GoldenQuestionRow.created_at), col(GoldenQuestionRow.id))
                ).scalars()
            )

    def sizes(self) -> dict[str, int]:
        """Questions by intent, for intents that have any."""
        with self._database.read() as session:
            rows = session.execute(
                select(col(GoldenQuestionRow.intent), func.count()).group_by(
                    col(GoldenQuestionRow.intent)
                )
            ).all()
        return {row[0]: row[1] for row in rows}

    def add(
        self,
        actor: Person,
        intent: str,
        golden: Golden,
        origin: str = "hand",
        still: Callable[[Session], object] = bool,
    ) -> GoldenQuestionRow:
        """`still` raises, in the transaction that adds it, where the question may not be taken any more. Raises InputError for
        one that is empty, too long or there already."""
        golden = self._usable(actor, golden)
        try:
            with self._database.write() as session:
                still(session)
                _room_for(session, intent, 1)
                row = self._new(actor, intent, golden, origin)
                session.add(row)
                self._record(session, actor, "added", intent, row.id, origin=origin)
        except IntegrityError:
            raise _twice() from None
        return row

    def change(self, actor: Person, question_id: str, golden: Golden) -> None:
        """Raises NotFound and InputError."""
        golden = self._usable(actor, golden)
        try:
            with self._database.write() as session:
                row = _existing(session, question_id)
                self._fill(row, golden)
                session.add(row)
                self._record(session, actor, "changed", row.intent, row.id)
        except IntegrityError:
            raise _twice() from None

    def remove(self, actor: Person, question_id: str) -> None:
        """Raises NotFound."""
        with self._database.write() as session:
            row = _existing(session, question_id)
            session.delete(row)
            self._record(session, actor, "removed", row.intent, row.id)

    def bring(self, actor: Person, intent: str, several: Sequence[Golden]) -> Brought:
        """All of a file's questions or none; one that is there already takes the file's expectations. Raises InputError."""
        usable = {fingerprint(g.question): self._usable(actor, g) for g in several}
        with self._database.write() as session:
            known = {
                row.fingerprint: row
                for row in session.execute(
                    select(GoldenQuestionRow).where(col(GoldenQuestionRow.intent) == intent)
                ).scalars()
            }
            added = usable.keys() - known.keys()
            _room_for(session, intent, len(added))
            for key, golden in usable.items():
                if key in known:
                    self._fill(known[key], golden)
                    session.add(known[key])
                else:
                    session.add(self._new(actor, intent, golden, "file"))
            self._record(session, actor, "imported", intent, "", len(usable), "file")
        return Brought(len(added), len(usable) - len(added))

    def exported(self, actor: Person, intent: str) -> list[Golden]:
        """The whole set, to be saved elsewhere; recorded."""
        rows = self.of(intent)
        self._ledger.record(
            GoldenSetChanged(actor=actor.id, change="exported", intent=intent, questions=len(rows))
        )
        return [Golden.of(row) for row in rows]

    def _usable(self, actor: Person, golden: Golden) -> Golden:
        """Without empty lines, and with documents by id where the actor may read exactly one of that name."""
        question = golden.question.strip()
        if not question or len(question) > LONGEST_QUESTION:
            raise InputError(
                f"A golden question has 1 to {LONGEST_QUESTION:,} characters; this one has {len(question):,}."
            )
        sources, must, must_not = map(
            _phrases, (golden.sources, golden.must_say, golden.must_not_say)
        )
        if both := set(map(str.casefold, must)) & set(map(str.casefold, must_not)):
            raise InputError(f"“{sorted(both)[0]}” cannot be both said and not said.")
        return replace(
            golden,
            question=question,
            sources=self.names.ids(actor, sources),
            must_say=must,
            must_not_say=must_not,
        )

    def _new(self, actor: Person, intent: str, golden: Golden, origin: str) -> GoldenQuestionRow:
        row = GoldenQuestionRow(
            intent=intent,
            fingerprint="",
            question="",
            sources=[],
            must_say=[],
            must_not_say=[],
            origin=origin,
            created_by=actor.id,
            created_at=self._clock(),
        )
        self._fill(row, golden)
        return row

    def _fill(self, row: GoldenQuestionRow, golden: Golden) -> None:
        row.question, row.fingerprint = golden.question, fingerprint(golden.question)
        row.sources = list(golden.sources)
        row.must_say, row.must_not_say = list(golden.must_say), list(golden.must_not_say)
        row.changed_at = self._clock()

    def _record(
        self,
        session: Session,
        actor: Person,
        change: str,
        intent: str,
        subject: str,
        questions: int = 1,
        origin: str = "",
    ) -> None:
        self._ledger.append(
            session,
            GoldenSetChanged.model_validate(
                {
                    "actor": actor.id,
                    "subject": subject,
                    "change": change,
                    "intent": intent,
                    "questions": questions,
                    "origin": origin,
                }
            ),
        )


def fingerprint(question: str) -> str:
    """The same for the same words, whatever their case and spacing."""
    return hashlib.sha256(" ".join(question.casefold().split()).encode()).hexdigest()


def _phrases(phrases: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(dict.fromkeys(text for phrase in phrases if (text := " ".join(phrase.split()))))
    longest = max(map(len, kept), default=0)
    if len(kept) > MOST_PHRASES or longest > LONGEST_PHRASE:
        raise InputError(
            f"A golden question has at most {MOST_PHRASES} sources or phrases of a kind,"
            f" of up to {LONGEST_PHRASE} characters."
        )
    return kept


def _room_for(session: Session, intent: str, more: int) -> None:
    there = session.execute(
        select(func.count()).where(col(GoldenQuestionRow.intent) == intent)
    ).scalar_one()
    if there + more > MOST_QUESTIONS:
        raise InputError(
            f"A golden set holds {MOST_QUESTIONS} questions; this would make {there + more}.",
            fix="Remove some first.",
        )


def _existing(session: Session, question_id: str) -> GoldenQuestionRow:
    row = session.get(GoldenQuestionRow, question_id)
    if row is None:
        raise NotFound("There is no such golden question.", fix="Reload the page.")
    return row


def _twice() -> InputError:
    return InputError("That question is in the golden set already.", fix="Change it there.")
