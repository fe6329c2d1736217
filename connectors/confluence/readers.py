"""Who may view what: the space's permissions, narrowed by the restriction of the page and of every page it lies below.

Space permissions become a group for each space, so that they are told by `groups()` alone; restrictions are written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connectors.atlassian import Account
from connectors.confluence.api import ConfluenceApi
from connectors.confluence.model import Grants, Node, Page, Restriction, Space
from connectors.contract import Access

ALL_USERS = "all-users"
EVERYONE = Access(known=True, everyone=True)


def space_group(space: str) -> str:
    return f"space:{space}"


def site_group(group: str) -> str:
    return f"site-group:{group}"


class Directory:
    """The site's accounts, asked for once each."""

    def __init__(self, api: ConfluenceApi) -> None:
        self._api = api
        self._accounts: dict[str, Account | None] = {}

    def load(self, ids: Iterable[str]) -> None:
        missing = set(ids) - self._accounts.keys()
        self._accounts.update(dict.fromkeys(missing))
        self._accounts.update({account.id: account for account in self._api.accounts(missing)})

    def accounts(self, ids: Iterable[str]) -> Iterator[Account]:
        wanted = sorted(set(ids))
        self.load(wanted)
        for id in wanted:
            account = self._accounts.get(id)
            if account is not None:
                yield account

    def mails(self, ids: Iterable[str]) -> frozenset[str]:
        """Of those who are active people and show their address."""
        return frozenset(account.email for account in self.accounts(ids) if account.reads)


class Readers:
    """One look: what was asked once is not asked again while it is used."""

    def __init__(self, api: ConfluenceApi, *, public_is_everyone: bool) -> None:
        self._api = api
        self._public_is_everyone = public_is_everyone
        self._grants: dict[str, Grants | None] = {}
        self._nodes: dict[str, Node | None] = {}
        self._restrictions: dict[str, Restriction | None] = {}
        self.directory = Directory(api)

    def learn(self, space: Space, pages: Iterable[Page]) -> None:
        """Places and restrictions of a whole space, in bulk; what is not learned is asked for one by one."""
        self._nodes.update({page.id: page.node for page in pages})
        found = dict(self._api.restrictions(space.key))
        self._restrictions.update(found)
        self.directory.load(id for restriction in found.values() for id in restriction.users)

    def of_page(self, page: Page) -> Access:
        access = self.of_space(page.space)
        self._nodes.setdefault(page.id, page.node)
        for id in self._chain(page.id):
            restriction = self._restriction(id) if id else None
            if restriction is None:
                return Access.nobody()
            if restriction.narrows:
                access &= Access.of(
                    self.directory.mails(restriction.users), map(site_group, restriction.groups)
                )
        return access

    def of_space(self, space: str) -> Access:
        grants = self.grants(space)
        if grants is None:
            return Access.nobody()
        if grants.anonymous and self._public_is_everyone:
            return EVERYONE
        return Access.of(groups=[space_group(space)])

    def grants(self, space: str) -> Grants | None:
        if space not in self._grants:
            self._grants[space] = self._api.grants(space)
        return self._grants[space]

    def _chain(self, id: str) -> Iterator[str]:
        """The page and all it lies below; an empty id where the source does not tell, or goes in a circle."""
        seen: set[str] = set()
        while id:
            node = self._nodes.get(id)
            if node is None or node.parent is None or id in seen:
                yield ""
                return
            seen.add(id)
            yield id
            if node.parent and node.parent not in self._nodes:
                self._nodes[node.parent] = self._api.node(node.parent, node.parent_type)
            id = node.parent

    def _restriction(self, id: str) -> Restriction | None:
        if id not in self._restrictions:
            self._restrictions[id] = self._api.restriction(id)
        return self._restrictions[id]

    def groups(self, spaces: Iterable[Space]) -> Mapping[str, frozenset[str]]:
        """Groups of the site, of each space, and all its users: people who are in any group, guests left out."""
        members = {group: frozenset(self._api.members(group)) for group in self._api.groups()}
        everybody = frozenset[str]().union(*members.values())
        granted = {space.id: self.grants(space.id) for space in spaces}
        named = (grants.users for grants in granted.values() if grants)
        self.directory.load(everybody.union(*named))
        told = {site_group(id): self.directory.mails(ids) for id, ids in members.items()}
        people = (account for account in self.directory.accounts(everybody) if account.reads)
        told[ALL_USERS] = frozenset(account.email for account in people if not account.guest)
        for id, grants in granted.items():
            told[space_group(id)] = self._space_members(grants, members.keys())
        return told

    def _space_members(self, grants: Grants | None, groups: Iterable[str]) -> frozenset[str]:
        if grants is None:
            return frozenset()
        nested = {f"group:{site_group(id)}" for id in grants.groups & frozenset(groups)}
        if grants.anonymous or grants.signed_in:
            nested.add(f"group:{ALL_USERS}")
        return self.directory.mails(grants.users) | nested
