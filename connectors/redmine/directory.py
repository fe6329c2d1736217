"""Who is who in Redmine, as one look finds it: accounts, groups, roles, projects and memberships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.contract import SourceFault
from connectors.redmine.api import RedmineApi
from connectors.redmine.model import Project, Role, User

ACTIVE, CLOSED = 1, 5
"""States of a project that show their content; archived ones and those being deleted do not."""
MODULES = {
    "view_issues": "issue_tracking",
    "view_wiki_pages": "wiki",
    "view_news": "news",
    "view_files": "files",
}
"""The module a project must have switched on for a permission to count (Redmine's lib/redmine/preparation.rb)."""


@dataclass(frozen=True, slots=True)
class Directory:
    """`members` is project to account to roles, those inherited from groups and from above among them, as Redmine stores
    them; `outside` is what people who are no members may do in a public project that says so itself."""

    projects: dict[int, Project]
    users: dict[int, User]
    roles: dict[int, Role] = field(default_factory=dict)
    non_member: int = 0
    groups: dict[int, frozenset[int]] = field(default_factory=dict)
    members: dict[int, dict[int, frozenset[int]]] = field(default_factory=dict)
    outside: dict[int, frozenset[int]] = field(default_factory=dict)

    def roles_of(self, user: User, project: Project) -> frozenset[int]:
        """As `User#roles_for_project`: a member's own roles, else those of a non-member where the project is public."""
        own = self.members.get(project.id, {}).get(user.id)
        if own is not None:
            return own
        if not project.public:
            return frozenset()
        return self.outside.get(project.id, frozenset({self.non_member}))

    def people_of(self, project: Project) -> list[User]:
        """Those who can have a role there: everybody in a public project, else members and administrators."""
        if project.public:
            return list(self.users.values())
        ids = self.members.get(project.id, {}).keys()
        return [user for user in self.users.values() if user.admin or user.id in ids]

    def with_permission(self, roles: frozenset[int], permission: str) -> list[Role]:
        known = (self.roles[id] for id in roles if id in self.roles)
        return [role for role in known if permission in role.permissions]

    def readers(self, project: Project, permission: str) -> frozenset[int]:
        """Accounts that have the permission in the project. Not for issues, which ask more."""
        if not shows(project, permission):
            return frozenset()
        return frozenset(
            user.id
            for user in self.people_of(project)
            if user.admin or self.with_permission(self.roles_of(user, project), permission)
        )

    def mails(self, ids: frozenset[int]) -> frozenset[str]:
        """Addresses of the active accounts among them; Redmine may know none of an account."""
        return frozenset(self.users[id].mail for id in ids if id in self.users) - {""}


def shows(project: Project, permission: str) -> bool:
    return project.status in {ACTIVE, CLOSED} and MODULES[permission] in project.modules


def chosen_projects(api: RedmineApi, identifiers: Sequence[str]) -> dict[int, Project]:
    """Raises SourceFault for an identifier that is none, so that a typing error does not empty the index."""
    projects = [p for p in api.projects() if p.status in {ACTIVE, CLOSED}]
    wanted = {identifier.strip().lower() for identifier in identifiers} - {""}
    missing = wanted - {p.identifier for p in projects}
    if missing:
        raise SourceFault(
            f"Redmine shows no project '{min(missing)}'.",
            "Enter identifiers as the projects' addresses show them; archived projects cannot be read.",
        )
    return {p.id: p for p in projects if not wanted or p.identifier in wanted}


def look(api: RedmineApi, identifiers: Sequence[str]) -> Directory:
    projects = chosen_projects(api, identifiers)
    users = {user.id: user for user in api.users()}
    roles, non_member = _roles(api)
    members: dict[int, dict[int, frozenset[int]]] = {}
    outside: dict[int, frozenset[int]] = {}
    for project in projects.values():
        of_project = members.setdefault(project.id, {})
        for membership in api.memberships(project.id):
            if membership.kind == "user":
                of_project[membership.principal] = membership.roles
            elif membership.kind == "group_non_member":
                outside[project.id] = membership.roles
    return Directory(projects, users, roles, non_member, api.groups(), members, outside)


def _roles(api: RedmineApi) -> tuple[dict[int, Role], int]:
    """Redmine lists only roles that can be given. Its two built-in ones are found by asking for the numbers between; the
    migration that makes them makes "Non member" first. Without one, non-members see nothing."""
    given = api.role_ids()
    found = {id: api.role(id) for id in range(1, max(given, default=0) + 3)}
    roles = {id: role for id, role in found.items() if role is not None}
    builtin = sorted(roles.keys() - set(given))
    # With another number of them, this is no Redmine that we know: deny.
    return roles, builtin[0] if len(builtin) == 2 else 0
