"""Who is behind an account: GitHub knows logins, Switchboard knows e-mail addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.contract import SourceFault
from connectors.github.api import GitHubApi
from connectors.github.model import Account, Repository
from connectors.github.settings import GitHubSettings

MEMBERS = "members"
OUTSIDE = "outside-collaborators"
Addresses = Mapping[str, frozenset[str]]

_VERIFIED = """query($org: String!, $after: String) { organization(login: $org) {
  found: membersWithRole(first: 100, after: $after) { pageInfo { hasNextPage endCursor }
    nodes { login organizationVerifiedDomainEmails(login: $org) } } } }"""
_SAML = """query($org: String!, $after: String) { organization(login: $org) { samlIdentityProvider {
  found: externalIdentities(first: 100, after: $after, membersOnly: true) {
    pageInfo { hasNextPage endCursor }
    nodes { user { login } samlIdentity { nameId emails { value } } } } } } }"""


def repository_group(id: str) -> str:
    return f"repo:{id}"


class People:
    """Addresses by login (lower case), asked once."""

    def __init__(self, api: GitHubApi, settings: GitHubSettings) -> None:
        self._api = api
        self._settings = settings
        self._addresses: dict[str, frozenset[str]] | None = None

    def addresses(self) -> Addresses:
        """The administrator's list wins over what GitHub tells."""
        if self._addresses is None:
            found: dict[str, frozenset[str]] = {}
            if self._settings.emails != "list":
                for login, emails in self._told():
                    known = frozenset(e.strip().lower() for e in emails if "@" in e)
                    found[login.lower()] = found.get(login.lower(), frozenset()) | known
            for line in self._settings.people:
                login, _, email = line.partition("=")
                found[login.strip().lower()] = frozenset({email.strip().lower()})
            self._addresses = found
        return self._addresses

    def emails(self, accounts: Iterable[Account]) -> frozenset[str]:
        """A suspended account and one without a known address are nobody."""
        known = self.addresses()
        active = (account.login.lower() for account in accounts if account.active)
        return frozenset().union(*(known.get(login, frozenset()) for login in active))

    def logins(self, email: str) -> list[str]:
        wanted = email.strip().lower()
        return sorted(login for login, own in self.addresses().items() if wanted in own)

    def _told(self) -> Iterator[tuple[str, list[str]]]:
        saml = self._settings.emails == "saml"
        after: str | None = None
        while True:
            variables = {"org": self._settings.organization, "after": after}
            data = self._api.graphql(_SAML if saml else _VERIFIED, variables)
            found = _connection(data, saml)
            for node in filter(None, found.get("nodes") or ()):
                if saml:
                    yield from _identity(node)
                else:
                    yield str(node["login"]), list(node["organizationVerifiedDomainEmails"] or ())
            page = found.get("pageInfo") or {}
            if not page.get("hasNextPage") or page.get("endCursor") == after:
                return
            after = str(page["endCursor"])


def _connection(data: Mapping[str, Any], saml: bool) -> Mapping[str, Any]:
    holder = data.get("organization") or {}
    if saml:
        holder = holder.get("samlIdentityProvider") or {}
    if not holder:
        raise SourceFault(
            "The organization has no SAML single sign-on that the token may see."
            if saml
            else "The organization is not there, or the token may not see it.",
            "Check the organization's name, the token's rights, and 'E-mail addresses from'.",
        )
    found: Mapping[str, Any] = holder.get("found") or {}
    return found


def _identity(node: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """An identity that no account has claimed names nobody."""
    login, identity = (node.get("user") or {}).get("login"), node.get("samlIdentity") or {}
    if login:
        emails = [str(entry.get("value") or "") for entry in identity.get("emails") or ()]
        yield str(login), [*emails, str(identity.get("nameId") or "")]


def groups(
    api: GitHubApi, people: People, repositories: Iterable[Repository]
) -> dict[str, frozenset[str]]:
    """Each repository's readers. One whose readers GitHub does not tell has none."""
    told = {
        MEMBERS: people.emails(api.members()),
        OUTSIDE: people.emails(api.outside_collaborators()),
    }
    for repository in repositories:
        told[repository_group(repository.id)] = _readers(api, people, repository)
    return told


def _readers(api: GitHubApi, people: People, repository: Repository) -> frozenset[str]:
    members = frozenset({f"group:{MEMBERS}"})
    if repository.visibility == "public":
        return members | {f"group:{OUTSIDE}"}
    if repository.visibility == "internal":
        return members | people.emails(api.collaborators(repository, "outside") or ())
    return people.emails(api.collaborators(repository) or ())
