"""What Redmine's REST API answers, parsed into frozen dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from connectors.contract import SourceFault

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    identifier: str
    name: str
    status: int
    public: bool
    modules: frozenset[str]
    trackers: frozenset[int]


@dataclass(frozen=True, slots=True)
class User:
    """An active account. `mail` is in lower case and may be empty."""

    id: int
    login: str
    mail: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Role:
    """`visibility` is all, default or own; anything else sees nothing."""

    id: int
    permissions: frozenset[str]
    visibility: str


@dataclass(frozen=True, slots=True)
class Attachment:
    id: int
    filename: str
    size: int
    created: str


@dataclass(frozen=True, slots=True)
class Comment:
    author: str
    created: str
    text: str


@dataclass(frozen=True, slots=True)
class Issue:
    """`assignee` is a person's or a group's id; Redmine numbers both from one sequence. `comments` only from `issue()`."""

    id: int
    project: int
    tracker: int
    author: int
    assignee: int
    private: bool
    subject: str
    description: str
    updated: str
    facts: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    comments: tuple[Comment, ...] = ()


@dataclass(frozen=True, slots=True)
class WikiPage:
    """`text` only from `wiki_page()`."""

    project: int
    title: str
    version: int
    updated: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class News:
    id: int
    project: int
    title: str
    summary: str
    text: str
    author: str
    created: str


@dataclass(frozen=True, slots=True)
class Membership:
    """`kind` is user, group or group_non_member (what people outside a public project may do)."""

    kind: str
    principal: int
    roles: frozenset[int]


P = ParamSpec("P")
T = TypeVar("T")


def documented(parse: Callable[P, T]) -> Callable[P, T]:
    """An answer of another shape than the API promises becomes a fault in words."""

    @wraps(parse)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return parse(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
            raise SourceFault(
                "Redmine's answer is not what its API promises.",
                "Check the address and what stands in front of it; Redmine 5.0 or newer is needed.",
            ) from None

    return checked


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@documented
def parse_membership(row: Json) -> Membership:
    kind = next(k for k in row if k not in {"id", "project", "roles"})
    return Membership(kind, row[kind]["id"], frozenset(role["id"] for role in row["roles"]))


@documented
def parse_attachment(row: Json) -> Attachment:
    return Attachment(row["id"], row["filename"], int(row.get("filesize") or 0), row["created_on"])


@documented
def parse_news(row: Json) -> News:
    return News(
        id=row["id"],
        project=row["project"]["id"],
        title=row["title"],
        summary=row.get("summary") or "",
        text=row.get("description") or "",
        author=row.get("author", {}).get("name", ""),
        created=row["created_on"],
    )


@documented
def parse_issue(row: Json) -> Issue:
    """Private comments are left out: only some roles see them. Custom fields too: they have readers of their own."""
    named = ("tracker", "status", "priority", "category", "fixed_version", "author", "assigned_to")
    return Issue(
        id=row["id"],
        project=row["project"]["id"],
        tracker=row["tracker"]["id"],
        author=row["author"]["id"],
        assignee=row.get("assigned_to", {}).get("id", 0),
        private=row.get("is_private") is not False,
        subject=row["subject"],
        description=row.get("description") or "",
        updated=row["updated_on"],
        facts=tuple((name, row[name]["name"]) for name in named if name in row),
        attachments=tuple(parse_attachment(a) for a in row.get("attachments", ())),
        comments=tuple(
            Comment(j.get("user", {}).get("name", ""), j["created_on"], j["notes"])
            for j in row.get("journals", ())
            if j.get("notes") and j.get("private_notes") is False
        ),
    )
