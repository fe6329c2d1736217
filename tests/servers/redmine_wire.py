"""Redmine's REST API as the wiki page "Rest api" of redmine.org documents it, as far as faults and paging need it: a key, pages
of at most 100, filters `f[]`, `op[]` and `v[]`, 401 and 404. What Redmine shows to whom is asked of a real one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.servers.json_server import Reply, Request

KEY = "0123456789abcdef0123456789abcdef01234567"
Row = dict[str, Any]
NOT_FOUND = Reply(status=404)


def issue_row(id: int, updated: str = "2026-01-01T00:00:00Z", **fields: Any) -> Row:
    return {
        "id": id,
        "project": {"id": 1, "name": "Apollo"},
        "tracker": {"id": 1, "name": "Bug"},
        "author": {"id": 2, "name": "Ann"},
        "subject": f"Matter {id}",
        "description": "",
        "is_private": False,
        "updated_on": updated,
        "attachments": [],
        **fields,
    }


@dataclass
class World:
    issues: dict[int, Row] = field(default_factory=dict)
    journals: dict[int, list[Row]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    visibility: str = "all"
    on_issues: Callable[[], None] = lambda: None
    """Called before each page of issues: what changes while a listing is made."""

    def put(self, *rows: Row) -> None:
        self.issues.update({row["id"]: row for row in rows})

    def answer(self, request: Request) -> Reply:
        if request.headers.get("x-redmine-api-key") != KEY:
            return Reply(status=401)
        path = request.path
        if path == "/issues.json":
            return self._issues(request)
        if found := re.fullmatch(r"/issues/(\d+)\.json", path):
            row = self.issues.get(int(found[1]))
            notes = self.journals.get(int(found[1]), [])
            return Reply({"issue": {**row, "journals": notes}}) if row else NOT_FOUND
        if found := re.fullmatch(r"/attachments/download/(\d+)/.*", path):
            content = self.files.get(int(found[1]))
            return Reply(content) if content is not None else NOT_FOUND
        return Reply(body) if (body := self._fixed(path)) else NOT_FOUND

    def _fixed(self, path: str) -> Row | None:
        people = [("admin", 1, True), ("ann", 2, False)]
        users = [
            {"id": id, "login": name, "mail": f"{name}@example.test", "admin": admin}
            for name, id, admin in people
        ]
        project = {"id": 1, "identifier": "apollo", "name": "Apollo", "status": 1}
        project |= {"is_public": False, "trackers": [{"id": 1}]}
        project |= {"enabled_modules": [{"name": "issue_tracking"}]}
        member = {"id": 1, "user": {"id": 2}, "roles": [{"id": 3}]}
        role = {"id": 3, "permissions": ["view_issues"], "issues_visibility": self.visibility}
        return {
            "/users.json": {"users": users, "total_count": 2},
            "/projects.json": {"projects": [project], "total_count": 1},
            "/projects/1/memberships.json": {"memberships": [member], "total_count": 1},
            "/roles.json": {"roles": [{"id": 3}]},
            "/roles/1.json": {"role": {"id": 1, "permissions": []}},
            "/roles/2.json": {"role": {"id": 2, "permissions": []}},
            "/roles/3.json": {"role": role},
            "/groups.json": {"groups": []},
            "/news.json": {"news": [], "total_count": 0},
        }.get(path)

    def _issues(self, request: Request) -> Reply:
        self.on_issues()
        query = request.query
        since = query.get("v[updated_on][]", "")
        first = int(query.get("v[issue_id][]", "0"))
        rows = [r for r in self.issues.values() if r["updated_on"] >= since and r["id"] >= first]
        by_date = query["sort"].startswith("updated_on")
        rows.sort(key=lambda row: (row["updated_on"] if by_date else "", row["id"]))
        offset, limit = int(query["offset"]), min(int(query["limit"]), 100)
        page = rows[offset : offset + limit]
        return Reply({"issues": page, "total_count": len(rows), "offset": offset, "limit": limit})
