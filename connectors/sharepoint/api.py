"""Microsoft Graph v1.0 (learn.microsoft.com: "driveItem: delta", "List permissions on a driveItem", "Combine multiple requests in
one HTTP call using JSON batching", "Microsoft Graph throttling guidance", "List group transitive members")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from connectors.contract import Context, SourceFault
from connectors.http import Http
from connectors.http_answers import body_json
from connectors.sharepoint.auth import GraphAuth
from connectors.sharepoint.model import (
    Drive,
    Item,
    Json,
    Permission,
    Person,
    parse_item,
    parse_permission,
    parse_person,
)
from connectors.sharepoint.settings import SharePointSettings

AT_ONCE = 20
"""Graph's most for one batch."""
_PERSON = "id,mail,userPrincipalName,accountEnabled,userType"
_ITEM = "id,name,file,folder,deleted,size,cTag,eTag,lastModifiedDateTime,webUrl,malware,remoteItem"


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """`link` is where to go on, now when `more`, else at the next call."""

    items: tuple[Item, ...]
    link: str
    more: bool


class GraphApi:
    def __init__(self, context: Context, settings: SharePointSettings, secret: str) -> None:
        self._settings = settings
        self._base = httpx.URL(settings.graph_url)
        auth = GraphAuth(context, settings, secret)
        self._http: Http = context.http.at(settings.graph_url + "/", auth=auth)
        self._plain: Http = context.http.at("")

    def drives(self) -> Iterator[Drive]:
        """Document libraries of the sites, and the OneDrives of the people that the settings name."""
        seen: set[str] = set()
        for site in self._sites():
            for row in self._rows(f"sites/{site['id']}/drives"):
                name = f"{site.get('displayName') or site.get('name') or ''} / {row.get('name')}"
                if row["id"] not in seen:
                    seen.add(str(row["id"]))
                    yield Drive(str(row["id"]), name.strip(" /"))
        for person in self._settings.people:
            row = self._http.json(f"users/{quote(person.strip(), safe='@')}/drive")
            yield Drive(str(row["id"]), f"OneDrive of {person.strip().lower()}")

    def delta(self, drive: str, link: str = "") -> DeltaPage | None:
        """From the beginning without a link; None when Graph wants a fresh start (410 Gone)."""
        if link:
            self._check(link)
            response = self._http.get(link, accept=(410,))
        else:
            response = self._http.get(f"drives/{drive}/root/delta", params={"$select": _ITEM})
        if response.status_code == 410:
            return None
        body = body_json(response)
        items = tuple(parse_item(row) for row in body.get("value") or ())
        following = str(body.get("@odata.nextLink") or "")
        end = str(body.get("@odata.deltaLink") or "")
        if not (following or end) or following == link != "":
            raise SourceFault("Graph lost its place.", "Try again later.", passing=True)
        return DeltaPage(items, following or end, bool(following))

    def item(self, drive: str, id: str) -> Item | None:
        response = self._http.get(
            f"drives/{quote(drive, safe='!')}/items/{quote(id, safe='!')}", accept=(400, 404)
        )
        return parse_item(body_json(response)) if response.status_code < 400 else None

    def permissions(
        self, drive: str, ids: Sequence[str]
    ) -> Mapping[str, tuple[Permission, ...] | None]:
        """Of each item, inherited ones included; None where the app may not see them. Asked in batches."""
        found: dict[str, tuple[Permission, ...] | None] = {}
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            requests = [
                {"id": id, "method": "GET", "url": f"/drives/{drive}/items/{id}/permissions"}
                for id in part
            ]
            body = self._http.post_json("$batch", json={"requests": requests})
            told = {str(row["id"]): row for row in body.get("responses") or ()}
            for id in part:
                found[id] = self._permissions(drive, id, told.get(id) or {})
        return found

    def _permissions(self, drive: str, id: str, told: Json) -> tuple[Permission, ...] | None:
        """A request of a batch can be throttled by itself: it is then asked alone, with patience."""
        path = f"drives/{drive}/items/{id}/permissions"
        status, body = int(told.get("status") or 0), told.get("body") or {}
        if status in (403, 404):
            return None
        if status != 200:
            response = self._http.get(path, accept=(403, 404))
            if response.status_code >= 400:
                return None
            body = body_json(response)
        return tuple(parse_permission(row) for row in self._follow(body))

    def content(self, drive: str, id: str, limit: int) -> bytes:
        """Graph leads to a short-lived address that wants no token, and must not get one. Raises TooLarge."""
        response = self._http.get(f"drives/{drive}/items/{id}/content", max_bytes=limit)
        if response.status_code in (301, 302, 307, 308):
            response = self._plain.get(response.headers["Location"], max_bytes=limit)
        return response.content

    # --- people ---

    def people(self) -> Iterator[Person]:
        for row in self._rows("users", {"$select": _PERSON, "$top": "999"}):
            yield parse_person(row)

    def groups(self) -> Iterator[str]:
        for row in self._rows("groups", {"$select": "id", "$top": "999"}):
            yield str(row["id"])

    def members(self, group: str) -> Iterator[str]:
        """Ids of people, nested groups opened. A group that went meanwhile has none."""
        path = f"groups/{group}/transitiveMembers/microsoft.graph.user"
        response = self._http.get(path, params={"$select": "id", "$top": "999"}, accept=(404,))
        if response.status_code != 404:
            for row in self._follow(body_json(response)):
                yield str(row["id"])

    def in_groups(self, person: str, groups: Sequence[str]) -> bool:
        for start in range(0, len(groups), AT_ONCE):
            asked = {"groupIds": list(groups[start : start + AT_ONCE])}
            body = self._http.post_json(f"users/{person}/checkMemberGroups", json=asked)
            if body.get("value"):
                return True
        return False

    # --- pages ---

    def _sites(self) -> Iterator[Json]:
        if not self._settings.sites:
            yield from self._rows("sites", {"search": "*"})
        for address in self._settings.sites:
            url = httpx.URL(address.strip())
            where = f"{url.host}:{url.path.rstrip('/')}" if url.path.strip("/") else url.host
            yield self._http.json(f"sites/{where}")

    def _rows(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        yield from self._follow(self._http.json(path, params=query or {}))

    def _follow(self, body: Json) -> Iterator[Json]:
        seen: set[str] = set()
        while True:
            yield from body.get("value") or ()
            link = str(body.get("@odata.nextLink") or "")
            if not link:
                return
            self._check(link)
            if link in seen:
                raise SourceFault("Graph gives the same page again.", "Try again.", passing=True)
            seen.add(link)
            body = self._http.json(link)

    def _check(self, address: str) -> None:
        """The token goes to Graph only."""
        url, base = httpx.URL(address), self._base
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise SourceFault("Graph's next page is at another host.", "Check the Graph address.")
