"""Action requests and approvals, the built-in request desk, model settings, the audit chain, and usage roll-ups."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Column, Text
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class ActionRequestRow(SQLModel, table=True):
    """`status`: waiting, approved, rejected, running, done, failed. One row for one click, however often it is sent."""

    __tablename__ = "action_request"

    id: str = Field(default_factory=lambda: new_id("act"), primary_key=True)
    offer_id: str = Field(unique=True, description="Makes a second click the same request.")
    action: str
    person_id: str = Field(index=True)
    team: str = Field(default="", index=True, description="The requester's, at that time.")
    turn_id: str = ""
    conversation_id: str = ""
    arguments: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    payload_hash: str
    needs_approval: bool = False
    policy_reason: str = ""
    status: str = Field(default="waiting", index=True)
    decided_by: str | None = None
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decision_comment: str = ""
    outcome: str = ""
    outcome_url: str = ""
    error: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TicketRow(SQLModel, table=True):
    """The built-in request desk. `number` is what people say aloud."""

    __tablename__ = "ticket"

    number: int | None = Field(default=None, primary_key=True)
    idempotency_key: str = Field(unique=True)
    requester_id: str = Field(index=True)
    queue: str
    title: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    priority: str = "normal"
    status: str = "open"
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ModelSettingRow(SQLModel, table=True):
    """What an admin changed about a model of the catalogue; None keeps the catalogue's own value."""

    __tablename__ = "model_setting"

    model_id: str = Field(primary_key=True)
    label: str | None = None
    enabled: bool | None = None
    clearance: int | None = None
    price_in: float | None = Field(default=None, description="US dollars per million tokens.")
    price_out: float | None = None
    context_tokens: int | None = None
    region: str | None = None
    audience: list[str] | None = Field(default=None, sa_type=JSON)
    per_minute: int | None = None
    at_once: int | None = None
    retired_on: date | None = None
    inside: bool | None = None
    free: bool | None = Field(default=None, description="An admin says that it costs nothing.")
    version: int = 1
    changed_by: str = ""
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class EventRow(SQLModel, table=True):
    """The append-only, hash-chained log. `hash` = SHA-256 of `previous` and the canonical body."""

    __tablename__ = "event"

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    type: str = Field(index=True)
    actor: str = Field(default="", index=True, description="Person id, or `system`.")
    subject: str = Field(default="", index=True, description="Turn, connector, session… id.")
    body: str = Field(sa_column=Column(Text, nullable=False), description="Canonical JSON.")
    previous: str
    hash: str


class ChainHeadRow(SQLModel, table=True):
    """Where the chain ends, so that cutting off its tail shows too. One row, id 1."""

    __tablename__ = "chain_head"

    id: int = Field(default=1, primary_key=True)
    seq: int = 0
    hash: str = ""


class UsageFactRow(SQLModel, table=True):
    """One finished turn or action, without its text; what roll-ups are made from. `day` is in UTC."""

    __tablename__ = "usage_fact"

    id: str = Field(primary_key=True, description="Turn or action request id.")
    kind: str = Field(description="question or action")
    day: date = Field(index=True)
    person_id: str
    team: str = Field(index=True)
    intent: str = ""
    model: str = ""
    status: str = ""
    cost_usd: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    with_sources: bool = False
    feedback: int | None = None
    rolled_up: bool = Field(default=False, index=True)


class UsageRollupRow(SQLModel, table=True):
    """Sums by day, team, person, intent and model; pages read only this."""

    __tablename__ = "usage_rollup"

    day: date = Field(primary_key=True)
    team: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    intent: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    questions: int = 0
    with_sources: int = 0
    stopped: int = 0
    failed: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    actions: int = 0
    cost_usd: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
