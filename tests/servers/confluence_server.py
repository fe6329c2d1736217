"""A site that speaks Confluence Cloud's REST API: v2 spaces, pages, blog posts, folders, attachments, permissions and
users-bulk with cursors; v1 content/search (the CQL the connector writes, anything else is a 400), restrictions, groups,
permission/check and downloads.

`sees` says by rules of its own who may view a page. What the robot account may not view, no answer shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.atlassian_site import Site
from tests.servers.json_server import JsonServer, Reply, Request

V1, V2 = "/wiki/rest/api", "/wiki/api/v2"
PARAMETERS = {
    "limit",
    "cursor",
    "status",
    "keys",
    "body-format",
    "mediaType",
    "start",
    "cql",
    "expand",
}
PARENTS = {
    "folders": "folder",
    "pages": "page",
    "whiteboards": "whiteboard",
    "blogposts": "blogpost",
}
START = datetime(2026, 1, 10, 9, tzinfo=UTC)


@dataclass
class Item:
    id: str
    kind: str
    space: str = ""
    title: str = ""
    parent: str = ""
    body: str = "<p>Text.</p>"
    version: int = 1
    status: str = "current"
    changed: datetime = START
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    media: str = ""
    data: bytes = b""
    hidden: bool = False
    drop: tuple[str, ...] = ()


@dataclass
class SpaceModel:
    id: str
    key: str
    type: str = "global"
    status: str = "current"
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    anonymous: bool = False
    told: bool = True


class ConfluenceWorld(Site):
    def __init__(self) -> None:
        super().__init__()
        self.spaces: dict[str, SpaceModel] = {}
        self.items: dict[str, Item] = {}
        self.now = START
        self.cut = 2
        self.http = JsonServer(self.answer)

    def space(self, id: str, key: str, **more: Any) -> SpaceModel:
        self.spaces[id] = SpaceModel(id, key, **more)
        return self.spaces[id]

    def add(
        self, id: str, space: str = "", title: str = "", kind: str = "page", **more: Any
    ) -> Item:
        self.items[id] = Item(id, kind, space, title, changed=self.now, **more)
        return self.items[id]

    def edit(self, id: str, body: str) -> None:
        item = self.items[id]
        item.body, item.version, item.changed = body, item.version + 1, self.now

    # --- The site's own rule ---

    def sees(self, person_id: str, page_id: str) -> bool:
        person, page = self.people[person_id], self.items[page_id]
        mine, space = self.groups_of(person), self.spaces[page.space]
        in_space = person_id in space.users or mine & set(space.groups)
        if space.anonymous and mine and not person.guest:
            in_space = True
        at: Item | None = page
        while at is not None:
            limited = at.users or at.groups
            if limited and person_id not in at.users and not mine & set(at.groups):
                return False
            at = self.items.get(at.parent)
        return person.counts and bool(in_space)

    # --- The API ---

    def answer(self, request: Request) -> Reply:
        if refused := self.refused(request):
            return refused
        if set(request.query) - PARAMETERS:
            return Reply({"message": "unknown parameter"}, 400)
        path = request.path
        for pattern, name in ROUTES:
            if match := re.fullmatch(pattern, path):
                reply: Reply = getattr(self, f"_{name}")(request, *match.groups())
                return reply
        return Reply({"message": "No such route"}, 404)

    def _spaces(self, request: Request) -> Reply:
        keys = request.query.get("keys", "")
        status = request.query.get("status", "current")
        found = [
            {"id": s.id, "key": s.key, "name": f"Space {s.key}", "type": s.type, "status": s.status}
            for s in self.spaces.values()
            if s.status == status and (not keys or s.key in keys.split(","))
        ]
        return self._page(request, found)

    def _pages(self, request: Request, space: str, kinds: str) -> Reply:
        kind = PARENTS[kinds]
        statuses = request.query.get("status", "current").split(",")
        items = [i for i in self._shown(kind) if i.space == space and i.status in statuses]
        return self._page(request, [self._row(i) for i in items])

    def _item(self, request: Request, kinds: str, id: str) -> Reply:
        item = self.items.get(id)
        if not item or item.hidden or item.kind != PARENTS[kinds] or item.status == "trashed":
            return Reply({"errors": [{"status": 404, "code": "NOT_FOUND"}]}, 404)
        row = self._row(item)
        if request.query.get("body-format") == "storage" and "body" not in item.drop:
            row["body"] = {"storage": {"representation": "storage", "value": item.body}}
        return Reply(row)

    def _grants(self, request: Request, id: str) -> Reply:
        space = self.spaces.get(id)
        if space is None or not space.told:
            return Reply({"errors": []}, 404)
        named = [("user", u) for u in space.users] + [("group", g) for g in space.groups]
        named += [("role", "anonymous-users")] if space.anonymous else []
        rows = [_grant(kind, id, "read", "space") for kind, id in named]
        rows += [
            _grant("user", "mallory", "delete", "page"),
            _grant("user", "mallory", "read", "x"),
        ]
        return self._page(request, rows)

    def _files(self, request: Request) -> Reply:
        media = request.query.get("mediaType")
        items = [i for i in self._shown("attachment") if i.media == media]
        return self._page(request, [self._file(i) for i in items if i.status == "current"])

    def _files_of(self, request: Request, _kinds: str, page: str) -> Reply:
        items = [i for i in self._shown("attachment") if i.parent == page]
        return self._page(request, [self._file(i) for i in items if i.status == "current"])

    def _bulk(self, request: Request) -> Reply:
        wanted = request.json["accountIds"]
        if not wanted or len(wanted) > 250:
            return Reply({"errors": []}, 400)
        return Reply({"results": [self._account(id) for id in wanted if id in self.people]})

    def _groups(self, request: Request) -> Reply:
        found = [{"type": "group", "id": g, "name": f"Group {g}"} for g in self.groups]
        return self._start(request, found)

    def _members(self, request: Request, group: str) -> Reply:
        return self._start(
            request, [{"type": "known", "accountId": id} for id in self.groups[group]]
        )

    def _restriction(self, request: Request, id: str) -> Reply:
        item = self.items.get(id)
        if item is None or item.hidden:
            return Reply({"statusCode": 404}, 404)
        start = int(request.query.get("start", 0))
        return Reply(_restricted(item, start, self.cut))

    def _search(self, request: Request) -> Reply:
        found = self._matching(request.query["cql"])
        if found is None:
            return Reply({"statusCode": 400, "message": "Could not parse cql"}, 400)
        expand = request.query.get("expand", "").split(",")
        return self._page(request, [self._result(i, expand) for i in found], V1)

    def _check(self, request: Request, id: str) -> Reply:
        asked = request.json
        if (
            asked["operation"] != "read"
            or asked["subject"]["type"] != "user"
            or id not in self.items
        ):
            return Reply({"statusCode": 404}, 404)
        who = asked["subject"]["identifier"]
        return Reply({"hasPermission": who in self.people and self.sees(who, id), "errors": []})

    def _download(self, _request: Request, _page: str, id: str) -> Reply:
        item = self.items.get(id)
        return Reply(item.data) if item and item.status == "current" else Reply({}, 404)

    # --- Parts ---

    def _shown(self, kind: str) -> list[Item]:
        return [item for item in self.items.values() if item.kind == kind and not item.hidden]

    def _matching(self, cql: str) -> list[Item] | None:
        items = [i for i in self.items.values() if i.status == "current" and not i.hidden]
        if m := re.fullmatch(r'type in \(page, blogpost\) and space = "(\w+)"', cql):
            return [i for i in items if i.kind in {"page", "blogpost"} and self._key(i) == m[1]]
        if m := re.fullmatch(r'type = comment and space = "(\w+)"', cql):
            return [
                i for i in items if i.kind == "comment" and self._key(self.items[i.parent]) == m[1]
            ]
        if m := re.fullmatch(r"type = comment and container = (\d+)", cql):
            return [i for i in items if i.kind == "comment" and i.parent == m[1]]
        recent = (
            r'type in \(page, blogpost, comment, attachment\) and lastmodified >= now\("-(\d+)m"\)'
        )
        if m := re.fullmatch(recent, cql):
            since = self.now - timedelta(minutes=int(m[1]))
            return [i for i in items if i.kind != "folder" and i.changed >= since]
        return None

    def _key(self, item: Item) -> str:
        return self.spaces[item.space].key

    def _row(self, item: Item) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": item.id,
            "status": item.status,
            "title": item.title,
            "spaceId": item.space,
            "parentId": item.parent or None,
            "parentType": self.items[item.parent].kind if item.parent in self.items else None,
            "version": {"number": item.version, "createdAt": item.changed.isoformat()},
            "_links": {"webui": f"/spaces/{item.space}/pages/{item.id}"},
        }
        return {name: value for name, value in row.items() if name not in item.drop}

    def _file(self, item: Item) -> dict[str, Any]:
        owner = "blogPostId" if self.items[item.parent].kind == "blogpost" else "pageId"
        return {
            **self._row(item),
            owner: item.parent,
            "mediaType": item.media,
            "fileSize": len(item.data),
        }

    def _account(self, id: str) -> dict[str, Any]:
        p = self.people[id]
        shown = {} if p.hidden else {"email": p.email}
        return {
            "accountId": id,
            "accountStatus": p.status,
            "accountType": p.type,
            "isGuest": p.guest,
            **shown,
        }

    def _result(self, item: Item, expand: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": item.id,
            "type": item.kind,
            "status": item.status,
            "title": item.title,
        }
        if "container" in expand and item.parent and item.kind in {"comment", "attachment"}:
            row["container"] = {"id": item.parent, "type": self.items[item.parent].kind}
        if "version" in expand:
            by = {"displayName": "Ada"}
            row["version"] = {"number": item.version, "when": item.changed.isoformat(), "by": by}
        if "body.storage" in expand:
            row["body"] = {"storage": {"value": item.body}}
        if "restrictions.read.restrictions.user" in expand:
            row["restrictions"] = {"read": _restricted(item, 0, self.cut)}
        return row

    def _page(self, request: Request, rows: list[Any], prefix: str = V2) -> Reply:
        cursor = request.query.get("cursor", "c0")
        if not re.fullmatch(r"c\d+", cursor) or int(request.query.get("limit", 25)) > 250:
            return Reply({"errors": [{"status": 400, "title": "Invalid cursor"}]}, 400)
        start = int(cursor[1:])
        end = start + min(self.cut, int(request.query.get("limit", 25)))
        links = {"next": f"{prefix}/x?cursor=c{end}"} if end < len(rows) else {}
        return Reply({"results": rows[start:end], "_links": links})

    def _start(self, request: Request, rows: list[Any]) -> Reply:
        start = int(request.query.get("start", 0))
        part = rows[start : start + self.cut]
        links = {"next": "/rest/api/x"} if start + self.cut < len(rows) else {}
        return Reply({"results": part, "start": start, "limit": self.cut, "_links": links})


ROUTES = (
    (f"{V2}/spaces", "spaces"),
    (f"{V2}/spaces/(\\w+)/(pages|blogposts)", "pages"),
    (f"{V2}/spaces/(\\w+)/permissions", "grants"),
    (f"{V2}/(pages|blogposts|folders|whiteboards)/(\\w+)", "item"),
    (f"{V2}/(pages|blogposts)/(\\w+)/attachments", "files_of"),
    (f"{V2}/attachments", "files"),
    (f"{V2}/users-bulk", "bulk"),
    (f"{V1}/group", "groups"),
    (f"{V1}/group/([\\w-]+)/membersByGroupId", "members"),
    (f"{V1}/content/search", "search"),
    (f"{V1}/content/(\\w+)/restriction/byOperation/read", "restriction"),
    (f"{V1}/content/(\\w+)/permission/check", "check"),
    (f"{V1}/content/(\\w+)/child/attachment/(\\w+)/download", "download"),
)


def _grant(kind: str, id: str, key: str, target: str) -> dict[str, Any]:
    return {"principal": {"type": kind, "id": id}, "operation": {"key": key, "targetType": target}}


def _restricted(item: Item, start: int, limit: int) -> dict[str, Any]:
    users = [{"type": "known", "accountId": id} for id in item.users[start : start + limit]]
    groups = [{"type": "group", "id": id} for id in item.groups[start : start + limit]]
    page = {"start": start, "limit": limit}
    return {
        "operation": "read",
        "restrictions": {"user": {"results": users, **page}, "group": {"results": groups, **page}},
    }
