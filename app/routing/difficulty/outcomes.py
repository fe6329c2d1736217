"""What came of earlier questions: the score of each turn that somebody or something judged.

A thumb counts as it points. Without one, a turn whose question was put again word for word, and one that failed while a model
answered, count as 0: no good answer came of either. A turn that its reader stopped, that was interrupted with its process, or that
nobody judged says nothing. Deleted conversations are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.db import Database
from app.db.tables import ConversationRow, TurnRow, UsageFactRow

MOST = 4_000  # the newest of an intent


@dataclass(frozen=True, slots=True)
class Outcome:
    """`score` is 0 or 1; `answer_tokens` None where nothing is known of them."""

    text: str
    model: str
    score: float
    answer_tokens: int | None


def outcomes(database: Database, intent: str, since: datetime) -> list[Outcome]:
    """Newest first, of turns that began after `since`."""
    again = aliased(TurnRow)
    judged = or_(
        col(TurnRow.feedback).is_not(None),
        col(again.id).is_not(None),
        col(TurnRow.status) == "failed",
    )
    statement = (
        select(
            col(TurnRow.id),
            col(TurnRow.question),
            col(TurnRow.model),
            col(TurnRow.feedback),
            col(UsageFactRow.completion_tokens),
        )
        .join(ConversationRow, col(ConversationRow.id) == col(TurnRow.conversation_id))
        .outerjoin(
            again,
            and_(
                col(again.replaces) == col(TurnRow.id), col(again.question) == col(TurnRow.question)
            ),
        )
        .outerjoin(UsageFactRow, col(UsageFactRow.id) == col(TurnRow.id))
        .where(
            col(TurnRow.intent) == intent,
            col(TurnRow.started_at) >= since,
            col(TurnRow.model) != "",
            col(TurnRow.status).in_(("finished", "failed")),
            col(ConversationRow.deleted_at).is_(None),
            judged,
        )
        .order_by(col(TurnRow.started_at).desc(), col(TurnRow.id))
        .limit(MOST)
    )
    with database.read() as session:
        rows = {row.id: row for row in session.execute(statement)}
    return [
        Outcome(row.question, row.model, float(row.feedback or 0), row.completion_tokens)
        for row in rows.values()
    ]
