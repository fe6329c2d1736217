"""Confluence Cloud's REST APIs (developer.atlassian.com, "Confluence Cloud REST API v2" and "v1").

Pages, spaces, files and accounts come from v2; restrictions, groups, search and live checks exist in v1 only. Of a page's
`_links.next` only the cursor is taken, so that no answer can lead a request elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from connectors.atlassian import Account, Json, rows
from connectors.confluence import model
from connectors.confluence.model import (
    CONTAINERS,
    Attachment,
    Comment,
    Grants,
    Malformed,
    Node,
    Page,
    Restriction,
    Space,
)
from connectors.contract import SourceFault
from connectors.http import Http
from connectors.http_answers import body_json

V1, V2 = "/wiki/rest/api", "/wiki/api/v2"
PAGE, SEARCH_PAGE, GROUP_PAGE, BULK = 250, 100, 200, 100
KINDS = {"page": "pages", "blogpost": "blogposts"}
T = TypeVar("T")
READ = "restrictions.read.restrictions"


class ConfluenceApi:
    def __init__(self, http: Http) -> None:
        self._http = http

    # --- Content ---

    def spaces(self, status: str, keys: Iterable[str] = ()) -> Iterator[Space]:
        wanted = {"keys": ",".join(keys)} if keys else {}
        for row in self._v2("spaces", status=status, **wanted):
            yield model.space(row)

    def pages(self, space: str, kind: str, statuses: str) -> Iterator[Page]:
        """Without bodies. A row without an id is left out: nothing can be said of it."""
        for row in self._v2(f"spaces/{space}/{KINDS[kind]}", status=statuses):
            yield from _good(row, lambda row: model.page(row, kind))

    def page(self, id: str, kind: str, max_bytes: int) -> Page | None:
        """With its body as stored: a rendered one would show what macros fetch from pages that others may not see.
        Raises TooLarge."""
        row = self._one(f"{V2}/{KINDS[kind]}/{id}", max_bytes, **{"body-format": "storage"})
        return None if row is None else model.page(row, kind)

    def node(self, id: str, kind: str) -> Node | None:
        """Where a parent lies. None for what cannot be seen."""
        if kind not in CONTAINERS:
            return None
        row = self._one(f"{V2}/{CONTAINERS[kind]}/{id}")
        try:
            return None if row is None else model.node(row)
        except Malformed:
            return None

    def attachments(self, mime: str) -> Iterator[Attachment]:
        """Of the whole site."""
        for row in self._v2("attachments", status="current", mediaType=mime):
            yield from _good(row, model.attachment)

    def attachments_of(self, page: str, kind: str) -> Iterator[Attachment]:
        for row in self._v2(f"{KINDS[kind]}/{page}/attachments", status="current"):
            for found in _good(row, model.attachment):
                yield replace(found, page=page)

    def download(self, page: str, attachment: str, max_bytes: int) -> bytes | None:
        """None where it is gone. Raises TooLarge."""
        path = f"{V1}/content/{page}/child/attachment/{attachment}/download"
        response = self._http.get(
            path,
            accept=(404,),
            follow_redirects=True,
            max_bytes=max_bytes,
            headers={"Accept": "*/*"},
        )
        return None if response.status_code == 404 else response.content

    # --- Search (index: a few seconds behind) ---

    def changed_since(self, minutes: int) -> Iterator[tuple[str, str]]:
        """Type and id of pages and blog posts that changed themselves, or by a comment or file. Relative to the server's own
        clock: absolute times are read in the account's time zone."""
        cql = (
            f'type in (page, blogpost, comment, attachment) and lastmodified >= now("-{minutes}m")'
        )
        for row in self._search(cql, "container"):
            kind = str(row.get("type") or "")
            at = row if kind in KINDS else row.get("container") or {}
            if str(at.get("type")) in KINDS and at.get("id"):
                yield str(at["type"]), str(at["id"])

    def comments(self, where: str, *, bodies: bool) -> Iterator[Comment]:
        expand = "container,version,body.storage" if bodies else "container,version"
        for row in self._search(f"type = comment and {where}", expand):
            yield from _good(row, model.comment)

    def restrictions(self, space_key: str) -> Iterator[tuple[str, Restriction]]:
        """Of the space's pages, as far as the index knows them and each fits into its row."""
        cql = f'type in (page, blogpost) and space = "{space_key}"'
        for row in self._search(cql, f"{READ}.user,{READ}.group"):
            found, whole = model.restriction((row.get("restrictions") or {}).get("read") or {})
            if whole and row.get("id"):
                yield str(row["id"]), found

    # --- Permissions ---

    def restriction(self, id: str) -> Restriction | None:
        """None where Confluence does not tell."""
        users, groups, start = set[str](), set[str](), 0
        while True:
            path = f"{V1}/content/{id}/restriction/byOperation/read"
            body = self._one(path, start=start, limit=SEARCH_PAGE)
            if body is None or not isinstance(body.get("restrictions"), dict):
                return None
            part, whole = model.restriction(body)
            users |= part.users
            groups |= part.groups
            most = max(len(part.users), len(part.groups))
            if whole or most == 0:
                return Restriction(frozenset(users), frozenset(groups))
            start += most

    def grants(self, space: str) -> Grants | None:
        """None where Confluence does not tell."""
        found: list[Json] = []
        cursor = ""
        while True:
            more: dict[str, Any] = {"cursor": cursor} if cursor else {}
            body = self._one(f"{V2}/spaces/{space}/permissions", limit=PAGE, **more)
            if body is None:
                return None
            found += rows(body, "results")
            cursor = _cursor(body)
            if not cursor:
                return model.grants(found)

    def groups(self) -> Iterator[str]:
        for row in self._v1("group"):
            if row.get("id"):
                yield str(row["id"])

    def members(self, group: str) -> Iterator[str]:
        for row in self._v1(f"group/{group}/membersByGroupId"):
            if row.get("accountId"):
                yield str(row["accountId"])

    def accounts(self, ids: Iterable[str]) -> Iterator[Account]:
        wanted = sorted(set(ids) - {"?"})
        for start in range(0, len(wanted), BULK):
            part = wanted[start : start + BULK]
            body = self._http.post_json(f"{V2}/users-bulk", json={"accountIds": part})
            yield from map(model.account, rows(body, "results"))

    def may_read(self, id: str, account: str) -> bool:
        asked = {"subject": {"type": "user", "identifier": account}, "operation": "read"}
        path = f"{V1}/content/{id}/permission/check"
        response = self._http.request("POST", path, json=asked, repeat=True, accept=(404,))
        if response.status_code == 404:
            return False
        return bool(_object(body_json(response)).get("hasPermission") is True)

    # --- Parts ---

    def _one(self, path: str, max_bytes: int | None = None, **query: Any) -> Json | None:
        """None for what is not there or not shown."""
        response = self._http.get(path, params=query, accept=(403, 404), max_bytes=max_bytes)
        return None if response.status_code in {403, 404} else _object(body_json(response))

    def _v2(self, path: str, **query: str) -> Iterator[Json]:
        return self._cursored(f"{V2}/{path}", dict[str, str | int](query, limit=PAGE))

    def _search(self, cql: str, expand: str) -> Iterator[Json]:
        query: dict[str, str | int] = {"cql": cql, "expand": expand, "limit": SEARCH_PAGE}
        return self._cursored(f"{V1}/content/search", query)

    def _cursored(self, path: str, query: dict[str, str | int]) -> Iterator[Json]:
        cursor = ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            body = self._http.json(path, params={**query, **more})
            yield from rows(body, "results")
            following = _cursor(body)
            if not following:
                return
            if following == cursor:
                raise SourceFault(
                    "Confluence gives the same page again.", "Try again later.", passing=True
                )
            cursor = following

    def _v1(self, path: str) -> Iterator[Json]:
        start = 0
        while True:
            query = {"start": start, "limit": GROUP_PAGE}
            body = self._http.json(f"{V1}/{path}", params=query)
            found = rows(body, "results")
            yield from found
            start += len(found)
            if not found or ("next" not in (body.get("_links") or {}) and len(found) < GROUP_PAGE):
                return


def _cursor(body: Json) -> str:
    following = (body.get("_links") or {}).get("next")
    query = parse_qs(urlsplit(following).query) if isinstance(following, str) else {}
    return query.get("cursor", [""])[0]


def _object(body: object) -> Json:
    if not isinstance(body, dict):
        raise SourceFault(
            "The address does not answer as Confluence Cloud does.",
            "Enter the site's address, such as https://acme.atlassian.net.",
        )
    return body


def _good(row: Json, parse: Callable[[Json], T]) -> Iterator[T]:
    try:
        yield parse(row)
    except Malformed:
        return
