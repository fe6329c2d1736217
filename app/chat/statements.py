"""The statements on the way of every question, compiled once. Plain Core: the ORM's bookkeeping costs more than the work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Executable, Select, bindparam, insert, select, update
from sqlmodel import col

from app.db.tables import ConversationRow, TurnRow

HISTORY = 6


@dataclass(frozen=True, slots=True)
class Statements:
    add_conversation: Executable
    touch_conversation: Executable
    owner: Select[Any]
    past: Select[Any]
    add_turn: Executable
    progress: Executable
    end: Executable


@cache
def statements() -> Statements:
    turn, conversation = TurnRow.__table__, ConversationRow.__table__  # type: ignore[attr-defined]
    return Statements(
        add_conversation=insert(conversation),
        touch_conversation=update(conversation)
        .where(conversation.c.id == bindparam("conversation"))
        .values(updated_at=bindparam("at"), deleted_at=None),
        owner=select(conversation.c.person_id).where(
            conversation.c.id == bindparam("conversation")
        ),
        past=select(
            turn.c.position,
            turn.c.question,
            turn.c.answer,
            turn.c.status,
            turn.c.receipt["data_class"].as_integer().label("data_class"),
        )
        .where(
            col(TurnRow.conversation_id) == bindparam("conversation"),
            col(TurnRow.hidden_at).is_(None),
        )
        .order_by(turn.c.position.desc())
        .limit(HISTORY * 2),
        add_turn=insert(turn),
        progress=update(turn)
        .where(turn.c.id == bindparam("turn"), turn.c.status == "running")
        .values(answer=bindparam("text"), heartbeat_at=bindparam("at")),
        end=update(turn)
        .where(turn.c.id == bindparam("turn"), turn.c.status == "running")
        .values(
            status=bindparam("new_status"),
            answer=bindparam("text"),
            error=bindparam("problem"),
            intent=bindparam("intent_name"),
            model=bindparam("model_id"),
            receipt=bindparam("receipt_json", type_=turn.c.receipt.type),
            offers=bindparam("offers_json", type_=turn.c.offers.type),
            finished_at=bindparam("at"),
        ),
    )
