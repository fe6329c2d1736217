"""Connectors, documents, who may read them, their chunks, and the outbox that the index follows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class ConnectorRow(SQLModel, table=True):
    """`status`: scheduled, active, paused, failing, deleting."""

    __tablename__ = "connector"

    id: str = Field(default_factory=lambda: new_id("con"), primary_key=True)
    kind: str = Field(description="Entry-point name of the connector package.")
    name: str = Field(unique=True)
    settings: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    status: str = "scheduled"
    version: int = Field(default=1, description="Counts configuration changes.")
    sync_every_s: int = 1800
    permissions_max_age_s: int = Field(
        default=86400, description="Older permissions are not trusted."
    )
    checkpoint: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_sync_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DocumentRow(SQLModel, table=True):
    __tablename__ = "document"
    __table_args__ = (UniqueConstraint("connector_id", "source_id"),)

    id: str = Field(default_factory=lambda: new_id("doc"), primary_key=True)
    connector_id: str = Field(foreign_key="connector.id", ondelete="CASCADE")
    source_id: str
    title: str
    url: str = ""
    space: str = ""
    mime: str = "text/plain"
    bytes: int = 0
    data_class: int = 1
    content_hash: str = ""
    access_hash: str = ""
    access_known: bool = Field(default=False, description="False means nobody may read it.")
    text: str = Field(default="", sa_column=Column(Text, nullable=False, default=""))
    modified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    synced_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    permissions_checked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DocumentReaderRow(SQLModel, table=True):
    __tablename__ = "document_reader"

    document_id: str = Field(primary_key=True, foreign_key="document.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True, index=True)


class ChunkRow(SQLModel, table=True):
    """`id` is a UUID, as the index wants it."""

    __tablename__ = "chunk"

    id: str = Field(primary_key=True)
    document_id: str = Field(foreign_key="document.id", index=True, ondelete="CASCADE")
    ordinal: int
    heading: str = ""
    text: str = Field(sa_column=Column(Text, nullable=False))


class OutboxRow(SQLModel, table=True):
    """What the index still has to do: `put` a document's chunks, change its `access`, or `delete` chunk ids."""

    __tablename__ = "index_outbox"

    seq: int | None = Field(default=None, primary_key=True)
    operation: str
    document_id: str
    chunk_ids: list[str] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, default=list)
    )
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class SyncRunRow(SQLModel, table=True):
    """`status`: queued, running, cancelling, finished, failed, cancelled, interrupted.

    Counts: seen, added, changed, access, removed, failed, chunks, embedded.
    """

    __tablename__ = "sync_run"

    id: str = Field(default_factory=lambda: new_id("sync"), primary_key=True)
    connector_id: str = Field(foreign_key="connector.id", index=True, ondelete="CASCADE")
    status: str = "queued"
    stage: str = ""
    counts: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    error: str = ""
    fix: str = ""
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SyncFailureRow(SQLModel, table=True):
    """A document that failed at its last try; gone when it succeeds or leaves the source."""

    __tablename__ = "sync_failure"

    connector_id: str = Field(primary_key=True, foreign_key="connector.id", ondelete="CASCADE")
    source_id: str = Field(primary_key=True)
    name: str
    cause: str
    fix: str = ""
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
