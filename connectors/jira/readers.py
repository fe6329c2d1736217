"""Who may see an issue: whom the project's permission scheme lets browse it, narrowed by the issue's security level.

What depends on the project alone becomes a group, told by `groups()`; reporter and assignee are written out for each issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connectors.atlassian import Account
from connectors.contract import Access
from connectors.jira.api import JiraApi
from connectors.jira.model import Holder, Issue, Project

ALL_USERS = "all-users"
EVERYONE = Access(known=True, everyone=True)


def site_group(id: str) -> str:
    return f"site-group:{id}"


class Readers:
    """One look: what was asked once is not asked again while it is used."""

    def __init__(
        self, api: JiraApi, projects: Mapping[str, Project], *, public_is_everyone: bool
    ) -> None:
        self._api = api
        self._projects = projects
        self._public_is_everyone = public_is_everyone
        self._browsers: dict[str, list[Holder] | None] = {}
        self._levels: dict[str, list[Holder]] | None = None
        self._has_levels: dict[str, bool] = {}
        self._accounts: dict[str, Account | None] = {}

    def of_issue(self, issue: Issue) -> Access:
        holders = self.browsers(issue.project) if issue.project in self._projects else None
        if holders is None:
            return Access.nobody()
        access = self._admitted(holders, f"browse:{issue.project}", issue)
        if any(holder.kind == "anyone" for holder in holders) and self._public_is_everyone:
            access = EVERYONE
        level = issue.level
        if level is None:
            return Access.nobody() if self._levelled(issue.project) else access
        if level:
            members = self.levels().get(level)
            if members is None:
                return Access.nobody()
            access &= self._admitted(members, f"level:{level}:{issue.project}", issue)
        return access

    def browsers(self, project: str) -> list[Holder] | None:
        if project not in self._browsers:
            self._browsers[project] = self._api.browsers(project)
        return self._browsers[project]

    def levels(self) -> dict[str, list[Holder]]:
        if self._levels is None:
            self._levels = self._api.level_members()
        return self._levels

    def _levelled(self, project: str) -> bool:
        if project not in self._has_levels:
            self._has_levels[project] = self._api.has_levels(project)
        return self._has_levels[project]

    def _admitted(self, holders: Sequence[Holder], group: str, issue: Issue) -> Access:
        kinds = {holder.kind for holder in holders}
        people = [issue.reporter if "reporter" in kinds else None]
        people.append(issue.assignee if "assignee" in kinds else None)
        return Access.of({a.email for a in people if a and a.reads}, [group])

    def groups(self) -> Mapping[str, frozenset[str]]:
        members = {id: list(self._api.members(id)) for id in self._api.groups()}
        self._accounts.update({a.id: a for accounts in members.values() for a in accounts})
        told = {
            site_group(id): frozenset(a.email for a in accounts if a.reads)
            for id, accounts in members.items()
        }
        told[ALL_USERS] = frozenset[str]().union(*told.values())
        levels = self.levels()
        for project in self._projects.values():
            holders = self.browsers(project.id) or []
            told[f"browse:{project.id}"] = self._members(holders, project, members)
            for level, named in levels.items():
                told[f"level:{level}:{project.id}"] = self._members(named, project, members)
        return told

    def _members(
        self, holders: Sequence[Holder], project: Project, groups: Iterable[str]
    ) -> frozenset[str]:
        """Kinds that are not named here (fields of the issue, customers of a portal) admit nobody."""
        users, named, everybody = set[str](), set[str](), False
        for holder in holders:
            if holder.kind == "user":
                users.add(holder.value)
            elif holder.kind == "group":
                named.add(holder.value)
            elif holder.kind == "projectLead":
                users.add(project.lead)
            elif holder.kind == "projectRole":
                actors, teams = self._api.role(project.id, holder.value)
                users |= actors
                named |= teams
            elif holder.kind == "applicationRole" and holder.value:
                named |= self._api.application_groups(holder.value)
            elif holder.kind in {"anyone", "applicationRole"}:
                everybody = True
        nested = {f"group:{site_group(id)}" for id in named & set(groups)}
        return self._mails(users) | nested | ({f"group:{ALL_USERS}"} if everybody else set())

    def _mails(self, ids: Iterable[str]) -> frozenset[str]:
        for id in set(ids) - self._accounts.keys() - {""}:
            self._accounts[id] = self._api.account(id)
        found = (self._accounts.get(id) for id in ids)
        return frozenset(account.email for account in found if account and account.reads)
