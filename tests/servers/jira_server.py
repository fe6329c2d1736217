"""A site that speaks Jira Cloud's REST API v3: search/jql with page tokens, bulkfetch, comments, projects, permission schemes,
roles, security levels, groups, users and permissions/check. JQL that the connector does not write is a 400.

`sees` says by rules of its own who may see an issue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.atlassian_site import Site
from tests.servers.json_server import JsonServer, Reply, Request

V3 = "/rest/api/3"
START = datetime(2026, 1, 10, 9, tzinfo=UTC)
Holders = list[tuple[str, str]]


@dataclass
class IssueModel:
    id: str
    project: str
    summary: str
    description: Any = None
    level: str = ""
    reporter: str = ""
    assignee: str = ""
    updated: datetime = START
    comments: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()


@dataclass
class ProjectModel:
    id: str
    key: str
    browse: Holders
    roles: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    lead: str = ""
    archived: bool = False
    told: bool = True


class JiraWorld(Site):
    def __init__(self) -> None:
        super().__init__()
        self.projects: dict[str, ProjectModel] = {}
        self.issues: dict[str, IssueModel] = {}
        self.levels: dict[str, Holders] = {}
        self.applications: dict[str, list[str]] = {}
        self.now = START
        self.cut = 2
        self.http = JsonServer(self.answer)

    def project(self, id: str, key: str, *browse: tuple[str, str], **more: Any) -> ProjectModel:
        self.projects[id] = ProjectModel(id, key, list(browse), **more)
        return self.projects[id]

    def issue(self, id: str, project: str, summary: str, **more: Any) -> IssueModel:
        self.issues[id] = IssueModel(id, project, summary, updated=self.now, **more)
        return self.issues[id]

    # --- The site's own rule ---

    def sees(self, person_id: str, issue_id: str) -> bool:
        issue = self.issues[issue_id]
        project = self.projects[issue.project]
        if not self.people[person_id].counts or not self._holds(person_id, project.browse, issue):
            return False
        return not issue.level or self._holds(person_id, self.levels[issue.level], issue)

    def _holds(self, who: str, holders: Holders, issue: IssueModel) -> bool:
        project, mine = self.projects[issue.project], self.groups_of(self.people[who])
        for kind, value in holders:
            users, groups = (
                project.roles.get(value, ([], [])) if kind == "projectRole" else ([], [])
            )
            if (
                (kind == "user" and value == who)
                or (kind == "group" and value in mine)
                or (who in users or mine & set(groups))
                or (kind == "reporter" and issue.reporter == who)
                or (kind == "assignee" and issue.assignee == who)
                or (kind == "projectLead" and project.lead == who)
                or (kind == "applicationRole" and mine & set(self.applications.get(value, mine)))
                or (kind == "anyone" and mine)
            ):
                return True
        return False

    # --- The API ---

    def answer(self, request: Request) -> Reply:
        if refused := self.refused(request):
            return refused
        for pattern, name in ROUTES:
            if match := re.fullmatch(V3 + pattern, request.path):
                reply: Reply = getattr(self, f"_{name}")(request, *match.groups())
                return reply
        return Reply({"errorMessages": ["No such route"]}, 404)

    def _search(self, request: Request) -> Reply:
        jql = request.query.get("jql", "")
        if m := re.fullmatch(r"project = (\d+) order by created asc", jql):
            found = [i for i in self._live() if i.project == m[1]]
        elif m := re.fullmatch(r'updated >= "-(\d+)m" order by updated asc', jql):
            found = [
                i for i in self._live() if i.updated >= self.now - timedelta(minutes=int(m[1]))
            ]
        else:
            return Reply({"errorMessages": ["Error in the JQL Query"]}, 400)
        token = request.query.get("nextPageToken", "t0")
        if not re.fullmatch(r"t\d+", token):
            return Reply({"errorMessages": ["Invalid token"]}, 400)
        start, fields = int(token[1:]), request.query["fields"].split(",")
        end = start + self.cut
        more = {"nextPageToken": f"t{end}"} if end < len(found) else {}
        return Reply({"issues": [self._row(i, fields) for i in found[start:end]], **more})

    def _bulk(self, request: Request) -> Reply:
        ids, fields = request.json["issueIdsOrKeys"], request.json["fields"]
        if len(ids) > 100:
            return Reply({"errorMessages": ["Too many"]}, 400)
        found = [i for i in self._live() if i.id in ids]
        return Reply({"issues": [self._row(i, fields) for i in found], "issueErrors": []})

    def _comments(self, request: Request, id: str) -> Reply:
        return self._page(request, self.issues[id].comments, "comments")

    def _projects(self, request: Request) -> Reply:
        if request.query.get("status") != "live":
            return Reply({"errorMessages": ["status"]}, 400)
        found = [
            {"id": p.id, "key": p.key, "name": f"Project {p.key}", "lead": {"accountId": p.lead}}
            for p in self.projects.values()
            if not p.archived
        ]
        return self._page(request, found)

    def _scheme(self, _request: Request, id: str) -> Reply:
        project = self.projects[id]
        if not project.told:
            return Reply({"errorMessages": []}, 403)
        rows = [{"permission": "BROWSE_PROJECTS", "holder": _holder(*h)} for h in project.browse]
        rows.append({"permission": "ADMINISTER_PROJECTS", "holder": _holder("user", "mallory")})
        return Reply({"id": 1, "permissions": rows})

    def _level_scheme(self, _request: Request, id: str) -> Reply:
        return Reply(
            {}, 200 if any(i.project == id and i.level for i in self.issues.values()) else 404
        )

    def _role(self, _request: Request, project: str, role: str) -> Reply:
        users, groups = self.projects[project].roles.get(role, ([], []))
        actors: list[dict[str, Any]] = [{"actorUser": {"accountId": u}} for u in users]
        actors += [{"actorGroup": {"groupId": g, "name": f"Group {g}"}} for g in groups]
        return Reply({"id": role, "actors": actors})

    def _level_members(self, request: Request) -> Reply:
        rows = [
            {"id": "1", "issueSecurityLevelId": level, "holder": _holder(*holder)}
            for level, holders in self.levels.items()
            for holder in holders
        ]
        return self._page(request, rows)

    def _application(self, _request: Request, key: str) -> Reply:
        groups = [{"groupId": id} for id in self.applications.get(key, [])]
        return Reply({"key": key, "groupDetails": groups})

    def _groups(self, request: Request) -> Reply:
        return self._page(request, [{"groupId": g, "name": f"Group {g}"} for g in self.groups])

    def _members(self, request: Request) -> Reply:
        return self._page(
            request, [self._account(id) for id in self.groups[request.query["groupId"]]]
        )

    def _user(self, request: Request) -> Reply:
        id = request.query["accountId"]
        return Reply(self._account(id)) if id in self.people else Reply({}, 404)

    def _find_user(self, request: Request) -> Reply:
        query = request.query["query"].lower()
        found = [
            p for p in self.people.values() if p.email.lower().startswith(query) and not p.hidden
        ]
        return Reply([self._account(p.id) for p in found])

    def _check(self, request: Request) -> Reply:
        who, (asked,) = request.json["accountId"], request.json["projectPermissions"]
        seen = [i for i in asked["issues"] if str(i) in self.issues and self.sees(who, str(i))]
        granted = {"permission": "BROWSE_PROJECTS", "issues": seen, "projects": []}
        return Reply({"projectPermissions": [granted], "globalPermissions": []})

    def _content(self, _request: Request, id: str) -> Reply:
        files = {k: v for issue in self.issues.values() for k, v in issue.files.items()}
        return Reply(files[id][1]) if id in files else Reply({}, 404)

    # --- Parts ---

    def _live(self) -> list[IssueModel]:
        return [i for i in self.issues.values() if not self.projects[i.project].archived]

    def _row(self, issue: IssueModel, fields: list[str]) -> dict[str, Any]:
        files = [{"id": i, "filename": f, "size": len(d)} for i, (f, d) in issue.files.items()]
        everything = {
            "project": {"id": issue.project},
            "updated": issue.updated.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "security": {"id": issue.level} if issue.level else None,
            "reporter": self._account(issue.reporter) if issue.reporter else None,
            "assignee": self._account(issue.assignee) if issue.assignee else None,
            "attachment": files,
            "summary": issue.summary,
            "description": issue.description,
            "comment": {"comments": issue.comments[: self.cut], "total": len(issue.comments)},
            "status": {"name": "Open"},
        }
        kept = {k: v for k, v in everything.items() if k in fields and k not in issue.drop}
        return {
            "id": issue.id,
            "key": f"{self.projects[issue.project].key}-{issue.id}",
            "fields": kept,
        }

    def _account(self, id: str) -> dict[str, Any]:
        p = self.people[id]
        shown = {} if p.hidden else {"emailAddress": p.email}
        active = p.status == "active"
        return {
            "accountId": id,
            "accountType": p.type,
            "active": active,
            "displayName": id,
            **shown,
        }

    def _page(self, request: Request, rows: list[Any], key: str = "values") -> Reply:
        start = int(request.query.get("startAt", 0))
        end = start + self.cut
        return Reply({key: rows[start:end], "total": len(rows), "isLast": end >= len(rows)})


ROUTES = (
    ("/search/jql", "search"),
    ("/issue/bulkfetch", "bulk"),
    (r"/issue/(\d+)/comment", "comments"),
    ("/project/search", "projects"),
    (r"/project/(\d+)/permissionscheme", "scheme"),
    (r"/project/(\d+)/issuesecuritylevelscheme", "level_scheme"),
    (r"/project/(\d+)/role/(\w+)", "role"),
    ("/issuesecurityschemes/level/member", "level_members"),
    (r"/applicationrole/([\w-]+)", "application"),
    ("/group/bulk", "groups"),
    ("/group/member", "members"),
    ("/user", "user"),
    ("/user/search", "find_user"),
    ("/permissions/check", "check"),
    (r"/attachment/content/(\w+)", "content"),
)


def _holder(kind: str, value: str) -> dict[str, str]:
    """Of a group the name is the parameter and the id the value."""
    if kind == "group":
        return {"type": kind, "parameter": f"Group {value}", "value": value}
    return {"type": kind, "parameter": value} if value else {"type": kind}


def adf(*texts: str) -> dict[str, Any]:
    paragraphs = [{"type": "paragraph", "content": [{"type": "text", "text": t}]} for t in texts]
    return {"type": "doc", "version": 1, "content": paragraphs}
