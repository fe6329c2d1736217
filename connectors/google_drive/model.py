"""Drive's files and sharing, and the directory's people and groups, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
FOLDER = "application/vnd.google-apps.folder"
_PERMISSION = (
    "id,type,role,emailAddress,domain,allowFileDiscovery,expirationTime,deleted,view,"
    "inheritedPermissionsDisabled,permissionDetails(inherited,role)"
)
PERMISSION_FIELDS = f"nextPageToken,permissions({_PERMISSION})"
FILE_FIELDS = (
    "id,name,mimeType,size,md5Checksum,modifiedTime,parents,driveId,trashed,webViewLink,ownedByMe,"
    f"hasAugmentedPermissions,inheritedPermissionsDisabled,permissions({_PERMISSION})"
)


@dataclass(frozen=True, slots=True)
class Permission:
    """`kind` is user, group, domain or anyone; `findable` says that search may show the file, not only a link; `cut` that
    inheritance ends here, and `direct` that this one is not inherited."""

    kind: str
    role: str
    email: str
    domain: str
    findable: bool
    expires: datetime | None
    deleted: bool
    view: str
    cut: bool
    direct: bool


@dataclass(frozen=True, slots=True)
class File:
    """`permissions` is None where a listing does not tell them (shared drives). `own_sharing` says that it is shared with
    somebody directly, or that inheritance ends here: its folder's readers are not all there is to know."""

    id: str
    name: str
    mime: str
    size: int
    md5: str
    modified: str
    parent: str
    drive: str
    trashed: bool
    url: str
    own: bool
    own_sharing: bool
    permissions: tuple[Permission, ...] | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """A shared drive (`drive` is its id) or a person's own files, read as `subject`."""

    key: str
    name: str
    subject: str
    drive: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    active: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    email: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`kind` is USER, GROUP or CUSTOMER (everybody in the company)."""

    kind: str
    email: str
    active: bool


def parse_permission(row: Json) -> Permission:
    details = row.get("permissionDetails") or ()
    expires = str(row.get("expirationTime") or "")
    return Permission(
        kind=str(row.get("type") or ""),
        role=str(row.get("role") or ""),
        email=_email(row.get("emailAddress")),
        domain=str(row.get("domain") or "").lower(),
        findable=row.get("allowFileDiscovery") is True,
        expires=datetime.fromisoformat(expires) if expires else None,
        deleted=bool(row.get("deleted")),
        view=str(row.get("view") or ""),
        cut=bool(row.get("inheritedPermissionsDisabled")),
        direct=not details or any(not detail.get("inherited") for detail in details),
    )


def parse_file(row: Json) -> File:
    told = row.get("permissions")
    drive = str(row.get("driveId") or "")
    return File(
        id=str(row["id"]),
        name=str(row.get("name") or row["id"]),
        mime=str(row.get("mimeType") or ""),
        size=int(row.get("size") or 0),
        md5=str(row.get("md5Checksum") or ""),
        modified=str(row.get("modifiedTime") or ""),
        parent=str((row.get("parents") or [""])[0]),
        drive=drive,
        trashed=bool(row.get("trashed")),
        url=str(row.get("webViewLink") or ""),
        own=bool(row.get("ownedByMe")),
        # What is not said could be anything, so it is asked for.
        own_sharing=row.get("hasAugmentedPermissions") is not False
        or row.get("inheritedPermissionsDisabled") is True,
        permissions=None if drive or told is None else tuple(map(parse_permission, told)),
    )


def parse_person(row: Json) -> Person:
    aliases = [*(row.get("aliases") or ()), *(row.get("nonEditableAliases") or ())]
    active = not (row.get("suspended") or row.get("archived"))
    return Person(_email(row["primaryEmail"]), active, tuple(map(_email, aliases)))


def parse_group(row: Json) -> Group:
    aliases = [*(row.get("aliases") or ()), *(row.get("nonEditableAliases") or ())]
    return Group(str(row["id"]), _email(row["email"]), tuple(map(_email, aliases)))


def parse_member(row: Json) -> Member:
    active = str(row.get("status") or "ACTIVE") == "ACTIVE"
    return Member(str(row.get("type") or ""), _email(row.get("email")), active)


def _email(value: object) -> str:
    return str(value or "").strip().lower()
