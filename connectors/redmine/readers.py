"""Readers as groups and people. Groups of a project (`<id>` is its number):

    project:<id>:wiki, :news, :files     who has the permission there
    project:<id>:issues:private          who sees every issue
    project:<id>:issues:public           who sees every issue that is not private
    project:<id>:issues:own              who sees those they wrote or are assigned to, and all the above
    project:<id>:issues:<kind>:tracker:<id>   where a role may see some trackers only
    team:<id>                            a group of Redmine, for issues assigned to it

An issue is for its kind's group; and for its author and assignee, but only as far as they are in the project's `own` group.
"""

from __future__ import annotations

import hashlib

from connectors.contract import Access
from connectors.redmine.api import RedmineApi
from connectors.redmine.directory import Directory, shows
from connectors.redmine.model import Issue, Project
from connectors.redmine.trackers import LEVELS, Trackers

PLACES = {"wiki": "view_wiki_pages", "news": "view_news", "files": "view_files"}


class Readers:
    def __init__(self, api: RedmineApi, directory: Directory) -> None:
        self._directory = directory
        self._trackers = Trackers(api, directory)
        self._sees: dict[tuple[int, str, int], frozenset[int]] = {}

    def of_place(self, project: int, place: str) -> Access:
        """The readers of a project's wiki, news or files."""
        found = self._directory.projects.get(project)
        if found is None or not shows(found, PLACES[place]):
            return Access.nobody()
        return Access.of(groups=[f"project:{project}:{place}"])

    def of_issue(self, issue: Issue) -> Access:
        project = self._directory.projects.get(issue.project)
        if project is None or not shows(project, "view_issues"):
            return Access.nobody()
        level = "private" if issue.private else "public"
        wide = self._named(project, level, issue.tracker)
        narrow = self._named(project, "own", issue.tracker)
        people, teams = self._people(issue)
        same = self._seen(project, level, issue.tracker) == self._seen(
            project, "own", issue.tracker
        )
        if same or not narrow or not (people or teams):
            return Access.of(groups=wide)
        return Access.of(people, [*wide, *teams]) & Access.of(groups=narrow)

    def groups(self) -> dict[str, frozenset[str]]:
        """Every group that an access can name, members by e-mail."""
        mails = self._directory.mails
        named = {f"team:{id}": mails(members) for id, members in self._directory.groups.items()}
        for project in self._directory.projects.values():
            for place, permission in PLACES.items():
                if shows(project, permission):
                    readers = self._directory.readers(project, permission)
                    named[f"project:{project.id}:{place}"] = mails(readers)
            if shows(project, "view_issues"):
                named.update(self._issue_groups(project))
        return named

    def shape(self) -> str:
        """Changes when the groups that issues name do, so that readers must be told anew."""
        parts = []
        for project in self._directory.projects.values():
            for tracker in self._known(project):
                seen = [self._seen(project, level, tracker) for level in LEVELS]
                names = [self._named(project, level, tracker) for level in LEVELS]
                parts.append((project.id, tracker, names, seen[0] == seen[2], seen[1] == seen[2]))
        teams = sorted(self._directory.groups)
        return hashlib.sha256(repr((parts, teams)).encode()).hexdigest()[:16]

    def _issue_groups(self, project: Project) -> dict[str, frozenset[str]]:
        named: dict[str, frozenset[str]] = {}
        inner: tuple[str, frozenset[str]] = ("", frozenset())
        for level in LEVELS:  # each includes the one before
            name = f"project:{project.id}:issues:{level}"
            members = self._directory.mails(self._everywhere(project, level))
            nested = {f"group:{inner[0]}"} if inner[1] else set()
            named[name] = (members - inner[1]) | nested
            inner = (name, members)
            for tracker in self._known(project):
                for own_name in self._named(project, level, tracker):
                    if own_name != name:
                        seen = self._seen(project, level, tracker)
                        named[own_name] = self._directory.mails(seen)
        return named

    def _people(self, issue: Issue) -> tuple[frozenset[str], list[str]]:
        """Author and assignee: addresses, and the group it is assigned to."""
        people = self._directory.mails(frozenset({issue.author, issue.assignee}))
        return people, [
            f"team:{issue.assignee}"
        ] if issue.assignee in self._directory.groups else []

    def _seen(self, project: Project, level: str, tracker: int) -> frozenset[int]:
        key = (project.id, level, tracker)
        if key not in self._sees:
            people = self._directory.people_of(project)
            self._sees[key] = frozenset(
                user.id for user in people if self._trackers.sees(user, project, tracker, level)
            )
        return self._sees[key]

    def _known(self, project: Project) -> list[int]:
        """Also trackers that the project has no more: its old issues keep theirs."""
        return sorted(self._trackers.known | project.trackers)

    def _everywhere(self, project: Project, level: str) -> frozenset[int]:
        """Who sees this kind of issue whatever its tracker."""
        every = [self._seen(project, level, tracker) for tracker in self._known(project)]
        return frozenset.intersection(*every) if every else frozenset()

    def _named(self, project: Project, level: str, tracker: int) -> list[str]:
        name = f"project:{project.id}:issues:{level}"
        if tracker not in self._known(project):  # nobody's roles could be asked about it
            return []
        if self._seen(project, level, tracker) == self._everywhere(project, level):
            return [name]
        return [f"{name}:tracker:{tracker}"]
