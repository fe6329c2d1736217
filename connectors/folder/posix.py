"""Readers from owner, group and mode, with the meaning the kernel gives them (path_resolution(7)).

Only one of the three classes counts for an account: the owner's bits for the owner, else the group's for a member, else the
others'. Where a wider class may more than a narrower one (mode 604), group names cannot say it and the accounts are named
one by one. A folder must be listable and passable (r and x) for whoever reads below it; folders above the source's own do
not count. The superuser's power to read all is no readership. An access control list is not understood: unknown.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from connectors.contract import Access
from connectors.folder.settings import FolderSettings, Others

READ, PASS = 4, 5
ALL_USERS = "all-users"
ANYONE = Access(known=True, everyone=True)
FIRST_PERSON, NOBODY_UID = 1000, 65534
ACLS = {"system.posix_acl_access", "system.nfs4_acl", "system.richacl"}


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int


class Accounts:
    """The server's accounts and groups, as its databases (files, LDAP through NSS) tell them."""

    def __init__(self, domain: str, mails: Mapping[str, str]) -> None:
        self._domain = domain
        self._mails = mails

    @classmethod
    def of(cls, settings: FolderSettings) -> Accounts:
        pairs = (line.partition("=") for line in settings.mails)
        mails = {user.strip(): mail.strip().lower() for user, _, mail in pairs}
        return cls(settings.mail_domain, mails)

    @cached_property
    def all(self) -> tuple[Account, ...]:
        import pwd

        return tuple(Account(a.pw_name, a.pw_uid, a.pw_gid) for a in pwd.getpwall())

    def mail(self, account: Account) -> str:
        """Empty where none is known; service accounts have one only if a line names it."""
        if account.name in self._mails:
            return self._mails[account.name]
        person = account.uid >= FIRST_PERSON and account.uid != NOBODY_UID
        return f"{account.name.lower()}@{self._domain}" if person and self._domain else ""

    def owner(self, uid: int) -> Account | None:
        import pwd

        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def group_name(self, gid: int) -> str:
        """Empty for a group that the server does not know."""
        import grp

        try:
            return f"posix-{grp.getgrgid(gid).gr_name}"
        except KeyError:
            return ""

    def is_member(self, account: Account, gid: int) -> bool:
        return account.gid == gid or account.name in self._listed(gid)

    def members(self, gid: int) -> frozenset[str]:
        """Addresses, those whose main group it is included."""
        return self.mails(a for a in self.all if self.is_member(a, gid))

    def mails(self, accounts: Iterable[Account]) -> frozenset[str]:
        return frozenset(mail for a in accounts if (mail := self.mail(a)))

    def _listed(self, gid: int) -> frozenset[str]:
        import grp

        try:
            return frozenset(grp.getgrgid(gid).gr_mem)
        except KeyError:
            return frozenset()


class Readers:
    """Turns the status of files and folders into readers."""

    def __init__(self, accounts: Accounts, others: Others) -> None:
        self._accounts = accounts
        self._others = others
        self._seen: dict[tuple[int, int, int, int], Access] = {}
        self.gids: set[int] = set()

    def of_file(self, status: os.stat_result) -> Access:
        return self._of(status, READ)

    def of_folder(self, status: os.stat_result) -> Access:
        """Who may pass: a folder open to others narrows nothing."""
        return self._of(status, PASS)

    def groups(self) -> dict[str, frozenset[str]]:
        """The groups that what was seen so far can name."""
        accounts = self._accounts
        named = {accounts.group_name(gid): accounts.members(gid) for gid in self.gids}
        named.pop("", None)
        return {**named, ALL_USERS: accounts.mails(accounts.all)}

    def _of(self, status: os.stat_result, need: int) -> Access:
        key = (status.st_uid, status.st_gid, status.st_mode & 0o777, need)
        if key not in self._seen:
            self.gids.add(status.st_gid)
            self._seen[key] = self._work_out(*key)
        return self._seen[key]

    def _work_out(self, uid: int, gid: int, mode: int, need: int) -> Access:
        owner, group, others = (mode >> shift & need == need for shift in (6, 3, 0))
        if (group and not owner) or (others and not (owner and group)):
            return Access.of(users=self._one_by_one(uid, gid, owner, group, others, need))
        if others and need == PASS:
            return ANYONE
        if others and self._others == "everyone":
            return ANYONE
        account = self._accounts.owner(uid)
        mail = self._accounts.mail(account) if owner and account else ""
        groups = {self._accounts.group_name(gid)} - {""} if group else set()
        if others and self._others == "all accounts":
            groups.add(ALL_USERS)
        return Access.of(users={mail} - {""}, groups=groups)

    def _one_by_one(
        self, uid: int, gid: int, owner: bool, group: bool, others: bool, need: int
    ) -> frozenset[str]:
        others = others and (need == PASS or self._others != "nobody")

        def may(account: Account) -> bool:
            if account.uid == uid:
                return owner
            return group if self._accounts.is_member(account, gid) else others

        return self._accounts.mails(a for a in self._accounts.all if may(a))


def has_acl(path: str) -> bool:
    """Whether an access control list decides too. A file system without them has none."""
    try:
        return not ACLS.isdisjoint(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        return error.errno not in (errno.ENOTSUP, errno.ENOSYS)
