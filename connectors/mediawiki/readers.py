"""Who reads a page. MediaWiki's core knows one right to read, for the whole wiki, so there is one group of readers:

readers          accounts with the right to read that are not blocked
usergroup:<g>    those of them in the wiki's user group <g>, for namespaces that a setting restricts to it
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.contract import Access
from connectors.mediawiki.api import Site
from connectors.mediawiki.people import Account, People, may_read, namespace_ids
from connectors.mediawiki.settings import MediaWikiSettings, pairs

READERS = "readers"


class Readers:
    def __init__(self, settings: MediaWikiSettings, site: Site) -> None:
        self._restricted: dict[int, set[str]] = {}
        for name, group in pairs(settings.restricted):
            (number,) = namespace_ids([name], site.namespaces)
            self._restricted.setdefault(number, set()).add(group)
        everyone = site.public and settings.public_for_everyone
        self._open = Access(known=True, everyone=True) if everyone else Access.of(groups=[READERS])

    def of(self, namespace: int) -> Access:
        groups = self._restricted.get(namespace)
        if groups is None:
            return self._open
        return Access.of(groups=[f"usergroup:{group}" for group in groups if group])

    def groups(self, accounts: list[Account], people: People) -> Mapping[str, frozenset[str]]:
        reading = [account for account in accounts if may_read(account)]
        named = {READERS: people.mails(reading)}
        for group in set().union(*self._restricted.values()) - {""}:
            inside = [account for account in reading if group in account.groups]
            named[f"usergroup:{group}"] = people.mails(inside)
        return named

    def shape(self) -> dict[str, object]:
        """Changes when the readers of a page do; JSON."""
        restricted = {str(ns): sorted(groups) for ns, groups in sorted(self._restricted.items())}
        return {"everyone": self._open.everyone, "restricted": restricted}
