"""Models that an admin added, and the keys of providers' accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class ModelRow(SQLModel, table=True):
    """A model beside those of the settings. What may change later is in ModelSettingRow, as for every model."""

    __tablename__ = "model"

    id: str = Field(primary_key=True)
    provider: str
    model_name: str
    label: str
    base_url: str = ""
    inside: bool = Field(
        default=False, description="Its address may lie in the company's own network."
    )
    context_tokens: int
    clearance: int
    price_in: float = Field(description="US dollars per million tokens.")
    price_out: float
    modalities: str = Field(default="text", description="Comma-separated.")
    added_by: str
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ProviderKeyRow(SQLModel, table=True):
    """One key of an account, sealed: moved to another row it cannot be opened. `ending` is all that is ever shown."""

    __tablename__ = "provider_key"

    id: str = Field(default_factory=lambda: new_id("pkey"), primary_key=True)
    account: str = Field(index=True)
    ending: str
    key_id: str
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    added_by: str
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
