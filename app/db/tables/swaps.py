"""Versions of an intent's route, which version answered while two were compared, and what was learned of its questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class RouteVersionRow(SQLModel, table=True):
    """`status`: draft, canary, published, retired, rolled_back, discarded. Once it is no draft its content stays as it is."""

    __tablename__ = "route_version"
    __table_args__ = (UniqueConstraint("intent", "number"),)

    id: str = Field(default_factory=lambda: new_id("route"), primary_key=True)
    intent: str = Field(index=True)
    number: int = Field(description="From 1; the routing table's file is 0.")
    status: str = Field(default="draft", index=True)
    content: dict[str, Any] | list[str] = Field(
        sa_column=Column("models", JSON, nullable=False),
        description="`models` in order of preference and `worth_usd`; older versions are the list of models alone.",
    )
    prompt: str = Field(description="A prompt's name; `name@v1` pins a version.")
    temperature: float
    max_tokens: int
    share: float = Field(default=0.0, description="Of people, while it is a canary; 0 to 1.")
    note: str = Field(default="", description="Why it ended, in words.")
    created_by: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    canary_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    @property
    def models(self) -> list[str]:
        """In order of preference."""
        found = self.content["models"] if isinstance(self.content, dict) else self.content
        return list(found)

    @property
    def weighs(self) -> bool:
        """Whether this version says itself if models are asked in the order of expected score and cost; older ones leave it to
        the routing table's file."""
        return isinstance(self.content, dict)

    @property
    def worth_usd(self) -> float | None:
        """What a good answer is worth where models are asked in that order; None where they are asked in their own."""
        return self.content.get("worth_usd") if isinstance(self.content, dict) else None


class RouteOutcomeRow(SQLModel, table=True):
    """A turn that was answered while its intent had a canary. `arm`: canary or baseline."""

    __tablename__ = "route_outcome"

    turn_id: str = Field(primary_key=True)
    canary_id: str = Field(index=True, description="The version that was being tried at the time.")
    arm: str
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DifficultyRow(SQLModel, table=True):
    """What was learned about how well each model answers an intent's questions (app.routing.difficulty). No word of them."""

    __tablename__ = "difficulty"
    __table_args__ = (UniqueConstraint("intent", "number"),)

    id: str = Field(default_factory=lambda: new_id("score"), primary_key=True)
    intent: str = Field(index=True)
    number: int = Field(description="From 1, for each intent.")
    form: str = Field(description="Of the weights, and the fingerprint of the embedder.")
    outcomes: dict[str, int] = Field(
        sa_column=Column(JSON, nullable=False), description="How many there were, by model."
    )
    answer_tokens: dict[str, float] = Field(
        sa_column=Column(JSON, nullable=False), description="Of an answer on average, by model."
    )
    weights: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sha256: str = Field(description="Of the weights.")
    learned_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
