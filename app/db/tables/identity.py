"""People, groups, sessions, keys, and what a sign-in needs to remember."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Text
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime, new_id
from app.domain import now


class PersonRow(SQLModel, table=True):
    __tablename__ = "person"

    id: str = Field(default_factory=lambda: new_id("person"), primary_key=True)
    email: str = Field(unique=True, description="Lower case.")
    name: str
    role: str = "employee"
    role_pinned: bool = Field(default=False, description="Set by an admin; sign-in keeps it.")
    team: str = Field(default="", index=True)
    active: bool = True
    issuer: str = ""
    subject: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GroupMemberRow(SQLModel, table=True):
    """`member` is a principal: a user or another group. `namespace` is `idp` or a connector id."""

    __tablename__ = "group_member"

    namespace: str = Field(primary_key=True)
    group_name: str = Field(primary_key=True)
    member: str = Field(primary_key=True, index=True)


class AudienceRow(SQLModel, table=True):
    """People whom several sets of readers admit at once (a page's space and its restrictions), as one principal.

    `clauses` is a list of lists of principals: somebody belongs who holds at least one of each list.
    """

    __tablename__ = "audience"

    namespace: str = Field(primary_key=True, description="The connector's id.")
    principal: str = Field(primary_key=True)
    clauses: list[list[str]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, default=list)
    )


class PersonPrincipalRow(SQLModel, table=True):
    """The expansion of a person's groups, rewritten at sign-in and whenever a group changes."""

    __tablename__ = "person_principal"

    person_id: str = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True)


class SessionRow(SQLModel, table=True):
    __tablename__ = "session"

    id: str = Field(default_factory=lambda: new_id("sess"), primary_key=True)
    token_hash: str = Field(unique=True, description="SHA-256 of the cookie's token.")
    person_id: str = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_seen_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, description="Absolute end.")
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    user_agent: str = ""
    id_token: str = Field(default="", sa_column=Column(Text, nullable=False, default=""))


class LoginAttemptRow(SQLModel, table=True):
    __tablename__ = "login_attempt"

    state_hash: str = Field(primary_key=True)
    nonce: str
    code_verifier: str
    next_path: str = "/"
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class IssuerKeyRow(SQLModel, table=True):
    """Signing keys of the demo issuer."""

    __tablename__ = "issuer_key"

    kid: str = Field(primary_key=True)
    private_jwk: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class IssuerCodeRow(SQLModel, table=True):
    """Authorization codes of the demo issuer; single use."""

    __tablename__ = "issuer_code"

    code_hash: str = Field(primary_key=True)
    data: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_key"

    id: str = Field(default_factory=lambda: new_id("key"), primary_key=True)
    person_id: str = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    name: str
    prefix: str = Field(description="First characters, to recognise it by.")
    key_hash: str = Field(unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
