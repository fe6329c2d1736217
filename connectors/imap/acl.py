"""Who may read a folder by its ACL (RFC 4314): those whom every reading of the ACL admits.

Servers combine matching identifiers in two ways, by union or by the most specific (RFC 4314, section 2). A person is admitted
when both agree: some one entry gives lookup and read, no negative entry takes either, and no more specific entry gives less.
A denial of somebody who is not stated makes the whole folder nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NEEDED = frozenset("lr")
ANYONE = {"anyone", "authenticated"}
GROUP_PREFIXES = ("$", "group=", "group:")
OVERRIDE_PREFIXES = ("!$", "group-override=")


@dataclass(frozen=True, slots=True)
class Entry:
    """`level` grows with precision: anyone 0, a group 1, the owner 2, a user 3, a group that overrides users 4."""

    people: frozenset[str] | None
    """None when nobody knows who is meant."""
    level: int
    gives: bool
    """Lookup and read; for a negative entry, that it leaves both."""
    negative: bool


class Directory:
    """What the settings state: e-mail of logins, members of groups, the accounts."""

    def __init__(
        self,
        accounts: Mapping[str, str],
        groups: Mapping[str, frozenset[str]],
        *,
        anyone: bool,
    ) -> None:
        self._accounts = accounts
        self._groups = groups
        self._anyone = anyone

    def person(self, login: str) -> frozenset[str] | None:
        email = self._accounts.get(login) or (login.lower() if "@" in login[1:-1] else "")
        return frozenset({email}) if email else None

    def group(self, name: str) -> frozenset[str] | None:
        """E-mail addresses, those of nested groups included; None when the group or an inner one is not stated."""
        found, waiting, seen = set(), [name], {name}
        while waiting:
            members = self._groups.get(waiting.pop())
            if members is None:
                return None
            found |= {member for member in members if not member.startswith("group:")}
            inner = {m.removeprefix("group:") for m in members if m.startswith("group:")} - seen
            seen |= inner
            waiting.extend(inner)
        return frozenset(found)

    def anyone(self) -> frozenset[str] | None:
        return frozenset(self._accounts.values()) if self._anyone else None


def readers(
    acl: Iterable[tuple[str, str]], directory: Directory, owner: str = ""
) -> frozenset[str]:
    """E-mail addresses. `owner` is the login of the folder's owner, where it has one."""
    all_ = [_entry(identifier, rights, directory, owner) for identifier, rights in acl]
    entries = [entry for entry in all_ if not (entry.negative and entry.gives)]
    if any(entry.people is None and not entry.gives and entry.level for entry in entries):
        return frozenset()
    denied_anyone = any(e.level == 0 and e.negative and not e.gives for e in entries)
    admitted: set[str] = set()
    for email in {e for entry in entries if entry.gives for e in entry.people or ()}:
        mine = [entry for entry in entries if entry.people is not None and email in entry.people]
        top = max(entry.level for entry in mine)
        agreed = all(entry.gives for entry in mine if entry.level == top or entry.negative)
        if agreed and not denied_anyone:
            admitted.add(email)
    return frozenset(admitted)


def unstated(acl: Iterable[tuple[str, str]], directory: Directory, owner: str = "") -> list[str]:
    """Identifiers of which the settings do not say who they are."""
    return [i for i, rights in acl if _entry(i, rights, directory, owner).people is None]


def _entry(identifier: str, rights: str, directory: Directory, owner: str) -> Entry:
    negative = identifier.startswith("-")
    name = identifier.removeprefix("-").removeprefix("#")  # Dovecot marks its global ACLs with #
    people, level = _who(name, directory, owner)
    gives = not (NEEDED & set(rights)) if negative else set(rights) >= NEEDED
    return Entry(people, level, (gives and not negative) or (negative and gives), negative)


def _who(name: str, directory: Directory, owner: str) -> tuple[frozenset[str] | None, int]:
    for prefixes, level in ((OVERRIDE_PREFIXES, 4), (GROUP_PREFIXES, 1)):
        for prefix in prefixes:
            if name.startswith(prefix):
                return directory.group(name.removeprefix(prefix)), level
    if name in ANYONE:
        return directory.anyone(), 0
    if name == "anonymous":
        return frozenset(), 0
    if name == "owner":
        return (directory.person(owner) if owner else frozenset()), 2
    return directory.person(name.removeprefix("user=")), 3
