"""A tenant that speaks Microsoft Graph v1.0 and the token endpoint as learn.microsoft.com has them: sites, drives, delta with
nextLink and deltaLink and 410, permissions alone and in $batch, content by a short-lived address, users, groups.

It refuses what Graph refuses: wrong secrets, ended tokens, links it never gave, batches over twenty, a token at the download
address. `sees` says by rules of its own whom an item is shared with.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.servers.json_server import JsonServer, Reply, Request

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
TENANT, CLIENT, SECRET = "tenant-1", "client-1", "right-secret-of-the-test"
STATE = "client-state-of-the-test"


@dataclass
class Account:
    id: str
    upn: str
    mail: str = ""
    enabled: bool = True
    guest: bool = False


@dataclass
class Share:
    """`kind`: user, group, siteUser, siteGroup, or a link's scope: anonymous, organization, users. `to` are ids or logins."""

    kind: str
    to: tuple[str, ...] = ()
    role: str = "read"
    expires: datetime | None = None


@dataclass
class Thing:
    """`unique` breaks inheritance."""

    id: str
    name: str
    drive: str
    parent: str = ""
    folder: bool = False
    content: bytes = b"# Text"
    shares: list[Share] = field(default_factory=list)
    unique: bool = False
    tag: int = 1
    malware: bool = False


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.reply = Reply({"error": {"code": code, "message": code}}, status)


class GraphWorld:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, set[str]] = {}
        self.drives: dict[str, tuple[str, str, list[Share]]] = {}
        self.onedrives: dict[str, str] = {}
        self.things: dict[str, Thing] = {}
        self.log: list[tuple[str, str]] = []
        self.forgotten = 0
        self.site_members: dict[str, str] = {}
        self.secret = SECRET
        self.secret_error = 0
        self.tokens: set[str] = set()
        self.downloads: dict[str, str] = {}
        self.busy_in_batch: set[str] = set()
        self.hidden: set[str] = set()
        self.page = 2
        self.now = NOW
        self.http = JsonServer(self.answer)

    def account(self, id: str, upn: str, mail: str = "", **more: Any) -> Account:
        self.accounts[id] = Account(id, upn, mail, **more)
        return self.accounts[id]

    def add(self, thing: Thing) -> Thing:
        self.things[thing.id] = thing
        self.log.append((thing.drive, thing.id))
        return thing

    def touch(self, id: str) -> None:
        self.things[id].tag += 1
        self.log.append((self.things[id].drive, id))

    def delete(self, id: str) -> None:
        self.log.append((self.things.pop(id).drive, id))

    # --- rules, written without a look at the connector ---

    def sees(self, account: Account, thing: Thing, organization_links: bool = False) -> bool:
        if not account.enabled:
            return False
        return any(
            self._is_for(share, account, organization_links) for share, _ in self._effective(thing)
        )

    def _is_for(self, share: Share, account: Account, links: bool) -> bool:
        if share.role not in {"read", "write", "owner"}:
            return False
        if share.expires and share.expires <= self.now:
            return False
        if share.kind in {"user", "users"}:
            return account.id in share.to
        if share.kind == "group":
            return any(self._in_group(id, account.id, set()) for id in share.to)
        if share.kind == "organization":
            return links and not account.guest
        if share.kind == "siteGroup":
            return any(
                self._in_group(self.site_members.get(n, ""), account.id, set()) for n in share.to
            )
        if share.kind == "siteUser":
            login = share.to[0]
            if "spo-grid-all-users" in login:
                return not account.guest
            if "|tenant|" in login:
                return self._in_group(login.rpartition("|")[2], account.id, set())
            return login.rpartition("|")[2] == account.upn.lower()
        return False

    def _in_group(self, group: str, member: str, seen: set[str]) -> bool:
        if group in seen:
            return False
        members = self.groups.get(group, set())
        return member in members or any(self._in_group(m, member, seen | {group}) for m in members)

    def _effective(self, thing: Thing) -> list[tuple[Share, str]]:
        """With the id of what each is inherited from, empty for its own."""
        found = [(share, "") for share in thing.shares]
        here = thing
        while not here.unique:
            if not here.parent:
                return found + [(share, "root") for share in self.drives[thing.drive][2]]
            here = self.things[here.parent]
            found += [(share, here.id) for share in here.shares]
        return found

    # --- the API ---

    def answer(self, request: Request) -> Reply:
        try:
            if request.path == f"/{TENANT}/oauth2/v2.0/token":
                return self._token(request)
            if request.path.startswith("/download/"):
                if "authorization" in request.headers:
                    raise Refused(401, "unauthenticated")
                return Reply(self.things[self.downloads[request.path]].content)
            if request.bearer not in self.tokens:
                raise Refused(401, "InvalidAuthenticationToken")
            return self._route(request.path.removeprefix("/v1.0"), request)
        except Refused as refusal:
            return refusal.reply

    def _token(self, request: Request) -> Reply:
        form = request.form
        wrong = form.get("client_secret") != self.secret
        if form.get("scope") != f"{self.http.url}/.default" or form.get("client_id") != CLIENT:
            return Reply({"error": "invalid_request", "error_codes": [700016]}, 400)
        if wrong or self.secret_error:
            code = self.secret_error or 7000215
            return Reply({"error": "invalid_client", "error_codes": [code]}, 401)
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        return Reply({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _route(self, path: str, request: Request) -> Reply:
        handlers: list[tuple[str, Callable[..., Reply]]] = [
            (r"/sites", self._sites),
            (r"/sites/acme\.test:/sites/(\w+)", self._site),
            (r"/sites/(\w+)/drives", self._site_drives),
            (r"/users/([^/]+)/drive", self._onedrive),
            (r"/drives/([^/]+)/root/delta", self._delta),
            (r"/drives/([^/]+)/items/([^/]+)", self._item),
            (r"/drives/([^/]+)/items/([^/]+)/permissions", self._permissions),
            (r"/drives/([^/]+)/items/([^/]+)/content", self._content),
            (r"/\$batch", self._batch),
            (r"/users", self._users),
            (r"/groups", self._groups),
            (r"/groups/([^/]+)/transitiveMembers/microsoft\.graph\.user", self._members),
            (r"/users/([^/]+)/checkMemberGroups", self._check),
        ]
        for pattern, handler in handlers:
            if match := re.fullmatch(pattern, path):
                return handler(request, *match.groups())
        raise Refused(404, "itemNotFound")

    def _sites(self, request: Request) -> Reply:
        if request.query.get("search") != "*":
            raise Refused(400, "invalidRequest")
        return Reply({"value": [{"id": id, "displayName": id.title()} for id in self._site_ids()]})

    def _site(self, _request: Request, name: str) -> Reply:
        if name not in self._site_ids():
            raise Refused(404, "itemNotFound")
        return Reply({"id": name, "displayName": name.title()})

    def _site_ids(self) -> list[str]:
        return sorted({site for site, _, _ in self.drives.values() if site})

    def _site_drives(self, _request: Request, site: str) -> Reply:
        rows = [{"id": id, "name": n} for id, (s, n, _) in self.drives.items() if s == site]
        return Reply({"value": rows})

    def _onedrive(self, _request: Request, upn: str) -> Reply:
        if upn.lower() not in self.onedrives:
            raise Refused(404, "itemNotFound")
        return Reply({"id": self.onedrives[upn.lower()], "name": "OneDrive"})

    def _delta(self, request: Request, drive: str) -> Reply:
        if drive not in self.drives:
            raise Refused(404, "itemNotFound")
        token = request.query.get("token", "")
        match = re.fullmatch(r"(all|log)-(\d+)-(\d+)", token or "all-0-0")
        if match is None:
            raise Refused(400, "invalidRequest")
        kind, start, mark = match[1], int(match[2]), int(match[3])
        if kind == "all":
            rows = [_row(t) for t in self.things.values() if t.drive == drive]
            mark = mark or len(self.log)
        else:
            if mark < self.forgotten:
                raise Refused(410, "resyncChangesApplyDifferences")
            ids = [id for where, id in self.log[mark:] if where == drive]
            rows = [
                _row(self.things[id])
                if id in self.things
                else {"id": id, "deleted": {"state": "deleted"}}
                for id in ids
            ]
        end = start + self.page
        base = f"{self.http.url}/v1.0/drives/{drive}/root/delta?token="
        more = end < len(rows)
        link = {"@odata.nextLink": f"{base}{kind}-{end}-{mark}"} if more else {
            "@odata.deltaLink": f"{base}log-0-{len(self.log) if kind == 'log' else mark}"
        }  # fmt: skip
        return Reply({"value": rows[start:end], **link})

    def _thing(self, drive: str, id: str) -> Thing:
        thing = self.things.get(id)
        if thing is None or thing.drive != drive:
            raise Refused(404, "itemNotFound")
        return thing

    def _item(self, _request: Request, drive: str, id: str) -> Reply:
        return Reply(_row(self._thing(drive, id)))

    def _permissions(self, request: Request, drive: str, id: str) -> Reply:
        thing = self._thing(drive, id)
        if id in self.hidden:
            raise Refused(403, "accessDenied")
        rows = [self._share_row(share, source) for share, source in self._effective(thing)]
        return self._cut(rows, request)

    def _content(self, _request: Request, drive: str, id: str) -> Reply:
        path = f"/download/{secrets.token_urlsafe(8)}"
        self.downloads[path] = self._thing(drive, id).id
        return Reply(None, 302, {"Location": f"{self.http.url}{path}"})

    def _batch(self, request: Request) -> Reply:
        asked = request.json["requests"]
        if len(asked) > 20:
            raise Refused(400, "BadRequest")
        told = []
        for one in reversed(asked):  # in any order, as Graph warns
            if one["id"] in self.busy_in_batch:
                told.append({"id": one["id"], "status": 429, "headers": {"Retry-After": "3"}})
                continue
            try:
                reply = self._route(
                    one["url"], Request(one["method"], "/v1.0" + one["url"], {}, {}, b"")
                )
            except Refused as refusal:
                reply = refusal.reply
            told.append({"id": one["id"], "status": reply.status, "body": reply.body})
        return Reply({"responses": told})

    def _users(self, request: Request) -> Reply:
        rows = [
            {
                "id": a.id,
                "userPrincipalName": a.upn,
                "mail": a.mail or None,
                "accountEnabled": a.enabled,
                "userType": "Guest" if a.guest else "Member",
            }
            for a in self.accounts.values()
        ]
        return self._cut(rows, request)

    def _groups(self, request: Request) -> Reply:
        return self._cut([{"id": id} for id in self.groups], request)

    def _members(self, request: Request, group: str) -> Reply:
        if group not in self.groups:
            raise Refused(404, "Request_ResourceNotFound")
        inside = [{"id": id} for id in self.accounts if self._in_group(group, id, set())]
        return self._cut(inside, request)

    def _check(self, request: Request, person: str) -> Reply:
        asked = request.json["groupIds"]
        if len(asked) > 20:
            raise Refused(400, "Request_BadRequest")
        return Reply({"value": [id for id in asked if self._in_group(id, person, set())]})

    def _share_row(self, share: Share, source: str) -> dict[str, Any]:
        row: dict[str, Any] = {"id": f"{share.kind}-{'-'.join(share.to)}", "roles": [share.role]}
        if source:
            row["inheritedFrom"] = {"id": source}
        if share.expires:
            row["expirationDateTime"] = share.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        if share.kind in {"anonymous", "organization", "users"}:
            people = [{"user": {"id": id, "displayName": id}} for id in share.to]
            return {
                **row,
                "link": {"scope": share.kind, "type": "view"},
                "grantedToIdentitiesV2": people,
            }
        who = share.to[0]
        if share.kind in {"user", "group"}:
            return {**row, "grantedToV2": {share.kind: {"id": who, "displayName": who}}}
        email = next((a.mail for a in self.accounts.values() if who.endswith(a.upn.lower())), "")
        one = {"id": "5", "displayName": who, "loginName": who, "email": email}
        return {**row, "grantedToV2": {share.kind: one}}

    def _cut(self, rows: list[Any], request: Request) -> Reply:
        skip = request.query.get("$skiptoken", "0")
        if not skip.isdigit():
            raise Refused(400, "invalidRequest")
        end = int(skip) + self.page
        body: dict[str, Any] = {"value": rows[int(skip) : end]}
        if end < len(rows):
            path = request.path
            body["@odata.nextLink"] = f"{self.http.url}{path}?$skiptoken={end}"
        return Reply(body)


def _row(thing: Thing) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": thing.id,
        "name": thing.name,
        "cTag": f'"c:{thing.id},{thing.tag}"',
        "size": len(thing.content),
        "lastModifiedDateTime": "2026-01-10T09:00:00Z",
        "webUrl": f"https://acme.sharepoint.com/{thing.id}",
    }
    if thing.malware:
        row["malware"] = {"description": "EICAR"}
    return (
        {**row, "folder": {"childCount": 1}}
        if thing.folder
        else {**row, "file": {"mimeType": "x/y"}}
    )
