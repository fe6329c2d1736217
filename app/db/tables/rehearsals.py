"""Golden questions of an intent, rehearsals of a draft on them, and what each side answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, String, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class GoldenQuestionRow(SQLModel, table=True):
    """A question with what a good answer rests on and says. Every admin reads it, so nothing is put in without a click."""

    __tablename__ = "golden_question"
    __table_args__ = (UniqueConstraint("intent", "fingerprint"),)

    id: str = Field(default_factory=lambda: new_id("gold"), primary_key=True)
    intent: str = Field(index=True)
    fingerprint: str = Field(description="SHA-256 of the question without case and spacing.")
    question: str = Field(sa_column=Column(Text, nullable=False))
    sources: list[str] = Field(
        sa_column=Column(JSON, nullable=False),
        description="Document ids; a title or address where no document is known for it.",
    )
    must_say: list[str] = Field(sa_column=Column(JSON, nullable=False))
    must_not_say: list[str] = Field(sa_column=Column(JSON, nullable=False))
    origin: str = Field(default="hand", description="hand, file, answer or traffic.")
    created_by: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RehearsalRow(SQLModel, table=True):
    """`status`: running, finished, stopped, cancelled, interrupted, failed. `before` and `after` are the two routes as they were then."""

    __tablename__ = "rehearsal"

    id: str = Field(default_factory=lambda: new_id("reh"), primary_key=True)
    intent: str = Field(index=True)
    version_id: str
    number: int = Field(description="Of the version that was rehearsed.")
    before: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    after: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    person_id: str = Field(description="With whose eyes; nobody else reads the answers.")
    judge: str = Field(default="", description="A model's id; empty for none.")
    status: str = Field(default="running", index=True)
    questions: int
    done: int = 0
    cost_usd: float = 0.0
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    heartbeat_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RehearsalResultRow(SQLModel, table=True):
    """One golden question as it was then, with both answers. `verdict`: better, same, worse, mixed, unknown or unpaid."""

    __tablename__ = "rehearsal_result"

    id: str = Field(default_factory=lambda: new_id("rres"), primary_key=True)
    rehearsal_id: str = Field(
        sa_column=Column(
            String, ForeignKey("rehearsal.id", ondelete="CASCADE"), nullable=False, index=True
        )
    )
    position: int
    golden: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    before: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    after: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    verdict: str
    reasons: list[str] = Field(sa_column=Column(JSON, nullable=False))
    opinion: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
