"""Conversations of one person. Every function takes the person and answers NotFound for anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session, col

from app.chat.views import ConversationView, TurnView, turn_view
from app.db import Database
from app.db.tables import ConversationRow, TurnRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import ConversationChanged, FeedbackGiven
from app.usage import facts

TITLE_LENGTH = 60
NO_CHAT = "There is no such chat among yours."
UNDO_FOR = timedelta(days=1)


class Chats:
    """The list, the turns and the verdicts. Running a turn is `TurnRunner`'s."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def list(
        self, person: Person, query: str = "", limit: int = 30
    ) -> tuple[ConversationView, ...]:
        """Newest first, at most `limit`; `query` looks into titles, questions and answers."""
        statement = (
            select(ConversationRow.id, ConversationRow.title, ConversationRow.updated_at)  # type: ignore[call-overload]
            .where(
                col(ConversationRow.person_id) == person.id,
                col(ConversationRow.deleted_at).is_(None),
                col(ConversationRow.channel) == "page",
            )
            .order_by(col(ConversationRow.updated_at).desc())
            .limit(limit)
        )
        for word in query.split():
            pattern = f"%{_escaped(word)}%"
            in_turns = select(TurnRow.id).where(  # type: ignore[call-overload]
                col(TurnRow.conversation_id) == col(ConversationRow.id),
                col(TurnRow.hidden_at).is_(None),
                or_(
                    col(TurnRow.question).ilike(pattern, escape="\\"),
                    col(TurnRow.answer).ilike(pattern, escape="\\"),
                ),
            )
            statement = statement.where(
                or_(col(ConversationRow.title).ilike(pattern, escape="\\"), in_turns.exists())
            )
        with self._database.read() as session:
            rows = session.execute(statement).all()
        return tuple(ConversationView(*row) for row in rows)

    def get(self, person: Person, conversation_id: str) -> ConversationView:
        with self._database.read() as session:
            row = owned(session, person, conversation_id)
        return ConversationView(row.id, row.title, row.updated_at, row.deleted_at is not None)

    def turns(
        self, person: Person, conversation_id: str, last: int | None = None
    ) -> tuple[TurnView, ...]:
        """Oldest first, without what was replaced by an edit or a new try; only the `last` ones if asked."""
        with self._database.read() as session:
            owned(session, person, conversation_id)
            rows = session.execute(
                select(TurnRow)
                .where(
                    col(TurnRow.conversation_id) == conversation_id,
                    col(TurnRow.hidden_at).is_(None),
                )
                .order_by(col(TurnRow.position).desc())
                .limit(last)
            ).scalars()
            return tuple(turn_view(row) for row in reversed(list(rows)))

    def turn(self, person: Person, turn_id: str) -> TurnView:
        with self._database.read() as session:
            return turn_view(owned_turn(session, person, turn_id))

    def rename(self, person: Person, conversation_id: str, title: str) -> None:
        title = " ".join(title.split())[:200]
        if not title:
            raise InputError("A chat needs a name.", fix="Type at least one character.")
        self._change(person, conversation_id, "renamed", title=title)

    def delete(self, person: Person, conversation_id: str) -> None:
        """Out of sight at once; gone for good after a day, until when `restore` brings it back."""
        self._change(person, conversation_id, "deleted", deleted_at=self._clock())

    def restore(self, person: Person, conversation_id: str) -> None:
        self._change(person, conversation_id, "restored", deleted_at=None)

    def purge(self) -> int:
        """Removes what was deleted more than a day ago, with its turns; answers how many. Receipts in the log stay."""
        with self._database.write() as session:
            gone = delete(ConversationRow).where(
                col(ConversationRow.deleted_at) < self._clock() - UNDO_FOR
            )
            return session.execute(gone.returning(col(ConversationRow.id))).all().__len__()

    def feedback(self, person: Person, turn_id: str, value: int | None, comment: str = "") -> None:
        """`value` is 1 up, 0 down, None to take it back."""
        if value not in (0, 1, None):
            raise InputError("A verdict is thumbs up or thumbs down.")
        with self._database.write() as session:
            row = owned_turn(session, person, turn_id)
            row.feedback, row.feedback_comment = value, comment.strip()[:2000]
            session.add(row)
            facts.feedback_given(session, turn_id, value)
            self._ledger.append(
                session,
                FeedbackGiven(
                    actor=person.id, subject=turn_id, value=value, commented=bool(comment.strip())
                ),
            )

    def _change(
        self,
        person: Person,
        conversation_id: str,
        change: Literal["renamed", "deleted", "restored"],
        **values: object,
    ) -> None:
        with self._database.write() as session:
            owned(session, person, conversation_id)
            session.execute(
                update(ConversationRow)
                .where(col(ConversationRow.id) == conversation_id)
                .values(**values)
            )
            self._ledger.append(
                session,
                ConversationChanged(actor=person.id, subject=conversation_id, change=change),
            )


def owned(session: Session, person: Person, conversation_id: str) -> ConversationRow:
    """Raises NotFound, in the same words whether it is missing or somebody else's."""
    row = session.get(ConversationRow, conversation_id)
    if row is None or row.person_id != person.id:
        raise NotFound(NO_CHAT)
    return row


def owned_turn(session: Session, person: Person, turn_id: str) -> TurnRow:
    row = session.get(TurnRow, turn_id)
    if row is None or row.person_id != person.id:
        raise NotFound("There is no such answer among yours.")
    return row


def title_of(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
