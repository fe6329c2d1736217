"""Conversations and their turns. A turn holds a question, its answer as far as it got, and the receipt."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Text
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class ConversationRow(SQLModel, table=True):
    __tablename__ = "conversation"

    id: str = Field(default_factory=lambda: new_id("chat"), primary_key=True)
    person_id: str = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    title: str = "New chat"
    channel: str = Field(default="page", description="page or api; the list shows page only.")
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TurnRow(SQLModel, table=True):
    """`status`: running, finished, stopped, failed, interrupted. A regenerated or edited turn hides what it replaces."""

    __tablename__ = "turn"

    id: str = Field(default_factory=lambda: new_id("turn"), primary_key=True)
    conversation_id: str = Field(foreign_key="conversation.id", index=True, ondelete="CASCADE")
    person_id: str = Field(index=True)
    position: int = 0
    question: str = Field(sa_column=Column(Text, nullable=False))
    model_wish: str | None = None
    status: str = Field(default="running", index=True)
    answer: str = Field(default="", sa_column=Column(Text, nullable=False, default=""))
    error: str = ""
    intent: str = ""
    model: str = ""
    receipt: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    offers: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, default=list)
    )
    hidden_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    replaces: str | None = None
    feedback: int | None = Field(default=None, description="1 up, 0 down.")
    feedback_comment: str = ""
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    heartbeat_at: datetime | None = Field(
        default=None,
        sa_type=UtcDateTime,
        description="Moved on while the turn runs; old means its process died.",
    )
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
