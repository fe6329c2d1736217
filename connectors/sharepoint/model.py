"""Graph's drives, items, sharing, people and groups as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drive:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """`tag` changes with the content. `deleted` items carry no more than their id."""

    id: str
    name: str
    is_file: bool
    deleted: bool
    size: int
    tag: str
    modified: str
    url: str
    malware: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """`kind` is user, group, siteUser or siteGroup."""

    kind: str
    id: str
    name: str
    email: str
    login: str


@dataclass(frozen=True, slots=True)
class Permission:
    """`link` is the link's scope, empty without a link."""

    roles: tuple[str, ...]
    link: str
    expires: datetime | None
    to: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    mail: str
    upn: str
    active: bool
    guest: bool


def parse_item(row: Json) -> Item:
    return Item(
        id=str(row["id"]),
        name=str(row.get("name") or row["id"]),
        is_file="file" in row and "remoteItem" not in row,
        deleted="deleted" in row,
        size=int(row.get("size") or 0),
        tag=str(row.get("cTag") or row.get("eTag") or ""),
        modified=str(row.get("lastModifiedDateTime") or ""),
        url=str(row.get("webUrl") or ""),
        malware="malware" in row,
    )


def parse_permission(row: Json) -> Permission:
    """`grantedToV2` for what is given directly, `grantedToIdentitiesV2` for the people of a link."""
    sets = [row.get("grantedToV2") or {}, *(row.get("grantedToIdentitiesV2") or ())]
    expires = str(row.get("expirationDateTime") or "")
    return Permission(
        roles=tuple(str(role) for role in row.get("roles") or ()),
        link=str((row.get("link") or {}).get("scope") or ("unknown" if "link" in row else "")),
        expires=_moment(expires),
        to=tuple(identity for one in sets if (identity := _identity(one)) is not None),
    )


def parse_person(row: Json) -> Person:
    upn = str(row.get("userPrincipalName") or "").strip().lower()
    guest = str(row.get("userType") or "Member") != "Member" or "#ext#" in upn
    return Person(
        id=str(row["id"]),
        mail=str(row.get("mail") or "").strip().lower(),
        upn="" if guest else upn,  # a guest's is made up: ada_partner.test#EXT#@acme...
        active=row.get("accountEnabled") is True,
        guest=guest,
    )


def _identity(row: Json) -> Identity | None:
    """Where several are told, the directory's own says most."""
    for kind in ("group", "user", "siteGroup", "siteUser"):
        found = row.get(kind)
        if isinstance(found, Mapping) and found:
            return Identity(
                kind=kind,
                id=str(found.get("id") or ""),
                name=str(found.get("displayName") or ""),
                email=str(found.get("email") or "").strip().lower(),
                login=str(found.get("loginName") or "").strip().lower(),
            )
    return None


def _moment(text: str) -> datetime | None:
    """What is no time has passed: deny."""
    if not text or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
