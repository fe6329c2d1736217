"""What an administrator fills in."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets
from connectors.sql.kinds import parse_kinds

OPTIONS = {"sslmode", "sslrootcert", "connect_timeout", "application_name", "target_session_attrs"}


class SqlSettings(ClassedSettings):
    url: str = Field(
        title="Address",
        description="Such as postgresql://reader@db.example.com:5432/crm?sslmode=verify-full or sqlite:////data/kb.db, "
        "without a password.",
    )
    kinds: str = Field(
        title="Document kinds",
        description="TOML: a [[kind]] block with a query for each kind of document; the help shows the format.",
    )
    groups_query: str = Field(
        default="",
        title="Groups query",
        description="A query with two columns: a group's name, and a member (an e-mail address, or group:<name> for a group "
        "inside it). Empty when readers columns name no groups.",
    )
    allow_everyone: bool = Field(
        default=False,
        title="Allow 'everyone'",
        description="The word everyone in a readers column means everybody who can sign in here. Off: it admits nobody.",
    )
    statement_timeout_s: int = Field(
        default=60,
        ge=1,
        le=3600,
        title="Longest statement (seconds)",
        description="The database ends a query that takes longer.",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip()
        parts = urlsplit(address)
        if parts.password is not None:
            raise ValueError("leave the password out of the address; it has a field of its own")
        if parts.scheme == "sqlite":
            if not address.startswith("sqlite:////") or parts.query:
                raise ValueError("write sqlite://// and the file's absolute path, without options")
            return address
        if parts.scheme != "postgresql" or not parts.hostname or len(parts.path) < 2:
            raise ValueError("start with postgresql://user@host/database or sqlite:////path")
        others = {key for key, _ in parse_qsl(parts.query, keep_blank_values=True)} - OPTIONS
        if others:
            raise ValueError(
                f"the option {sorted(others)[0]} is not allowed; {', '.join(sorted(OPTIONS))} are"
            )
        return address

    @field_validator("kinds")
    @classmethod
    def _kinds(cls, value: str) -> str:
        parse_kinds(value)
        return value


class SqlSecrets(Secrets):
    password: SecretStr = Field(
        default=SecretStr(""),
        title="Password",
        description="Of the database user in the address; empty for SQLite.",
    )
