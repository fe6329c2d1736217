"""A Google Workspace that speaks the token endpoint, Drive API v3 and Directory API as developers.google.com has them.

It checks the signed statement (RS256, audience, time, delegated scopes), refuses unknown parameters, fields and page tokens, and
people who are suspended or of another company. `sees` says by rules of its own whom a file is shared with; `opens` adds links.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.json_server import JsonServer, Reply, Request

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
FOLDER = "application/vnd.google-apps.folder"
DOC = "application/vnd.google-apps.document"
ROLES = ["reader", "commenter", "writer", "fileOrganizer", "organizer", "owner"]
SCOPES = {
    "https://www.googleapis.com/auth/drive.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
}


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Grant:
    """A permission; `to` is an address, a domain, or empty for anyone."""

    kind: str
    to: str = ""
    role: str = "reader"
    findable: bool = False
    expires: datetime | None = None
    deleted: bool = False


@dataclass
class Account:
    email: str
    suspended: bool = False
    aliases: list[str] = field(default_factory=list)


@dataclass
class Item:
    """A file or a folder. `parent` is an item's or a drive's id; `limited` ends inheritance."""

    id: str
    name: str
    parent: str = ""
    drive: str = ""
    owner: str = ""
    mime: str = DOC
    content: bytes = b"<h1>Text</h1>"
    grants: list[Grant] = field(default_factory=list)
    limited: bool = False
    trashed: bool = False
    modified: str = "2026-01-10T09:00:00.000Z"
    refuses: str = ""
    """The reason that Google gives for keeping the content back."""


class Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        error = {
            "code": status,
            "message": reason,
            "errors": [{"domain": "global", "reason": reason}],
        }
        self.reply = Reply({"error": error}, status)


class DriveWorld:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, set[str]] = {}
        self.group_aliases: dict[str, str] = {}
        self.drives: dict[str, tuple[str, list[Grant]]] = {}
        self.items: dict[str, Item] = {}
        self.changes: list[tuple[str, str]] = []
        self.delegated = set(SCOPES)
        self.tokens: dict[str, tuple[str, str]] = {}
        self.now = NOW
        self.page = 2
        self.name_only: dict[str, Any] = {"view": "metadata", "inheritedPermissionsDisabled": True}
        self.http = JsonServer(self.answer)

    def key(self) -> str:
        pem = private_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "reader@project.iam.test",
                "private_key_id": "k1",
                "private_key": pem.decode(),
                "token_uri": f"{self.http.url}/token",
            }
        )

    def add(self, item: Item) -> Item:
        self.items[item.id] = item
        self.changed(item.id)
        return item

    def changed(self, id: str) -> None:
        item = self.items.get(id)
        self.changes.append((item.drive if item else "", id))

    def delete(self, id: str) -> None:
        item = self.items.pop(id)
        self.changes.append((item.drive, id))

    # --- Google's rules, written without a look at the connector ---

    def sees(self, email: str, item: Item) -> bool:
        """Whom search shows it: a link alone does not count."""
        return self._reach(email, item, links=False)

    def opens(self, email: str, item: Item) -> bool:
        return self._reach(email, item, links=True)

    def _reach(self, email: str, item: Item, links: bool) -> bool:
        account = self.accounts.get(email)
        if account is not None and account.suspended:
            return False
        limited, here = False, item
        while True:
            if item.owner == email and not item.drive:
                return True
            for grant in here.grants:
                if self._is_for(grant, email, links) and (not limited or grant.role == "organizer"):
                    return True
            limited = limited or here.limited
            if here.parent in self.items:
                here = self.items[here.parent]
                continue
            grants = self.drives[here.parent][1] if here.parent in self.drives else []
            return any(
                self._is_for(grant, email, links) and (not limited or grant.role == "organizer")
                for grant in grants
            )

    def _is_for(self, grant: Grant, email: str, links: bool) -> bool:
        if grant.deleted or (grant.expires and grant.expires <= self.now):
            return False
        if grant.kind == "user":
            account = self.accounts.get(email)
            return grant.to.lower() in {email, *(account.aliases if account else [])}
        if grant.kind == "group":
            return self._in_group(self.group_aliases.get(grant.to, grant.to), email, set())
        if not (grant.findable or links):
            return False
        inside = email in self.accounts
        return inside and (grant.kind == "anyone" or email.endswith("@" + grant.to))

    def _in_group(self, group: str, email: str, seen: set[str]) -> bool:
        if group in seen:
            return False
        members = self.groups.get(group, set())
        if email in members or ("*" in members and email in self.accounts):
            return True
        return any(self._in_group(m, email, seen | {group}) for m in members if m in self.groups)

    # --- the API ---

    def answer(self, request: Request) -> Reply:
        try:
            if request.path == "/token":
                return Reply(self._token(request))
            who, scopes = self.tokens.get(request.bearer, ("", ""))
            if not who:
                raise Refused(401, "authError")
            handlers: list[tuple[str, str, Callable[..., Reply]]] = [
                (r"/drive/v3/drives", "drive.readonly", self._list_drives),
                (r"/drive/v3/files", "drive.readonly", self._list_files),
                (r"/drive/v3/files/([^/]+)/permissions", "drive.readonly", self._list_permissions),
                (r"/drive/v3/files/([^/]+)/export", "drive.readonly", self._export),
                (r"/drive/v3/files/([^/]+)", "drive.readonly", self._get_file),
                (r"/drive/v3/changes/startPageToken", "drive.readonly", self._start),
                (r"/drive/v3/changes", "drive.readonly", self._list_changes),
                (r"/admin/users", "user.readonly", self._list_users),
                (r"/admin/groups", "group.readonly", self._list_groups),
                (r"/admin/groups/([^/]+)/members", "group.readonly", self._list_members),
            ]
            for pattern, scope, handler in handlers:
                if match := re.fullmatch(pattern, request.path):
                    if scope not in scopes:
                        raise Refused(403, "insufficientPermissions")
                    return handler(who, dict(request.query), *match.groups())
            raise Refused(404, "notFound")
        except Refused as refusal:
            return refusal.reply

    def _token(self, request: Request) -> dict[str, Any]:
        form = request.form
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise _token_error("unsupported_grant_type", "")
        head, body, signature = form["assertion"].split(".")
        try:
            private_key().public_key().verify(
                _decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise _token_error("invalid_grant", "Invalid JWT Signature.") from None
        claims = json.loads(_decode(body))
        now = self.now.timestamp()
        if claims["aud"] != f"{self.http.url}/token" or not now - 60 <= claims["iat"] <= now + 60:
            raise _token_error("invalid_grant", "Invalid JWT: Token must be a short-lived token")
        if not set(claims["scope"].split()) <= self.delegated:
            raise _token_error("unauthorized_client", "Client is unauthorized", 401)
        account = self.accounts.get(claims["sub"])
        if account is None or account.suspended:
            raise _token_error("invalid_grant", "Invalid email or User ID")
        token = secrets.token_urlsafe(24)
        self.tokens[token] = (account.email, claims["scope"])
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def _list_drives(self, who: str, query: dict[str, str]) -> Reply:
        _only(query, {"pageSize", "pageToken", "fields"})
        rows = [
            {"id": id, "name": name}
            for id, (name, grants) in self.drives.items()
            if any(self._is_for(grant, who, False) for grant in grants)
        ]
        return self._cut("drives", rows, query)

    def _list_files(self, who: str, query: dict[str, str]) -> Reply:
        _only(query, {"pageSize", "pageToken", "fields", "spaces", "supportsAllDrives", "corpora"}
              | {"driveId", "q", "includeItemsFromAllDrives"})  # fmt: skip
        items = [item for item in self.items.values() if not self._in_trash(item)]
        if query["corpora"] == "drive":
            if (
                query.get("includeItemsFromAllDrives") != "true"
                or query["driveId"] not in self.drives
            ):
                raise Refused(404, "teamDriveNotFound")
            items = [item for item in items if item.drive == query["driveId"]]
            items = [item for item in items if self.opens(who, item)]
        else:
            if "'me' in owners" not in query["q"]:
                raise Refused(400, "invalid")
            items = [item for item in items if item.owner == who and not item.drive]
        folders = f"mimeType = '{FOLDER}'" in query["q"]
        items = [item for item in items if (item.mime == FOLDER) == folders]
        rows = [self._row(item, who) for item in items]
        return self._cut("files", rows, query, more={"incompleteSearch": False})

    def _get_file(self, who: str, query: dict[str, str], id: str) -> Reply:
        _only(query, {"fields", "supportsAllDrives", "alt"})
        item = self.items.get(id)
        if item is None or not self.opens(who, item):
            raise Refused(404, "notFound")
        if query.get("alt") == "media":
            if item.mime.startswith("application/vnd.google-apps."):
                raise Refused(403, "fileNotDownloadable")
            return self._content(item)
        return Reply(self._row(item, who))

    def _export(self, who: str, query: dict[str, str], id: str) -> Reply:
        _only(query, {"mimeType"})
        item = self.items.get(id)
        if item is None or not self.opens(who, item):
            raise Refused(404, "notFound")
        allowed = {"document": "text/html", "presentation": "text/plain", "spreadsheet": "text/csv"}
        if allowed.get(item.mime.rpartition(".")[2]) != query.get("mimeType"):
            raise Refused(400, "badRequest")
        return self._content(item)

    def _content(self, item: Item) -> Reply:
        if item.refuses:
            raise Refused(403, item.refuses)
        return Reply(item.content, 200, {"Content-Type": "application/octet-stream"})

    def _list_permissions(self, who: str, query: dict[str, str], id: str) -> Reply:
        _only(query, {"pageSize", "pageToken", "fields", "supportsAllDrives"})
        if id in self.drives:
            rows = [_grant_row(grant, direct=True) for grant in self.drives[id][1]]
            return self._cut("permissions", rows, query)
        item = self.items.get(id)
        if item is None or not self.opens(who, item):
            raise Refused(404, "notFound")
        return self._cut("permissions", self._effective(item), query)

    def _effective(self, item: Item) -> list[dict[str, Any]]:
        """Own ones and those from above. Below a limit, only managers keep theirs; others see a folder's name."""
        rows = [_grant_row(grant, direct=True) for grant in item.grants]
        if not item.drive and item.owner:
            rows.append(_grant_row(Grant("user", item.owner, "owner"), direct=True))
        limited, here = item.limited, item
        while here.parent:
            if here.parent in self.items:
                here = self.items[here.parent]
                rows += self._from_above(here.grants, item, limited)
                limited = limited or here.limited
                continue
            return rows + self._from_above(self.drives[here.parent][1], item, limited)
        return rows

    def _from_above(self, grants: list[Grant], item: Item, limited: bool) -> list[dict[str, Any]]:
        rows = []
        for grant in grants:
            row = _grant_row(grant, direct=False)
            if not limited or grant.role == "organizer":
                rows.append(row)
            elif item.mime == FOLDER and item.limited:
                rows.append({**row, **self.name_only})
        return rows

    def _start(self, _who: str, query: dict[str, str]) -> Reply:
        _only(query, {"driveId", "supportsAllDrives"})
        return Reply({"startPageToken": str(len(self.changes))})

    def _list_changes(self, who: str, query: dict[str, str]) -> Reply:
        _only(query, {"pageToken", "pageSize", "fields", "includeRemoved", "supportsAllDrives"}
              | {"driveId", "includeItemsFromAllDrives", "restrictToMyDrive"})  # fmt: skip
        if not query["pageToken"].isdigit() or int(query["pageToken"]) > len(self.changes):
            raise Refused(400, "invalid")
        start = int(query["pageToken"])
        end = min(start + self.page, len(self.changes))
        rows = []
        for drive, id in self.changes[start:end]:
            item = self.items.get(id)
            if drive != query.get("driveId", ""):
                continue
            if not drive and item is not None and item.owner != who:
                continue
            if item is None:
                rows.append({"changeType": "file", "fileId": id, "removed": True})
            else:
                rows.append({"changeType": "file", "fileId": id, "file": self._row(item, who)})
        key = "nextPageToken" if end < len(self.changes) else "newStartPageToken"
        return Reply({"changes": rows, key: str(end)})

    def _list_users(self, _who: str, query: dict[str, str]) -> Reply:
        _only(query, {"customer", "maxResults", "pageToken"})
        rows = [
            {"primaryEmail": a.email, "suspended": a.suspended, "aliases": a.aliases}
            for a in self.accounts.values()
        ]
        return self._cut("users", rows, query)

    def _list_groups(self, _who: str, query: dict[str, str]) -> Reply:
        _only(query, {"customer", "maxResults", "pageToken"})
        rows = [
            {
                "id": f"id-{email}",
                "email": email,
                "aliases": [a for a, g in self.group_aliases.items() if g == email],
            }
            for email in self.groups
        ]
        return self._cut("groups", rows, query)

    def _list_members(self, _who: str, query: dict[str, str], id: str) -> Reply:
        _only(query, {"maxResults", "pageToken"})
        rows = []
        for member in sorted(self.groups[id.removeprefix("id-")]):
            if member == "*":
                rows.append({"type": "CUSTOMER", "id": "C1"})
            elif member in self.groups:
                rows.append({"type": "GROUP", "email": member})
            else:
                account = self.accounts.get(member)
                status = (
                    {"status": "SUSPENDED" if account.suspended else "ACTIVE"} if account else {}
                )
                rows.append({"type": "USER", "email": member.title(), **status})
        return self._cut("members", rows, query)

    def _in_trash(self, item: Item) -> bool:
        return item.trashed or (
            item.parent in self.items and self._in_trash(self.items[item.parent])
        )

    def _row(self, item: Item, who: str) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "mimeType": item.mime,
            "modifiedTime": item.modified,
            "parents": [item.parent] if item.parent else [],
            "trashed": self._in_trash(item),
            "webViewLink": f"https://drive.google.com/open?id={item.id}",
            "ownedByMe": item.owner == who and not item.drive,
            "inheritedPermissionsDisabled": item.limited,
        }
        if not item.mime.startswith("application/vnd.google-apps."):
            row |= {
                "size": str(len(item.content)),
                "md5Checksum": hashlib.md5(item.content, usedforsecurity=False).hexdigest(),
            }
        if item.drive:
            return {**row, "driveId": item.drive, "hasAugmentedPermissions": bool(item.grants)}
        return {**row, "permissions": self._effective(item)}

    def _cut(
        self, key: str, rows: list[Any], query: dict[str, str], more: dict[str, Any] | None = None
    ) -> Reply:
        token = query.get("pageToken", "")
        if token and not re.fullmatch(rf"{key}-\d+", token):
            raise Refused(400, "invalid")
        start = int(token.rpartition("-")[2]) if token else 0
        end = start + self.page
        following = {"nextPageToken": f"{key}-{end}"} if end < len(rows) else {}
        return Reply({key: rows[start:end], **following, **(more or {})})


def _only(query: dict[str, str], allowed: set[str]) -> None:
    if set(query) - allowed:
        raise Refused(400, "invalidParameter")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _token_error(code: str, description: str, status: int = 400) -> Refused:
    refusal = Refused(status, code)
    refusal.reply = Reply({"error": code, "error_description": description}, status)
    return refusal


def _grant_row(grant: Grant, *, direct: bool) -> dict[str, Any]:
    assert grant.role in ROLES
    row: dict[str, Any] = {
        "id": f"p-{grant.kind}-{grant.to}",
        "type": grant.kind,
        "role": grant.role,
    }
    row["permissionDetails"] = [{"inherited": not direct, "role": grant.role}]
    if grant.kind in {"user", "group"}:
        row |= {"emailAddress": grant.to, "deleted": grant.deleted}
    if grant.kind in {"domain", "anyone"}:
        row["allowFileDiscovery"] = grant.findable
    if grant.kind == "domain":
        row["domain"] = grant.to
    if grant.expires:
        row["expirationTime"] = grant.expires.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return row
