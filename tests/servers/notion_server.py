"""A workspace that speaks Notion's REST API of version 2025-09-03 as developers.notion.com has it: search, pages, blocks and
their children, users/me; cursors, errors as `{"object": "error", "status", "code", "message"}`.

It refuses what Notion refuses: a wrong token, a missing version header, ids that are none, cursors it never gave, page sizes
over 100. What is not shared with the integration looks as if it did not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.servers.json_server import JsonServer, Reply, Request

TOKEN = "ntn_right_token_of_the_test"
VERSION = "2025-09-03"
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def rich(text: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "plain_text": text, "text": {"content": text}, **more}]


def block(number: int, kind: str, text: str = "", **value: Any) -> dict[str, Any]:
    content = {"rich_text": rich(text)} if text else {}
    return {"object": "block", "id": uuid(number), "type": kind, kind: {**content, **value}}


@dataclass
class Page:
    number: int
    title: str
    parent: dict[str, Any]
    blocks: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    edited: datetime = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    shared: bool = True
    trashed: bool = False
    searched: bool = True

    def row(self) -> dict[str, Any]:
        name = {"title": {"id": "title", "type": "title", "title": rich(self.title)}}
        return {
            "object": "page",
            "id": uuid(self.number),
            "last_edited_time": self.edited.strftime("%Y-%m-%dT%H:%M:00.000Z"),
            "parent": self.parent,
            "in_trash": self.trashed,
            "archived": self.trashed,
            "properties": {**name, **self.properties},
            "url": f"https://www.notion.so/{self.title.replace(' ', '-')}-{uuid(self.number).replace('-', '')}",
        }


def in_page(number: int) -> dict[str, Any]:
    return {"type": "page_id", "page_id": uuid(number)}


WORKSPACE: dict[str, Any] = {"type": "workspace", "workspace": True}


class NotionWorld:
    """`pages` and `sources` by number; `children` of blocks by block number, `holders` their parents."""

    def __init__(self) -> None:
        self.http = JsonServer(self.answer)
        self.token = TOKEN
        self.now = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
        self.pages: dict[int, Page] = {}
        self.sources: dict[int, dict[str, Any]] = {}
        self.children: dict[int, list[dict[str, Any]]] = {}
        self.holders: dict[int, dict[str, Any]] = {}
        self.page_size = 100
        self.cursors: dict[str, int] = {}

    def add(self, number: int, title: str, parent: dict[str, Any], *texts: str) -> Page:
        blocks = [block(number * 1000 + i, "paragraph", text) for i, text in enumerate(texts)]
        page = Page(number, title, parent, blocks)
        self.pages[number] = page
        return page

    def source(self, number: int, database: int, title: str, place: dict[str, Any]) -> None:
        self.sources[number] = {
            "object": "data_source",
            "id": uuid(number),
            "title": rich(title),
            "last_edited_time": "2026-03-01T08:00:00.000Z",
            "parent": {"type": "database_id", "database_id": uuid(database)},
            "database_parent": place,
            "properties": {},
        }

    def answer(self, request: Request) -> Reply:
        if request.bearer != self.token:
            return _error(401, "unauthorized")
        if request.headers.get("notion-version") != VERSION:
            return _error(400, "missing_version")
        parts = request.path.strip("/").split("/")[1:]
        match (request.method, parts):
            case ("GET", ["users", "me"]):
                return Reply({"object": "user", "type": "bot", "bot": {"workspace_name": "Acme"}})
            case ("POST", ["search"]):
                return self._search(request.json)
            case ("GET", [_, id, *_]) if not _UUID.fullmatch(id):
                return _error(400, "validation_error")
            case ("GET", ["pages", id]):
                page = self._page(id)
                return Reply(page.row()) if page else _error(404, "object_not_found")
            case ("GET", ["blocks", id]):
                return self._holder(id)
            case ("GET", ["blocks", id, "children"]):
                return self._children(id, request)
        return _error(400, "invalid_request_url")

    def _search(self, asked: dict[str, Any]) -> Reply:
        kind = asked["filter"]["value"]
        if kind == "data_source":
            rows = list(self.sources.values())
        else:
            shown = [p for p in self.pages.values() if p.shared and p.searched and not p.trashed]
            rows = [p.row() for p in sorted(shown, key=lambda p: p.edited, reverse=True)]
        return self._listed(rows, int(asked.get("page_size", 100)), asked.get("start_cursor"))

    def _children(self, id: str, request: Request) -> Reply:
        page = self._page(id)
        blocks = page.blocks if page else self.children.get(_number(id))
        if blocks is None:
            return _error(404, "object_not_found")
        rows = [{**b, "has_children": _number(b["id"]) in self.children} for b in blocks]
        size = int(request.query.get("page_size", 100))
        return self._listed(rows, size, request.query.get("start_cursor"))

    def _holder(self, id: str) -> Reply:
        holder = self.holders.get(_number(id))
        if holder is None:
            return _error(404, "object_not_found")
        return Reply({"object": "block", "id": id, "type": "column", "parent": holder})

    def _listed(self, rows: list[dict[str, Any]], size: int, cursor: str | None) -> Reply:
        if not 0 < size <= 100 or (cursor is not None and cursor not in self.cursors):
            return _error(400, "validation_error")
        start = self.cursors[cursor] if cursor else 0
        end = start + min(size, self.page_size)
        more = end < len(rows)
        if more:
            self.cursors[f"cursor-{end}"] = end
        return Reply(
            {
                "object": "list",
                "results": rows[start:end],
                "has_more": more,
                "next_cursor": f"cursor-{end}" if more else None,
            }
        )

    def _page(self, id: str) -> Page | None:
        page = self.pages.get(_number(id))
        return page if page and page.shared else None


def _number(id: str) -> int:
    return int(id.replace("-", "")[-12:], 16)


def _error(status: int, code: str) -> Reply:
    return Reply({"object": "error", "status": status, "code": code, "message": code}, status)
