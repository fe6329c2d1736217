"""Who may read a file: Drive's sharing and the company's directory, turned into e-mail addresses and groups. Unknown is nobody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from connectors.contract import Access
from connectors.google_drive.api import DriveApi
from connectors.google_drive.model import Corpus, File, Group, Permission, Person

ALL_USERS = "all-users"
_READING = {"owner", "organizer", "fileOrganizer", "writer", "commenter", "reader"}
_ABOVE_LIMITS = {"owner", "organizer"}


def domain_group(domain: str) -> str:
    return f"domain:{domain}"


class Directory:
    """The company's people and groups, asked once."""

    def __init__(self, api: DriveApi) -> None:
        self._api = api

    @cached_property
    def people(self) -> Mapping[str, Person]:
        """By every address that a person has."""
        return {
            address: person
            for person in self._api.people()
            for address in (person.email, *person.aliases)
        }

    @cached_property
    def by_address(self) -> Mapping[str, Group]:
        return {
            address: group
            for group in self._api.groups()
            for address in (group.email, *group.aliases)
        }

    @cached_property
    def active(self) -> frozenset[str]:
        return frozenset(person.email for person in self.people.values() if person.active)

    @cached_property
    def domains(self) -> frozenset[str]:
        return frozenset(address.rpartition("@")[2] for address in self.active)

    def reader(self, email: str) -> str:
        """The address that a person signs in with; empty for a suspended account. Somebody of another company is who
        Drive says."""
        person = self.people.get(email)
        if person is None:
            return email
        return person.email if person.active else ""

    def groups(self) -> dict[str, frozenset[str]]:
        told = {ALL_USERS: self.active}
        for domain in self.domains:
            told[domain_group(domain)] = frozenset(
                email for email in self.active if email.rpartition("@")[2] == domain
            )
        for group in {group.id: group for group in self.by_address.values()}.values():
            told[group.email] = frozenset(self._members(group))
        return told

    def _members(self, group: Group) -> set[str]:
        found = set[str]()
        for member in self._api.members(group):
            if member.kind == "CUSTOMER":
                found.add(f"group:{ALL_USERS}")
            elif member.kind == "GROUP":
                if inner := self.by_address.get(member.email):
                    found.add(f"group:{inner.email}")
            elif member.kind == "USER" and member.active and "@" in member.email:
                found.add(self.reader(member.email))
        return found - {""}


class Readers:
    """`now` decides what has expired."""

    def __init__(self, api: DriveApi, directory: Directory, links: bool, now: datetime) -> None:
        self._api = api
        self._directory = directory
        self._links = links
        self._now = now
        self._of_folder: dict[str, Access] = {}

    def of(self, corpus: Corpus, file: File, folders: Mapping[str, File] | None = None) -> Access:
        """With `folders` (of a shared drive), a file that is not shared itself has its folder's readers, unasked."""
        if file.permissions is not None:
            return self._access(file.permissions)
        if folders is None or file.own_sharing:
            return self._asked(corpus, file.id)
        return self._inherited(corpus, file.parent, folders)

    def _inherited(self, corpus: Corpus, folder: str, folders: Mapping[str, File]) -> Access:
        chain, access = list[str](), None
        while access is None:
            chain.append(folder)
            known, here = self._of_folder.get(folder), folders.get(folder)
            if known is not None:
                access = known
            elif here is None or here.own_sharing or here.parent in chain:
                # The drive itself, a folder with sharing of its own, or one that the account cannot see.
                access = self._asked(corpus, folder) if folder else Access.nobody()
            else:
                folder = here.parent
        self._of_folder.update(dict.fromkeys(chain, access))
        return access

    def _asked(self, corpus: Corpus, id: str) -> Access:
        permissions = self._api.permissions(corpus.subject, id)
        return Access.nobody() if permissions is None else self._access(permissions)

    def _access(self, permissions: tuple[Permission, ...]) -> Access:
        users, groups = set[str](), set[str]()
        for permission in permissions:
            if not self._counts(permission):
                continue
            if permission.kind == "user":
                users.add(self._directory.reader(permission.email))
            else:
                groups.add(self._group(permission))
        return Access.of((user for user in users if "@" in user), groups - {""})

    def _counts(self, permission: Permission) -> bool:
        if permission.deleted or permission.role not in _READING or permission.view:
            return False  # a view shows a folder's name, not what is in it
        if permission.expires is not None and permission.expires <= self._now:
            return False
        return not permission.cut or permission.direct or permission.role in _ABOVE_LIMITS

    def _group(self, permission: Permission) -> str:
        """Empty for a group or a domain that is not the company's: who is in it, nobody here can tell."""
        if permission.kind == "group":
            group = self._directory.by_address.get(permission.email)
            return group.email if group else ""
        if not (permission.findable or self._links):
            return ""
        if permission.kind == "domain" and permission.domain in self._directory.domains:
            return domain_group(permission.domain)
        return ALL_USERS if permission.kind == "anyone" else ""
