"""Who may read an item: Graph's sharing and Entra's directory, turned into e-mail addresses and groups. Unknown is nobody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from connectors.contract import Access
from connectors.sharepoint.api import GraphApi
from connectors.sharepoint.model import Identity, Permission, Person
from connectors.sharepoint.settings import SharePointSettings

MEMBERS = "members"
_READING = {"read", "write", "owner", "sp.full control", "sp.read", "sp.edit", "sp.contribute"}
_PERSON_CLAIM = "i:0#.f|membership|"
_GROUP_CLAIMS = ("c:0t.c|tenant|", "c:0o.c|federateddirectoryclaimprovider|")
_ALL_MEMBERS = "c:0-.f|rolemanager|spo-grid-all-users"
_EVERYONE = "c:0(.s|true"


def group_name(id: str) -> str:
    return f"group:{id}"


class Directory:
    """The tenant's people and groups, asked once."""

    def __init__(self, api: GraphApi) -> None:
        self._api = api

    @cached_property
    def people(self) -> Mapping[str, Person]:
        return {person.id: person for person in self._api.people()}

    @cached_property
    def group_ids(self) -> frozenset[str]:
        return frozenset(self._api.groups())

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        """Whose an address is. A sign-in name wins over a mail address that somebody else's record shows; one mail address
        of two accounts is nobody's."""
        owners: dict[str, str] = {}
        for person in self.people.values():
            if person.mail:
                owners[person.mail] = "" if person.mail in owners else person.id
        owners |= {person.upn: person.id for person in self.people.values() if person.upn}
        return owners

    def find(self, address: str) -> Person | None:
        return self.people.get(self._owners.get(address.strip().lower(), ""))

    def addresses(self, person: Person | None) -> frozenset[str]:
        """What a person may sign in with. A blocked account has none."""
        if person is None or not person.active:
            return frozenset()
        both = {person.mail, person.upn}
        return frozenset(a for a in both if "@" in a and self._owners.get(a) == person.id)

    def is_member(self, person: Person) -> bool:
        return person.active and not person.guest

    def groups(self) -> dict[str, frozenset[str]]:
        members = (p for p in self.people.values() if self.is_member(p))
        told = {MEMBERS: frozenset().union(*(self.addresses(person) for person in members))}
        for id in self.group_ids:
            inside = (self.people.get(member) for member in self._api.members(id))
            told[group_name(id)] = frozenset().union(*(self.addresses(p) for p in inside))
        return told


class Readers:
    """`now` decides what has expired; `unknown` collects the site groups that nobody has explained."""

    def __init__(self, directory: Directory, settings: SharePointSettings, now: datetime) -> None:
        self._directory = directory
        self._links = settings.organization_links
        self._now = now
        self._site_groups = {}
        for line in settings.site_groups:
            name, _, group = line.rpartition("=")
            self._site_groups[name.strip().lower()] = group.strip()
        self.unknown: set[str] = set()

    def of(self, permissions: tuple[Permission, ...] | None) -> Access:
        if permissions is None:
            return Access.nobody()
        users, groups = set[str](), set[str]()
        for permission in permissions:
            if not self._counts(permission):
                continue
            if permission.link == "organization":
                groups.add(MEMBERS)
                continue
            for identity in permission.to:
                users |= self._users(identity)
                groups |= self._groups(identity)
        return Access.of(users, groups)

    def _counts(self, permission: Permission) -> bool:
        if not any(role.lower() in _READING for role in permission.roles):
            return False
        if permission.expires is not None and permission.expires <= self._now:
            return False
        # A link for anybody, or for those who have access anyway, makes nobody a reader.
        return permission.link in {"", "users"} or (
            permission.link == "organization" and self._links
        )

    def _users(self, identity: Identity) -> frozenset[str]:
        """By id where Graph tells one of the directory, else by address; a stranger to the directory is nobody."""
        if identity.kind == "user":
            person = self._directory.people.get(identity.id) if identity.id else None
            if person is None and not identity.id:
                person = self._directory.find(identity.email)
            return self._directory.addresses(person)
        if identity.kind == "siteUser" and identity.login.startswith(_PERSON_CLAIM):
            name = identity.login.removeprefix(_PERSON_CLAIM)
            # A guest's sign-in name is not an address, so the mail address beside it says who it is.
            person = self._directory.find(identity.email if "#ext#" in name else name)
            return self._directory.addresses(person)
        return frozenset()

    def _groups(self, identity: Identity) -> frozenset[str]:
        if identity.kind == "group":
            return self._known(identity.id)
        if identity.kind == "siteGroup":
            group = self._site_groups.get(identity.name.strip().lower(), "")
            if not group:
                self.unknown.add(identity.name)
            return self._known(group)
        if identity.kind == "siteUser":
            # "Everyone" counts guests too, who are left out here: nothing tells which of them have ever signed in.
            if identity.login.startswith(_ALL_MEMBERS) or identity.login == _EVERYONE:
                return frozenset({MEMBERS})
            for claim in _GROUP_CLAIMS:
                # A trailing _o means the group's owners only, who cannot be told from its members here.
                if identity.login.startswith(claim) and not identity.login.endswith("_o"):
                    return self._known(identity.login.removeprefix(claim))
        return frozenset()

    def _known(self, id: str) -> frozenset[str]:
        return frozenset({group_name(id)}) if id in self._directory.group_ids else frozenset()
