"""Which trackers a role may see. A role can be limited to some trackers, and the API of roles does not tell: Redmine is
asked as people who have the roles.

What is learned are clauses: "whoever has one of these roles, may see issues of this tracker". A person's roles admit a
tracker if they include a clause. What no answer proves is denied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from connectors.redmine.api import RedmineApi
from connectors.redmine.directory import Directory, shows
from connectors.redmine.model import Issue, Project, User

LEVELS = {
    "private": frozenset({"all"}),
    "public": frozenset({"all", "default"}),
    "own": frozenset({"all", "default", "own"}),
}
"""Kinds of issues, and the `issues_visibility` that a role needs to see them: private ones, public ones, and those that a
person wrote or is assigned to (Redmine's `Issue#visible?`)."""
Roles = frozenset[int]


class Trackers:
    def __init__(self, api: RedmineApi, directory: Directory) -> None:
        self._api = api
        self._directory = directory
        self._clauses: dict[int, set[Roles]] = defaultdict(set)
        self._denied: dict[int, set[int]] = defaultdict(set)
        self._by_level: dict[tuple[Roles, str], Roles] = {}
        self._candidates: dict[tuple[int, int, bool], list[Issue]] = {}
        self._learn()
        self._settle()

    @property
    def known(self) -> set[int]:
        return self._clauses.keys() | self._denied.keys()

    def sees(self, user: User, project: Project, tracker: int, level: str) -> bool:
        """Whether the person sees an issue of this kind and tracker in the project."""
        if user.admin:
            return True
        roles = self._relevant(user, project, level)
        return any(clause <= roles for clause in self._clauses.get(tracker, ()))

    def _relevant(self, user: User, project: Project, level: str) -> Roles:
        roles = self._directory.roles_of(user, project)
        key = (roles, level)
        if key not in self._by_level:
            viewing = self._directory.with_permission(roles, "view_issues")
            self._by_level[key] = frozenset(
                role.id for role in viewing if role.visibility in LEVELS[level]
            )
        return self._by_level[key]

    def _decided(self, roles: Roles, tracker: int) -> bool:
        return roles <= self._denied[tracker] or any(
            clause <= roles for clause in self._clauses[tracker]
        )

    def _learn(self) -> None:
        """Redmine lists a project's trackers as the asking person may see them: one answer for all projects of a person
        who stands for everybody with the same roles. Few roles first: what they teach spares the mixtures."""
        for roles, user, project in sorted(
            self._people(), key=lambda seat: (len(seat[0]), seat[1].id)
        ):
            if all(self._decided(roles, tracker) for tracker in project.trackers):
                continue
            for seen in self._api.projects(user.login):
                self._note(user, seen)

    def _people(self) -> Iterator[tuple[Roles, User, Project]]:
        for project in self._directory.projects.values():
            if not shows(project, "view_issues"):
                continue
            for user in self._directory.people_of(project):
                if not user.admin and (roles := self._relevant(user, project, "own")):
                    yield roles, user, project

    def _note(self, user: User, seen: Project) -> None:
        project = self._directory.projects.get(seen.id)
        if project is None or not shows(project, "view_issues"):
            return
        if not (roles := self._relevant(user, project, "own")):
            return
        for tracker in project.trackers:
            self._conclude(roles, tracker, tracker in seen.trackers)

    def _conclude(self, roles: Roles, tracker: int, seen: bool) -> None:
        if seen:
            clause = roles - self._denied[tracker]
            self._clauses[tracker].add(clause or roles)
        else:
            self._denied[tracker] |= roles

    def _settle(self) -> None:
        """Where only part of a person's roles counts for a kind of issue, an issue of that kind decides, if there is one."""
        for _, user, project in self._people():
            for level in ("private", "public"):
                roles = self._relevant(user, project, level)
                for tracker in project.trackers | self.known if roles else ():
                    if not self._decided(roles, tracker):
                        self._ask_by_issue(user, project, tracker, level, roles)

    def _ask_by_issue(
        self, user: User, project: Project, tracker: int, level: str, roles: Roles
    ) -> None:
        for issue in self._issues(project.id, tracker, level == "private"):
            if not self._owns(user, issue):
                status = self._api.status(f"issues/{issue.id}.json", user.login)
                self._conclude(roles, tracker, status == 200)
                return

    def _owns(self, user: User, issue: Issue) -> bool:
        members = self._directory.groups.get(issue.assignee, frozenset())
        return user.id in {issue.author, issue.assignee} or user.id in members

    def _issues(self, project: int, tracker: int, private: bool) -> Iterable[Issue]:
        key = (project, tracker, private)
        if key not in self._candidates:
            filters = {
                "project_id": ("=", (str(project),)),
                "tracker_id": ("=", (str(tracker),)),
                "is_private": ("=", ("1" if private else "0",)),
            }
            self._candidates[key] = self._api.issues(filters, "id:desc")[0]
        return self._candidates[key]
