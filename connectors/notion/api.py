"""Notion's REST API of version 2025-09-03 (developers.notion.com: "Search", "Retrieve block children", "Retrieve a page",
"Status codes", "Request limits"), parsed into frozen dataclasses.

429 with `Retry-After` is the HTTP client's work. A 404 means deleted or not shared with the integration: Notion does not tell
which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from connectors.contract import Context, SourceFault
from connectors.http_answers import body_json, refused
from connectors.notion.settings import dashed

VERSION = "2025-09-03"
PAGE = 100
Json = Mapping[str, Any]


class Unreadable(Exception):
    """One object that Notion refuses, or that is not of the form it documents."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Node:
    """A page or a data source. `parent_kind` is page, data_source, block or workspace; `parent` its id. `database` is the
    database around a data source or a row, whose address people know."""

    id: str
    title: str
    url: str
    edited: str
    parent_kind: str
    parent: str
    trashed: bool
    properties: Json
    database: str = ""

    @property
    def edited_at(self) -> datetime:
        return datetime.fromisoformat(self.edited)


class NotionApi:
    def __init__(self, context: Context, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "Notion-Version": VERSION}
        self._http = context.http.at(f"{url}/v1/", headers=headers)

    def workspace(self) -> str:
        """The name of the workspace that the token belongs to. Raises SourceFault."""
        body = self._http.json("users/me")
        bot = body.get("bot") if isinstance(body, dict) else None
        return str((bot or {}).get("workspace_name") or "the workspace")

    def pages(self) -> Iterator[Node]:
        """All that is shared with the integration, last edited first. Raises SourceFault."""
        yield from self._search("page")

    def data_sources(self) -> Iterator[Node]:
        yield from self._search("data_source")

    def page(self, id: str) -> Node | None:
        """None for what is gone or not shared. Raises Unreadable, SourceFault."""
        row = self._one(f"pages/{id}")
        return None if row is None else node(row)

    def block_parent(self, id: str) -> tuple[str, str] | None:
        """Kind and id of what holds a block; None where it cannot be seen."""
        row = self._one(f"blocks/{id}")
        return None if row is None else _parent(row)

    def children(self, id: str) -> Iterator[Json]:
        """The blocks directly beneath a page or block. Raises Unreadable, SourceFault."""
        cursor: dict[str, str] = {}
        while True:
            query = {"page_size": str(PAGE), **cursor}
            body = self._one(f"blocks/{id}/children", query)
            if body is None:
                raise Unreadable("It disappeared while it was read.", "The next sync looks again.")
            yield from _rows(body)
            cursor = _next(body, cursor)
            if not cursor:
                return

    def _search(self, kind: str) -> Iterator[Node]:
        cursor: dict[str, str] = {}
        asked = {
            "filter": {"property": "object", "value": kind},
            "sort": {"direction": "descending", "timestamp": "last_edited_time"},
            "page_size": PAGE,
        }
        while True:
            body = self._http.post_json("search", json={**asked, **cursor})
            for row in _rows(body):
                yield node(row)
            cursor = _next(body, cursor)
            if not cursor:
                return

    def _one(self, path: str, query: Mapping[str, str] | None = None) -> Json | None:
        response = self._http.get(path, params=query, accept=(400, 403, 404))
        if response.status_code == 404:
            return None
        if response.status_code >= 400:
            raise _not_this_one(response)
        return _object(body_json(response))


def node(row: Json) -> Node:
    """Raises SourceFault for a row that says neither what it is nor when it was edited."""
    try:
        kind, parent = _parent(row)
        properties = row.get("properties")
        made = Node(
            id=dashed(str(row["id"])),
            title=_title(row),
            url=str(row.get("url") or ""),
            edited=str(row["last_edited_time"]),
            parent_kind=kind,
            parent=parent,
            trashed=bool(row.get("in_trash") or row.get("archived")),
            properties=properties if isinstance(properties, dict) else {},
            database=_database(row),
        )
        if made.edited_at.tzinfo is None:
            raise ValueError("a time without a zone")
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _not_notion() from None
    return made


def text_of(rich: object) -> str:
    """Rich text as plain text. A mention of a page keeps no title: its readers may be others."""
    parts = [part for part in rich if isinstance(part, dict)] if isinstance(rich, list) else []
    return "".join(
        "(linked page)" if _mentions_page(part) else str(part.get("plain_text") or "")
        for part in parts
    )


def _mentions_page(part: Json) -> bool:
    mention = part.get("mention")
    kind = mention.get("type") if isinstance(mention, dict) else ""
    return kind in {"page", "database", "data_source"}


def _title(row: Json) -> str:
    if isinstance(row.get("title"), list):
        return text_of(row["title"]).strip()
    for value in (row.get("properties") or {}).values():
        if isinstance(value, dict) and value.get("type") == "title":
            return text_of(value.get("title")).strip()
    return ""


def _parent(row: Json) -> tuple[str, str]:
    """A data source lies in a database, whose own place stands in `database_parent`."""
    parent = row.get("database_parent") if row.get("object") == "data_source" else None
    parent = parent if isinstance(parent, dict) else row.get("parent")
    if not isinstance(parent, dict):
        return "", ""
    kind = str(parent.get("type") or "")
    if kind == "workspace":
        return "workspace", ""
    id = parent.get(kind)
    return kind.removesuffix("_id"), dashed(id) if isinstance(id, str) else ""


def _database(row: Json) -> str:
    parent = row.get("parent")
    id = parent.get("database_id") if isinstance(parent, dict) else None
    return dashed(id) if isinstance(id, str) else ""


def _rows(body: object) -> list[Json]:
    rows = _object(body).get("results")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _not_notion()
    return rows


def _next(body: object, before: Mapping[str, str]) -> dict[str, str]:
    """Empty at the end. A cursor that comes twice would never end."""
    told = _object(body)
    cursor = told.get("next_cursor")
    if not told.get("has_more"):
        return {}
    if not isinstance(cursor, str) or not cursor or cursor == before.get("start_cursor"):
        raise _not_notion()
    return {"start_cursor": cursor}


def _object(body: object) -> Json:
    if not isinstance(body, dict):
        raise _not_notion()
    return body


def _not_this_one(response: httpx.Response) -> Exception:
    """403 and 400 on one object concern that object; a rate limit told as 403 concerns all."""
    if response.status_code == 403 and "Retry-After" in response.headers:
        return refused(response)
    return Unreadable(
        f"Notion refuses to show it ({response.status_code}).",
        "Check the integration's capabilities and that the page is shared with it.",
    )


def _not_notion() -> SourceFault:
    return SourceFault(
        "The answer is not one of Notion's.", "Check the API address: it may be a proxy's page."
    )
