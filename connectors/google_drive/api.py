"""The Drive API v3 and the Admin SDK's Directory API (developers.google.com: "Search for files and folders", "Retrieve changes",
"Export formats", "Resolve errors", Directory "groups.list", "members.list", "users.list")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from connectors.contract import Context, SourceFault
from connectors.google_drive.auth import DRIVE, GROUPS, USERS, DelegatedAuth, Tokens, reason
from connectors.google_drive.model import (
    FILE_FIELDS,
    FOLDER,
    PERMISSION_FIELDS,
    Corpus,
    File,
    Group,
    Json,
    Member,
    Permission,
    Person,
    parse_file,
    parse_group,
    parse_member,
    parse_permission,
    parse_person,
)
from connectors.google_drive.settings import GoogleDriveSettings
from connectors.http import Http
from connectors.http_answers import body_json

PAGE = 1000
ALL_DRIVES = {"supportsAllDrives": "true"}
EXPIRED = (400, 404, 410)


@dataclass(frozen=True, slots=True)
class FilePage:
    """`following` is the next page's token, empty at the end."""

    files: tuple[File, ...]
    following: str


@dataclass(frozen=True, slots=True)
class ChangePage:
    """`gone` are ids; `token` is where to go on, now when `more`, else at the next call."""

    files: tuple[File, ...]
    gone: tuple[str, ...]
    token: str
    more: bool


class Refused(Exception):
    """Google keeps one file's content back; `code` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class DriveApi:
    def __init__(self, context: Context, settings: GoogleDriveSettings, tokens: Tokens) -> None:
        self._context = context
        self._settings = settings
        self._tokens = tokens
        self._clients: dict[str, Http] = {}

    def drives(self) -> Iterator[Corpus]:
        """Shared drives that the account is a member of."""
        subject = self._settings.subject.strip().lower()
        query = {"pageSize": "100", "fields": "nextPageToken,drives(id,name)"}
        for row in self._rows(subject, "drives", "drives", query):
            id = str(row["id"])
            yield Corpus(f"drive:{id}", str(row.get("name") or id), subject, id)

    def files(self, corpus: Corpus, page: str = "", *, folders: bool = False) -> FilePage | None:
        """One page, files or folders; None for a page token that no longer holds. Raises SourceFault for a search that
        Google itself calls incomplete."""
        kind = "=" if folders else "!="
        wanted = f"trashed = false and mimeType {kind} '{FOLDER}'"
        query = {"pageSize": str(PAGE), "spaces": "drive", **ALL_DRIVES}
        query["fields"] = f"nextPageToken,incompleteSearch,files({FILE_FIELDS})"
        if corpus.drive:
            query |= {"corpora": "drive", "driveId": corpus.drive, "q": wanted}
            query["includeItemsFromAllDrives"] = "true"
        else:
            query |= {"corpora": "user", "q": f"'me' in owners and {wanted}"}
        if page:
            query["pageToken"] = page
        accept = EXPIRED if page else ()
        response = self._at(corpus.subject).get("files", params=query, accept=accept)
        if response.status_code in EXPIRED:
            return None
        body = body_json(response)
        if body.get("incompleteSearch"):
            raise SourceFault(
                "Google Drive could not search everything.", "Try again later.", passing=True
            )
        files = tuple(parse_file(row) for row in body.get("files") or ())
        return FilePage(files, str(body.get("nextPageToken") or ""))

    def all_files(self, corpus: Corpus, *, folders: bool = False) -> Iterator[File]:
        page, seen = "", set[str]()
        while True:
            found = self.files(corpus, page, folders=folders)
            if found is None or found.following in seen:
                raise SourceFault("Google Drive lost its place.", "Try again later.", passing=True)
            yield from found.files
            if not found.following:
                return
            seen.add(found.following)
            page = found.following

    def file(self, subject: str, id: str) -> File | None:
        query = {"fields": FILE_FIELDS, **ALL_DRIVES}
        response = self._at(subject).get(
            f"files/{quote(id, safe='')}", params=query, accept=(400, 403, 404)
        )
        return parse_file(body_json(response)) if response.status_code < 400 else None

    def permissions(self, subject: str, id: str) -> tuple[Permission, ...] | None:
        """Of a file or a shared drive, inherited ones included; None where the account may not see them."""
        query = {"pageSize": "100", "fields": PERMISSION_FIELDS, **ALL_DRIVES}
        path = f"files/{quote(id, safe='')}/permissions"
        found = list[Permission]()
        while True:
            response = self._at(subject).get(path, params=query, accept=(403, 404))
            if response.status_code in (403, 404):
                return None
            body = body_json(response)
            found += [parse_permission(row) for row in body.get("permissions") or ()]
            if not body.get("nextPageToken"):
                return tuple(found)
            query["pageToken"] = str(body["nextPageToken"])

    def start_token(self, corpus: Corpus) -> str:
        query = {"driveId": corpus.drive, **ALL_DRIVES} if corpus.drive else {}
        body = self._at(corpus.subject).json("changes/startPageToken", params=query)
        return str(body["startPageToken"])

    def changes(self, corpus: Corpus, token: str) -> ChangePage | None:
        """None for a token that no longer holds."""
        fields = f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,file({FILE_FIELDS}))"
        query = {"pageToken": token, "pageSize": str(PAGE), "includeRemoved": "true"}
        query |= {"fields": fields, **ALL_DRIVES}
        if corpus.drive:
            query |= {"driveId": corpus.drive, "includeItemsFromAllDrives": "true"}
        else:
            query["restrictToMyDrive"] = "true"
        response = self._at(corpus.subject).get("changes", params=query, accept=EXPIRED)
        if response.status_code in EXPIRED:
            return None
        body = body_json(response)
        rows = [r for r in body.get("changes") or () if r.get("changeType", "file") == "file"]
        files = tuple(parse_file(row["file"]) for row in rows if row.get("file"))
        gone = tuple(str(r["fileId"]) for r in rows if r.get("removed") or not r.get("file"))
        following = str(body.get("nextPageToken") or "")
        return ChangePage(
            files, gone, following or str(body.get("newStartPageToken") or token), bool(following)
        )

    def content(self, subject: str, id: str, export: str, limit: int) -> bytes:
        """A file's bytes, or a Google document's as the mime `export`. Raises Refused, TooLarge."""
        path = f"files/{quote(id, safe='')}"
        query = {"mimeType": export} if export else {"alt": "media", **ALL_DRIVES}
        response = self._at(subject).get(
            f"{path}/export" if export else path,
            params=query,
            max_bytes=limit,
            accept=(400, 403, 404),
            follow_redirects=False,
        )
        if response.status_code >= 400:
            raise Refused(reason(response))
        return response.content

    # --- the directory ---

    def people(self) -> Iterator[Person]:
        query = {"customer": "my_customer", "maxResults": "500"}
        for row in self._directory_rows("users", "users", query):
            yield parse_person(row)

    def groups(self) -> Iterator[Group]:
        query = {"customer": "my_customer", "maxResults": "200"}
        for row in self._directory_rows("groups", "groups", query):
            yield parse_group(row)

    def members(self, group: Group) -> Iterator[Member]:
        path = f"groups/{quote(group.id, safe='')}/members"
        for row in self._directory_rows(path, "members", {"maxResults": "200"}):
            yield parse_member(row)

    def _directory_rows(self, path: str, key: str, query: Mapping[str, str]) -> Iterator[Json]:
        yield from self._rows("", path, key, query)

    def _rows(self, subject: str, path: str, key: str, query: Mapping[str, str]) -> Iterator[Json]:
        page = ""
        while True:
            here = {**query, "pageToken": page} if page else dict(query)
            body = self._at(subject).json(path, params=here)
            yield from body.get(key) or ()
            following = str(body.get("nextPageToken") or "")
            if not following:
                return
            if following == page:
                raise SourceFault("Google gives the same page again.", "Try again.", passing=True)
            page = following

    def _at(self, subject: str) -> Http:
        """The Drive API as a person; the directory for no person."""
        if subject not in self._clients:
            address = self._settings.drive_url if subject else self._settings.directory_url
            scopes = DRIVE if subject else f"{GROUPS} {USERS}"
            actor = subject or self._settings.subject.strip().lower()
            auth = DelegatedAuth(self._tokens, actor, scopes)
            self._clients[subject] = self._context.http.at(address + "/", auth=auth)
        return self._clients[subject]
