"""What admins changed about the intents of routes.toml, version by version; corrections; who lets others read questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime
from app.domain import now


class IntentVersionRow(SQLModel, table=True):
    """All edits to the file's table as they stood when `version` was published; the highest version is in force."""

    __tablename__ = "intent_version"

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    edits: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    published_by: str
    published_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class IntentDraftRow(SQLModel, table=True):
    """The one draft that admins share: edits that start from `base` and are in force nowhere."""

    __tablename__ = "intent_draft"

    id: int = Field(default=1, primary_key=True)
    base: int
    edits: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    changed_by: str
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class IntentCorrectionRow(SQLModel, table=True):
    """Somebody said what a question's intent should have been. The question itself stays in its turn, and goes with it."""

    __tablename__ = "intent_correction"

    turn_id: str = Field(primary_key=True, foreign_key="turn.id", ondelete="CASCADE")
    was: str
    should_be: str
    corrected_by: str
    corrected_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class QuestionSharingRow(SQLModel, table=True):
    """Whether admins may read a person's questions, to improve the intents and to rehearse routes on good ones. No row means no."""

    __tablename__ = "question_sharing"

    person_id: str = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE")
    allowed: bool = False
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
