"""Golden questions from answers that were good: an admin's own, and those that people rated well who let admins read theirs.

A person's word counts at the moment of looking and again in the transaction that adds: who shares no longer is in neither.
The answer itself is shown to nobody else; what is taken are the question and the documents that were cited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Select, and_, func, or_, select
from sqlmodel import Session, col

from app.chat.store import owned_turn
from app.db import Database
from app.db.tables import (
    ConversationRow,
    GoldenQuestionRow,
    IntentCorrectionRow,
    QuestionSharingRow,
    TurnRow,
)
from app.domain import Person
from app.errors import InputError, NotFound
from app.rehearsal.golden import MOST_PHRASES, Golden, GoldenSets, fingerprint
from app.routing.classifier import FOLLOW_UP_WORDS, Vector

SHOWN = 20
LOOKED = 5 * SHOWN
NEARLY = 0.92  # cosine from which two questions with the same numbers ask the same, judged by eye on MiniLM
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that could become a golden question. `sources` are documents by id; `liked`: thumbs up."""

    turn_id: str
    question: str
    sources: tuple[str, ...]
    liked: bool
    at: datetime


class GoodAnswers:
    """The caller has asked Policy.administer. `vectors` gives one of length 1 for each text."""

    def __init__(
        self,
        database: Database,
        golden: GoldenSets,
        vectors: Callable[[Sequence[str]], Vector],
    ) -> None:
        self._database = database
        self._golden = golden
        self._vectors = vectors

    def own(self, actor: Person, intent: str) -> list[Candidate]:
        """The actor's own answered questions of an intent that are no golden ones yet: thumbs up first, then the newest."""
        with self._database.read() as session:
            turns = session.execute(
                select(TurnRow)
                .where(
                    col(TurnRow.person_id) == actor.id,
                    col(TurnRow.intent) == intent,
                    col(TurnRow.status) == "finished",
                    col(TurnRow.hidden_at).is_(None),
                    func.coalesce(col(TurnRow.feedback), 1) == 1,
                )
                .order_by(
                    func.coalesce(col(TurnRow.feedback), 0).desc(),
                    col(TurnRow.started_at).desc(),
                )
                .limit(LOOKED)
            ).scalars()
            seen = set(
                session.execute(
                    select(col(GoldenQuestionRow.fingerprint)).where(
                        col(GoldenQuestionRow.intent) == intent
                    )
                ).scalars()
            )
            found = []
            for turn in turns:
                if (key := fingerprint(turn.question)) not in seen:
                    seen.add(key)
                    found.append(_candidate(turn))
        return found[:SHOWN]

    def take_own(self, actor: Person, turn_id: str) -> GoldenQuestionRow:
        """The question of one of the actor's own answers, with the documents that it cited. Raises NotFound for anybody
        else's, InputError for one that was not answered or is there already."""
        with self._database.read() as session:
            turn = owned_turn(session, actor, turn_id)
        if turn.status != "finished" or not turn.intent:
            raise InputError("Only a question that was answered can be a golden one.")
        return self._golden.add(actor, turn.intent, Golden(turn.question, _cited(turn)), "answer")

    def shared(self, intent: str) -> list[Candidate]:
        """Rated well by people who share, newest first, without what the set holds in the same or nearly the same words. The
        first look at an intent embeds its golden questions: some 10 ms each."""
        with self._database.read() as session:
            newest = _liked(intent).order_by(col(TurnRow.started_at).desc(), col(TurnRow.id))
            turns = list(session.execute(newest.limit(LOOKED)).scalars())
        turns = [turn for turn in turns if _usable(turn)]
        if not turns:
            return []
        known = [row.question for row in self._golden.of(intent)]
        fresh = self._fresh(known, [turn.question for turn in turns])
        return [_candidate(turns[i]) for i in fresh][:SHOWN]

    def take_shared(self, actor: Person, intent: str, turn_id: str) -> GoldenQuestionRow:
        """The same for one of `shared`. Raises NotFound for an answer that is not rated well, or not shared any more."""
        still = partial(_shared, intent=intent, turn_id=turn_id)
        with self._database.read() as session:
            turn = still(session)
        golden = Golden(turn.question, _cited(turn))
        return self._golden.add(actor, intent, golden, "traffic", still)

    def _fresh(self, known: Sequence[str], questions: Sequence[str]) -> list[int]:
        """Which of the questions nobody asked before them, in `known` or among themselves."""
        before = list(known)
        vectors = self._vectors([*known, *questions])
        kept: list[int] = []
        rows = list(range(len(known)))
        for i, question in enumerate(questions):
            row = len(known) + i
            alike = vectors[rows] @ vectors[row] if rows else ()
            if not any(_same(*pair, question) for pair in zip(alike, before, strict=True)):
                kept.append(i)
                rows.append(row)
                before.append(question)
        return kept


def _liked(intent: str, turn_id: str = "") -> Select[TurnRow]:
    """Only the person who asked can rate, so whoever rated is who shares. What somebody said to be of another intent is that
    one's."""
    should_be = col(IntentCorrectionRow.should_be)
    found = (
        select(TurnRow)
        .join(ConversationRow, col(ConversationRow.id) == col(TurnRow.conversation_id))
        .join(
            QuestionSharingRow,
            and_(
                col(QuestionSharingRow.person_id) == col(TurnRow.person_id),
                col(QuestionSharingRow.allowed).is_(True),
            ),
        )
        .outerjoin(IntentCorrectionRow, col(IntentCorrectionRow.turn_id) == col(TurnRow.id))
        .where(
            col(TurnRow.intent) == intent,
            col(TurnRow.status) == "finished",
            col(TurnRow.feedback) == 1,
            col(TurnRow.hidden_at).is_(None),
            col(ConversationRow.deleted_at).is_(None),
            or_(should_be.is_(None), should_be == intent),
        )
    )
    return found.where(col(TurnRow.id) == turn_id) if turn_id else found


def _shared(session: Session, intent: str, turn_id: str) -> TurnRow:
    turn: TurnRow | None = session.execute(_liked(intent, turn_id)).scalar_one_or_none()
    if turn is None or not _usable(turn):
        raise NotFound(
            "There is no such answer, or none that you may take.",
            fix="Its person may have stopped sharing, or changed the verdict. Reload the page.",
        )
    return turn


def _usable(turn: TurnRow) -> bool:
    """Without personal data, as elsewhere that admins read questions, and understandable without the question before it."""
    personal = (turn.receipt.get("protection") or {}).get("found")
    leans = turn.position > 0 and len(turn.question.split()) <= FOLLOW_UP_WORDS
    return not personal and not leans


def _same(cosine: float, one: str, other: str) -> bool:
    if fingerprint(one) == fingerprint(other):
        return True
    return cosine >= NEARLY and set(_NUMBER.findall(one)) == set(_NUMBER.findall(other))


def _cited(turn: TurnRow) -> tuple[str, ...]:
    """Documents by id, in the order in which they were cited."""
    citations: Iterable[dict[str, dict[str, str]]] = turn.receipt.get("citations") or []
    return tuple(dict.fromkeys(c["passage"]["document_id"] for c in citations))[:MOST_PHRASES]


def _candidate(turn: TurnRow) -> Candidate:
    return Candidate(turn.id, turn.question, _cited(turn), turn.feedback == 1, turn.started_at)
