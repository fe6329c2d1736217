"""What Jira's answers hold, as frozen dataclasses. A row without an id raises `Malformed`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.atlassian import Account, Json, email_of, one_line


class Malformed(Exception):
    """A row without its id."""


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    key: str
    name: str
    lead: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a permission or a security level names; `value` is an account's, group's or role's id."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    author: str
    at: str
    body: Any
    narrowed: bool


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    title: str
    size: int
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Issue:
    """`level` is its security level: empty for none, None where the answer does not say."""

    id: str
    key: str
    project: str
    updated: str
    level: str | None
    reporter: Account | None
    assignee: Account | None
    attachments: tuple[Attachment, ...]
    comments: tuple[Comment, ...]
    comments_total: int
    fields: Json


def project(row: Json) -> Project:
    key = str(row.get("key") or row["id"])
    lead = str((row.get("lead") or {}).get("accountId") or "")
    return Project(str(row["id"]), key, one_line(row.get("name")) or key, lead)


def account(row: object) -> Account | None:
    if not isinstance(row, dict) or not row.get("accountId"):
        return None
    return Account(
        id=str(row["accountId"]),
        name=one_line(row.get("displayName")),
        email=email_of(row.get("emailAddress")),
        active=row.get("active") is True,
        person=row.get("accountType") == "atlassian",
        guest=False,
    )


def holder(row: Json) -> Holder:
    """`value` replaces `parameter` where both are given: for groups it is the id, not the name."""
    found = row.get("holder") or {}
    return Holder(
        str(found.get("type") or ""), str(found.get("value") or found.get("parameter") or "")
    )


def comment(row: Json) -> Comment:
    author = one_line((row.get("author") or {}).get("displayName"))
    narrowed = bool(row.get("visibility")) or row.get("jsdPublic") is False
    return Comment(
        str(row.get("id") or ""), author, str(row.get("created") or ""), row.get("body"), narrowed
    )


def attachment(row: Json) -> Attachment:
    size = row.get("size")
    return Attachment(
        str(row.get("id") or ""),
        one_line(row.get("filename")),
        size if isinstance(size, int) else 0,
        moment(row.get("created")),
    )


def issue(row: Json) -> Issue:
    fields = row.get("fields")
    if not row.get("id") or not isinstance(fields, dict):
        raise Malformed
    said = fields.get("comment") or {}
    level = fields.get("security") if "security" in fields else {"id": None}
    return Issue(
        id=str(row["id"]),
        key=str(row.get("key") or row["id"]),
        project=str((fields.get("project") or {}).get("id") or ""),
        updated=str(fields.get("updated") or ""),
        level=_level(level),
        reporter=account(fields.get("reporter")),
        assignee=account(fields.get("assignee")),
        attachments=tuple(attachment(r) for r in fields.get("attachment") or () if r.get("id")),
        comments=tuple(comment(r) for r in said.get("comments") or ()),
        comments_total=int(said.get("total") or 0),
        fields=fields,
    )


def moment(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo else None


def _level(value: object) -> str | None:
    if value is None:
        return ""
    id = value.get("id") if isinstance(value, dict) else None
    return str(id) if id else None
