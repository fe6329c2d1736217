"""What Confluence's answers hold, as frozen dataclasses. A row that lacks what is needed raises `Malformed`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.atlassian import Account, Json, email_of, one_line

CONTAINERS = {"folder": "folders", "whiteboard": "whiteboards", "database": "databases"}
"""What a page can lie in besides pages, and the part of the address where it is asked for."""
CONTAINERS |= {"embed": "embeds", "page": "pages"}
ANONYMOUS = {"anonymous-users", "anonymous"}
SIGNED_IN = {"authenticated-users", "all-licensed-users"}
"""Access classes of space permissions ("Space Roles" of the REST API); others admit nobody here."""


class Malformed(Exception):
    """A row without its id or its version."""

    def __init__(self, id: str = "") -> None:
        super().__init__(id)
        self.id = id


@dataclass(frozen=True, slots=True)
class Space:
    id: str
    key: str
    name: str
    personal: bool


@dataclass(frozen=True, slots=True)
class Node:
    """Where something lies. `parent` is empty at the top, and None where the source does not say."""

    id: str
    parent: str | None
    parent_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page or a blog post; `storage` is its body where it was asked for. `broken` ones lack their version."""

    id: str
    kind: str
    space: str
    title: str
    node: Node
    version: int
    status: str
    path: str
    modified_at: datetime | None
    storage: str | None = None

    @property
    def broken(self) -> bool:
        return self.version < 1


@dataclass(frozen=True, slots=True)
class Grants:
    """Who may view a space: accounts, groups, and the two kinds of everybody."""

    users: frozenset[str]
    groups: frozenset[str]
    anonymous: bool
    signed_in: bool


@dataclass(frozen=True, slots=True)
class Restriction:
    """Who alone may view a page and all below it; neither users nor groups: no restriction."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @property
    def narrows(self) -> bool:
        return bool(self.users or self.groups)


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    container: str
    version: int
    author: str
    at: str
    storage: str


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    page: str
    title: str
    size: int
    version: int
    modified_at: datetime | None
    path: str


def space(row: Json) -> Space:
    key = str(row.get("key") or row["id"])
    return Space(str(row["id"]), key, one_line(row.get("name")) or key, row.get("type") != "global")


def page(row: Json, kind: str) -> Page:
    version = row.get("version") or {}
    body = ((row.get("body") or {}).get("storage") or {}).get("value")
    return Page(
        id=_id(row),
        kind=kind,
        space=str(row.get("spaceId") or ""),
        title=one_line(row.get("title")),
        node=node(row) if kind == "page" else Node(_id(row), "", ""),
        version=_number(version.get("number")),
        status=str(row.get("status") or ""),
        path=_path(row),
        modified_at=moment(version.get("createdAt")),
        storage=body if isinstance(body, str) else None,
    )


def node(row: Json) -> Node:
    """A parent that is not named at all is unknown, which is not the same as none."""
    parent = str(row["parentId"] or "") if "parentId" in row else None
    return Node(_id(row), parent, str(row.get("parentType") or "page").lower())


def grants(rows: list[Json]) -> Grants:
    """Only `read` of the space itself admits."""
    users, groups, classes = set[str](), set[str](), set[str]()
    kinds = {"user": users, "group": groups, "role": classes, "access_class": classes}
    for row in rows:
        operation, principal = row.get("operation") or {}, row.get("principal") or {}
        if operation.get("key") != "read" or operation.get("targetType") != "space":
            continue
        found = kinds.get(str(principal.get("type")).lower())
        if found is not None and principal.get("id"):
            found.add(str(principal["id"]))
    named = {name.lower().replace("_", "-") for name in classes}
    return Grants(
        frozenset(users), frozenset(groups), bool(named & ANONYMOUS), bool(named & SIGNED_IN)
    )


def restriction(body: Json) -> tuple[Restriction, bool]:
    """Of the operation `read`; whether everyone it names is in this answer. Whoever has no id still narrows."""
    parts = body.get("restrictions") or {}
    user, group = parts.get("user") or {}, parts.get("group") or {}
    found = Restriction(
        frozenset(str(row.get("accountId") or "?") for row in user.get("results") or ()),
        frozenset(str(row.get("id") or "?") for row in group.get("results") or ()),
    )
    whole = "user" in parts and "group" in parts and not (_cut_off(user) or _cut_off(group))
    return found, whole


def comment(row: Json) -> Comment:
    version = row.get("version") or {}
    body = ((row.get("body") or {}).get("storage") or {}).get("value")
    return Comment(
        id=_id(row),
        container=str((row.get("container") or {}).get("id") or ""),
        version=_number(version.get("number")),
        author=one_line((version.get("by") or {}).get("displayName")),
        at=str(version.get("when") or ""),
        storage=body if isinstance(body, str) else "",
    )


def attachment(row: Json) -> Attachment:
    version = row.get("version") or {}
    return Attachment(
        id=_id(row),
        page=str(row.get("pageId") or row.get("blogPostId") or ""),
        title=one_line(row.get("title")),
        size=_number(row.get("fileSize")),
        version=_number(version.get("number")),
        modified_at=moment(version.get("createdAt")),
        path=_path(row) or str(row.get("webuiLink") or ""),
    )


def account(row: Json) -> Account:
    """Of `users-bulk`. An account that does not say that it is active is not."""
    name = row.get("displayName") or row.get("publicName")
    return Account(
        id=str(row.get("accountId") or ""),
        name=one_line(name),
        email=email_of(row.get("email")),
        active=row.get("accountStatus") == "active",
        person=row.get("accountType") == "atlassian",
        guest=bool(row.get("isGuest") or row.get("isExternalCollaborator")),
    )


def moment(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo else None


def _id(row: Json) -> str:
    if not isinstance(row.get("id"), str | int) or not str(row["id"]):
        raise Malformed
    return str(row["id"])


def _path(row: Json) -> str:
    links = row.get("_links") or {}
    path = links.get("webui")
    return path if isinstance(path, str) and path.startswith("/") else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _cut_off(part: Json) -> bool:
    results, limit = part.get("results") or (), part.get("limit")
    return isinstance(limit, int) and len(results) >= limit
