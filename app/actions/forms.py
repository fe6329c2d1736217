"""What people fill in before a button's effect: one frozen model an action. `title` is a field's label, `description` its help."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.form_faults import MISSING

MOST_USD = 1_000_000.0
HIDDEN: JsonDict = {"hidden": True}
"""For `json_schema_extra`: what the offer knows already, so nobody is asked for it."""


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class TicketForm(Form):
    title: str = Field(
        min_length=3,
        max_length=120,
        title="Title",
        json_schema_extra={MISSING: "Say in a few words what it is about."},
    )
    body: str = Field(
        min_length=1,
        max_length=4000,
        title="Description",
        description="What is wrong or needed?",
        json_schema_extra={MISSING: "Say what is wrong or needed."},
    )
    queue: Literal["IT", "Facilities", "People", "Finance"] = Field(title="Queue")
    priority: Literal["low", "normal", "high", "urgent"] = Field("normal", title="Priority")


class MessageForm(Form):
    subject: str = Field(
        min_length=3,
        max_length=120,
        title="Subject",
        json_schema_extra={MISSING: "Say in a few words what it is about."},
    )
    message: str = Field(
        min_length=1,
        max_length=4000,
        title="Message",
        json_schema_extra={MISSING: "Write what they should read."},
    )
    requested_for: str = Field(
        "", max_length=120, title="Requested for", description="Somebody else's name, if any."
    )


class MoreBudgetForm(Form):
    """`budget_id`, `key` and `starts` name the sum that has no room."""

    amount_usd: float = Field(
        ge=0.01,
        le=MOST_USD,
        title="How much more, in US dollars",
        description="Until the budget renews; then its limit is as before.",
    )
    reason: str = Field(
        min_length=3,
        max_length=500,
        title="What for",
        json_schema_extra={MISSING: "Say in a few words why you need it."},
    )
    budget_id: str = Field(json_schema_extra=HIDDEN)
    key: str = Field(json_schema_extra=HIDDEN)
    starts: date = Field(json_schema_extra=HIDDEN)
