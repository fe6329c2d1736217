"""Connectors, documents, who may read them, their chunks, and the outbox that the index follows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class ConnectorRow(SQLModel, table=True):
    """`status`: scheduled, active, paused, failing, held, deleting. Held: its last sync would have removed too much.

    `permissions_at` is when the source last confirmed the readers of every document, `groups_at` the members of its groups;
    None where it has not, or has no such thing.
    """

    __tablename__ = "connector"

    id: str = Field(default_factory=lambda: new_id("con"), primary_key=True)
    kind: str = Field(description="Entry-point name of the connector package.")
    name: str = Field(unique=True)
    settings: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    credential_id: str | None = None
    status: str = "scheduled"
    version: int = Field(default=1, description="Counts configuration changes.")
    sync_every_s: int = 1800
    permissions_every_s: int = 300
    groups_every_s: int = 300
    permissions_max_age_s: int = Field(
        default=86400, description="Older permissions are not trusted."
    )
    requests_per_minute: int = 600
    removal_share: float = Field(
        default=0.3, description="Part of the documents one sync may remove."
    )
    removals_allowed: int = Field(default=0, description="What an admin let the next sync remove.")
    checkpoint: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    access_state: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_sync_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    permissions_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    groups_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    stale_since: datetime | None = Field(
        default=None, sa_type=UtcDateTime, description="An alert was recorded; None when fresh."
    )


class CredentialRow(SQLModel, table=True):
    """A named set of secrets for one kind of source; several connectors may use it."""

    __tablename__ = "credential"

    id: str = Field(default_factory=lambda: new_id("cred"), primary_key=True)
    kind: str
    name: str = Field(unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class SecretRow(SQLModel, table=True):
    """One field of a credential, sealed: moved to another row or field it cannot be opened."""

    __tablename__ = "secret"

    credential_id: str = Field(primary_key=True, foreign_key="credential.id", ondelete="CASCADE")
    field: str = Field(primary_key=True)
    key_id: str
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


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


class SyncRequestRow(SQLModel, table=True):
    """Something to look at again soon: one document, or all of a scope where `source_id` is empty.

    Left by webhooks, watchers and *Retry*; gone when a run that began later has done it.
    """

    __tablename__ = "sync_request"

    seq: int | None = Field(default=None, primary_key=True)
    connector_id: str = Field(foreign_key="connector.id", index=True, ondelete="CASCADE")
    scope: str = "content"
    source_id: str = ""
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class SyncRunRow(SQLModel, table=True):
    """`scope`: content, permissions, groups. `mode` of a content run: changes, full, refetch.
    `status`: queued, running, cancelling, finished, failed, held, cancelled, interrupted.

    Counts: seen, added, changed, access, removed, failed, chunks, embedded; done and total as the source tells them.
    Timings, in seconds: queue, fetch, parse, embed, store, index.
    """

    __tablename__ = "sync_run"

    id: str = Field(default_factory=lambda: new_id("sync"), primary_key=True)
    connector_id: str = Field(foreign_key="connector.id", index=True, ondelete="CASCADE")
    scope: str = "content"
    mode: str = "changes"
    status: str = "queued"
    stage: str = ""
    counts: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    timings: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, default=dict)
    )
    error: str = ""
    fix: str = ""
    detail: str = Field(default="", description="For the person who looks into it; no secrets.")
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    began_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReaderChangeRow(SQLModel, table=True):
    """One change in who can see what: principals before and after; empty lists for nobody or no document."""

    __tablename__ = "reader_change"

    seq: int | None = Field(default=None, primary_key=True)
    connector_id: str = Field(foreign_key="connector.id", index=True, ondelete="CASCADE")
    run_id: str
    source_id: str
    title: str
    gained: list[str] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, default=list)
    )
    lost: list[str] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, default=list)
    )
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class SyncFailureRow(SQLModel, table=True):
    """A document that failed at its last try; gone when it succeeds or leaves the source."""

    __tablename__ = "sync_failure"

    connector_id: str = Field(primary_key=True, foreign_key="connector.id", ondelete="CASCADE")
    source_id: str = Field(primary_key=True)
    name: str
    cause: str
    fix: str = ""
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
