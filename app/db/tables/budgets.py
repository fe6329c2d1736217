"""Budgets, what each has spent and holds in a period, and the reservations behind those sums. Money is micro-dollars."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class BudgetRow(SQLModel, table=True):
    """`scope`: company, team, person, model or intent. `scope_id` names one of them; `*` gives each its own sum."""

    __tablename__ = "budget"
    __table_args__ = (UniqueConstraint("scope", "scope_id", "period"),)

    id: str = Field(default_factory=lambda: new_id("budget"), primary_key=True)
    scope: str
    scope_id: str
    period: str = Field(description="day or month, in the company's time zone")
    limit_micro: int = Field(sa_type=BigInteger)
    notice_share: float = 0.8
    set_by: str = ""
    set_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class BudgetSumRow(SQLModel, table=True):
    """What one budget has spent and holds for one key (a person, a team…) in the period that begins on `starts`."""

    __tablename__ = "budget_sum"

    budget_id: str = Field(
        sa_column=Column(String, ForeignKey("budget.id", ondelete="CASCADE"), primary_key=True)
    )
    key: str = Field(primary_key=True)
    starts: date = Field(primary_key=True)
    spent_micro: int = Field(default=0, sa_type=BigInteger)
    reserved_micro: int = Field(default=0, sa_type=BigInteger)
    extra_micro: int = Field(
        default=0, sa_type=BigInteger, description="Granted for this period only, on request."
    )
    noticed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BudgetReservationRow(SQLModel, table=True):
    """One call of a model. `status`: held, settled (by its turn) or expired (by the sweep, until its turn says better).

    `sums` lists the (budget id, key, start) that hold `reserved_micro`; `prompt_micro` is the part of it that is due as soon
    as the prompt is sent.
    """

    __tablename__ = "budget_reservation"

    id: str = Field(default_factory=lambda: new_id("res"), primary_key=True)
    turn_id: str = Field(index=True)
    model: str
    sums: list[Any] = Field(sa_column=Column(JSON, nullable=False))
    reserved_micro: int = Field(sa_type=BigInteger)
    prompt_micro: int = Field(sa_type=BigInteger)
    price_out: float = Field(description="Micro-dollars a token.")
    settled_micro: int = Field(default=0, sa_type=BigInteger)
    status: str = Field(default="held", index=True)
    reserved_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
