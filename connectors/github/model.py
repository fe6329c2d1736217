"""GitHub's repositories, issues, files and accounts as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Repository:
    """`visibility` is public, internal or private; what does not say is private."""

    id: str
    name: str
    full_name: str
    visibility: str
    branch: str
    archived: bool
    fork: bool
    url: str


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may be a reader."""

    login: str
    active: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """`kind` is comment, review or review comment."""

    author: str
    created: str
    text: str
    kind: str = "comment"


@dataclass(frozen=True, slots=True)
class Issue:
    number: int
    title: str
    text: str
    author: str
    state: str
    labels: tuple[str, ...]
    created: str
    updated: str
    url: str
    comments: int
    pull_request: bool


@dataclass(frozen=True, slots=True)
class File:
    """`sha` is the blob's, which changes with the content."""

    path: str
    sha: str
    size: int


def parse_repository(row: Json) -> Repository:
    visibility = str(row.get("visibility") or "private")
    if visibility == "public" and row.get("private") is not False:
        visibility = "private"
    return Repository(
        id=str(row["id"]),
        name=str(row["name"]),
        full_name=str(row["full_name"]),
        visibility=visibility,
        branch=str(row.get("default_branch") or "main"),
        archived=bool(row.get("archived")),
        fork=bool(row.get("fork")),
        url=str(row.get("html_url") or ""),
    )


def parse_issue(row: Json) -> Issue:
    return Issue(
        number=int(row["number"]),
        title=str(row.get("title") or ""),
        text=str(row.get("body") or ""),
        author=_login(row),
        state=str(row.get("state") or ""),
        labels=tuple(str(label.get("name")) for label in row.get("labels") or ()),
        created=str(row.get("created_at") or ""),
        updated=str(row["updated_at"]),
        url=str(row.get("html_url") or ""),
        comments=int(row.get("comments") or 0),
        pull_request="pull_request" in row,
    )


def parse_comment(row: Json, kind: str) -> Comment:
    created = str(row.get("created_at") or row.get("submitted_at") or "")
    return Comment(_login(row), created, str(row.get("body") or ""), kind)


def _login(row: Json) -> str:
    return str((row.get("user") or {}).get("login") or "ghost")


def parse_account(row: Json) -> Account:
    active = not row.get("suspended_at") and row.get("type", "User") == "User"
    return Account(str(row["login"]), active)


def is_file(row: Json) -> bool:
    """Neither folders, nor other repositories, nor links (120000), whose content is a path."""
    return row.get("type") == "blob" and row.get("mode") in {"100644", "100755"}


def parse_file(row: Json, above: str) -> File:
    return File(f"{above}{row['path']}", str(row["sha"]), int(row.get("size") or 0))
