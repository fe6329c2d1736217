"""Accounts of a wiki as people: who may read, and under which address Switchboard knows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.contract import SourceFault
from connectors.mediawiki.settings import MediaWikiSettings, pairs

_LOCAL = re.compile(r"[a-z0-9._-]+")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True)
class Account:
    """`reads`: the wiki-wide right to read, as the wiki computes it. `blocked` from the whole wiki, not from a part."""

    name: str
    groups: frozenset[str]
    reads: bool
    blocked: bool


class People:
    """Addresses by the settings' lines and pattern. An account without one is nobody here."""

    def __init__(self, settings: MediaWikiSettings) -> None:
        self._pattern = settings.mail_pattern
        self._lines = {_normal(name): mail.lower() for name, mail in pairs(settings.people)}

    def mail(self, name: str) -> str:
        """Empty where there is none."""
        if (line := self._lines.get(_normal(name))) is not None:
            return line if _MAIL.fullmatch(line) else ""
        local = name.lower().replace(" ", ".")
        if not self._pattern or not _LOCAL.fullmatch(local):
            return ""
        return self._pattern.replace("{name}", local).lower()

    def mails(self, accounts: Iterable[Account]) -> frozenset[str]:
        return frozenset(self.mail(account.name) for account in accounts) - {""}


def may_read(account: Account) -> bool:
    """A blocked account is one that was shut: MediaWiki cannot delete accounts, and leavers are blocked."""
    return account.reads and not account.blocked


def namespace_ids(wanted: Iterable[str], known: Mapping[str, int]) -> list[int]:
    """Numbers of namespaces given by number or name (`known`, in lower case). Raises SourceFault for one that is none."""
    found = []
    for name in wanted:
        text = name.strip().lower().replace("_", " ")
        number = int(text) if text.lstrip("-").isdecimal() else known.get(text)
        if number is None or number < 0 or number not in known.values():
            raise SourceFault(
                f"The wiki has no namespace '{name.strip()}'.",
                "Enter its number or its name; 0 is the main one.",
            )
        if number not in found:
            found.append(number)
    return found


def _normal(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
