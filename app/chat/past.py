"""What came before in a conversation: read for the next question, hidden when a question is put again."""

from __future__ import annotations

from sqlalchemy import update
from sqlmodel import Session, col

from app.chat.statements import HISTORY, statements
from app.chat.store import owned_turn
from app.db.tables import TurnRow
from app.domain import DataClass, Exchange, Person, now
from app.errors import InputError


def past_of(session: Session, conversation_id: str) -> tuple[int, tuple[Exchange, ...]]:
    """The next free position and the last exchanges that were answered, oldest first."""
    rows = session.connection().execute(statements().past, {"conversation": conversation_id}).all()
    answered = [row for row in rows if row.status in ("finished", "stopped")][:HISTORY]
    position = rows[0].position + 1 if rows else 0
    return position, tuple(
        Exchange(
            row.question,
            row.answer,
            DataClass.INTERNAL if row.data_class is None else DataClass(row.data_class),
        )
        for row in reversed(answered)
    )


def hide_from(session: Session, person: Person, conversation_id: str, turn_id: str) -> None:
    """Hides a turn and those after it: they answered a question that is now put differently."""
    row = owned_turn(session, person, turn_id)
    if row.conversation_id != conversation_id:
        raise InputError("That question belongs to another chat.")
    session.execute(
        update(TurnRow)
        .where(
            col(TurnRow.conversation_id) == conversation_id,
            col(TurnRow.position) >= row.position,
            col(TurnRow.hidden_at).is_(None),
        )
        .values(hidden_at=now())
    )
