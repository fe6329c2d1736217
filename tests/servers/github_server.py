"""An organization that speaks GitHub's REST API 2022-11-28 and the two GraphQL queries for e-mail addresses (docs.github.com,
"REST API endpoints for ..." issues, trees, blobs, contents, collaborators, members, outside collaborators).

It refuses what GitHub refuses: no or wrong token, another API version, unknown parameters, bad pages, readers asked for without
the right to write. ETags answer 304. `sees` says by rules of its own who may read a repository.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from tests.servers.json_server import JsonServer, Reply, Request

TOKEN = "github_pat_right-token-of-the-test"
WEBHOOK_SECRET = "webhook-secret-of-the-test"
ORG = "acme"
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


@dataclass
class Person:
    login: str
    email: str = ""
    role: str = "member"
    """member, owner, or outside (no member)."""
    suspended: bool = False


@dataclass
class Team:
    slug: str
    members: set[str] = field(default_factory=set)
    parent: str = ""


@dataclass
class Ticket:
    number: int
    title: str
    body: str = ""
    author: str = "ada"
    updated: str = "2026-01-10T09:00:00Z"
    pull: bool = False
    comments: list[tuple[str, str]] = field(default_factory=list)
    review_comments: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Repo:
    id: int
    name: str
    visibility: str = "private"
    teams: set[str] = field(default_factory=set)
    direct: set[str] = field(default_factory=set)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    writable: bool = True
    """Whether the token's account may write to it, and so list its readers."""
    archived: bool = False
    fork: bool = False

    def ticket(self, number: int, title: str, body: str = "", **more: Any) -> Ticket:
        self.tickets[number] = Ticket(number, title, body, **more)
        return self.tickets[number]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(
            {"message": message, "documentation_url": "https://docs.github.com/rest"}, status
        )


class GitHubWorld:
    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.teams: dict[str, Team] = {}
        self.repos: dict[int, Repo] = {}
        self.base_permission = "none"
        self.token = TOKEN
        self.page = 2
        self.truncate_trees = False
        self.saml: dict[str, str] = {}
        self.http = JsonServer(self.answer)

    def person(self, login: str, email: str = "", **more: Any) -> Person:
        self.people[login] = Person(login, email, **more)
        return self.people[login]

    def repo(self, id: int, name: str, **more: Any) -> Repo:
        self.repos[id] = Repo(id, name, **more)
        return self.repos[id]

    # --- GitHub's rules ---

    def sees(self, person: Person, repo: Repo) -> bool:
        """What an account that is somebody here may read; written without a look at the connector."""
        if person.suspended:
            return False
        if repo.visibility == "public":
            return True
        if person.role != "outside" and (repo.visibility == "internal" or person.role == "owner"):
            return True
        if person.login in repo.direct:
            return True
        if person.role != "outside" and self.base_permission != "none":
            return True
        return any(
            self._under(slug, team) for slug in repo.teams for team in self._teams_of(person)
        )

    def _teams_of(self, person: Person) -> list[str]:
        return [team.slug for team in self.teams.values() if person.login in team.members]

    def _under(self, above: str, slug: str) -> bool:
        """A child team has what its parents have."""
        while slug:
            if slug == above:
                return True
            slug = self.teams[slug].parent
        return False

    # --- the API ---

    def answer(self, request: Request) -> Reply:
        try:
            if request.bearer != self.token:
                raise Refused(401, "Bad credentials")
            if request.path == "/graphql":
                return Reply(self._graphql(request.json))
            if request.headers.get("x-github-api-version") != "2022-11-28":
                raise Refused(400, "Set the API version")
            return self._route(request)
        except Refused as refusal:
            return refusal.reply

    def _route(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["orgs", ORG]:
            return self._org(parts[2:], request)
        if parts[0] != "repos" or parts[1] != ORG:
            raise Refused(404, "Not Found")
        repo = next((r for r in self.repos.values() if r.name == parts[2]), None)
        if repo is None:
            raise Refused(404, "Not Found")
        handlers: dict[str, Callable[[Repo, list[str], Request], Reply]] = {
            "issues": self._issues,
            "pulls": self._pulls,
            "git": self._git,
            "contents": self._contents,
            "collaborators": self._collaborators,
        }
        if parts[3] not in handlers:
            raise Refused(404, "Not Found")
        return handlers[parts[3]](repo, parts[4:], request)

    def _org(self, rest: list[str], request: Request) -> Reply:
        if rest == ["repos"]:
            return self._cut([_repo_row(repo) for repo in self.repos.values()], request, {"type"})
        outside = {"members": False, "outside_collaborators": True}
        if len(rest) == 1 and rest[0] in outside:
            people = [p for p in self.people.values() if (p.role == "outside") == outside[rest[0]]]
            return self._cut([_person_row(p) for p in people], request, set())
        raise Refused(404, "Not Found")

    def _issues(self, repo: Repo, rest: list[str], request: Request) -> Reply:
        if not rest:
            if request.query.get("state") != "all" or request.query.get("sort") != "updated":
                raise Refused(422, "This server only lists all issues by their last update")
            since = request.query.get("since", "")
            tickets = [t for t in repo.tickets.values() if t.updated >= since]
            tickets.sort(key=lambda ticket: ticket.updated)
            rows = [_ticket_row(repo, ticket) for ticket in tickets]
            return self._cut(rows, request, {"state", "sort", "direction", "since"})
        ticket = self._ticket(repo, rest[0])
        if rest[1:] == ["comments"]:
            return self._cut(_comment_rows(ticket.comments, "created_at"), request, {"since"})
        return Reply(_ticket_row(repo, ticket))

    def _pulls(self, repo: Repo, rest: list[str], request: Request) -> Reply:
        ticket = self._ticket(repo, rest[0])
        if not ticket.pull:
            raise Refused(404, "Not Found")
        comments = ticket.review_comments if rest[1] == "comments" else []
        return self._cut(_comment_rows(comments, "created_at"), request, set())

    def _ticket(self, repo: Repo, number: str) -> Ticket:
        if not number.isdigit() or int(number) not in repo.tickets:
            raise Refused(
                410 if number.isdigit() and int(number) < 900 else 404, "This issue was deleted"
            )
        return repo.tickets[int(number)]

    def _git(self, repo: Repo, rest: list[str], request: Request) -> Reply:
        if rest[0] == "trees":
            return self._tree(repo, rest[1], request)
        for content in repo.files.values():
            if _sha(content) == rest[1]:
                text = base64.encodebytes(content).decode()
                return Reply({"sha": rest[1], "content": text, "encoding": "base64"})
        raise Refused(404, "Not Found")

    def _tree(self, repo: Repo, name: str, request: Request) -> Reply:
        if not repo.files:
            raise Refused(409, "Git Repository is empty.")
        folder = "" if name == "main" else name.removeprefix("tree-root").removeprefix("tree-")
        if request.query.get("recursive") and not self.truncate_trees:
            rows = [_blob_row(repo, path, path) for path in repo.files]
        else:
            rows = _level(repo, folder)
        body = {
            "sha": f"tree-{folder or 'root'}",
            "tree": rows,
            "truncated": self.truncate_trees and not folder,
        }
        if not request.query.get("recursive"):
            body["truncated"] = False
        return _with_etag(body, request)

    def _contents(self, repo: Repo, rest: list[str], request: Request) -> Reply:
        if request.query.get("ref") != "main":
            raise Refused(404, "No commit found for the ref")
        path = "/".join(rest)
        if path not in repo.files:
            raise Refused(404, "Not Found")
        content = repo.files[path]
        return Reply({"type": "file", "path": path, "sha": _sha(content), "size": len(content)})

    def _collaborators(self, repo: Repo, rest: list[str], request: Request) -> Reply:
        if not repo.writable:
            raise Refused(403, "Must have push access to view repository collaborators.")
        if rest:
            person = self.people.get(rest[0])
            if person is None:
                raise Refused(404, "Not Found")
            return Reply(
                {
                    "permission": "read" if self.sees(person, repo) else "none",
                    "user": {"login": rest[0]},
                }
            )
        affiliation = request.query.get("affiliation", "all")
        people = [
            person
            for person in self.people.values()
            if self._is_collaborator(person, repo)
            and (affiliation == "all" or person.role == "outside")
        ]
        rows = [{**_person_row(p), "permissions": {"pull": True, "push": False}} for p in people]
        rows.append({"login": "triager-of-nothing", "type": "User", "permissions": {"pull": False}})
        return self._cut(rows, request, {"affiliation"})

    def _is_collaborator(self, person: Person, repo: Repo) -> bool:
        """A public repository does not make everybody its collaborator; a suspended account is still listed."""
        plain = Repo(repo.id, repo.name, teams=repo.teams, direct=repo.direct)
        return self.sees(Person(person.login, role=person.role), plain)

    def _graphql(self, body: dict[str, Any]) -> dict[str, Any]:
        variables = body["variables"]
        if variables["org"] != ORG:
            return {"data": {"organization": None}, "errors": [{"type": "NOT_FOUND"}]}
        if "samlIdentityProvider" in body["query"]:
            if not self.saml:
                return {"data": {"organization": {"samlIdentityProvider": None}}}
            nodes = [
                {
                    "user": {"login": login} if login else None,
                    "samlIdentity": {"nameId": email, "emails": None},
                }
                for login, email in self.saml.items()
            ]
            return {
                "data": {
                    "organization": {
                        "samlIdentityProvider": {"found": self._connection(nodes, variables)}
                    }
                }
            }
        members = [p for p in self.people.values() if p.role != "outside"]
        nodes = [
            {"login": p.login, "organizationVerifiedDomainEmails": [p.email] if p.email else []}
            for p in members
        ]
        return {"data": {"organization": {"found": self._connection(nodes, variables)}}}

    def _connection(self, nodes: list[dict[str, Any]], variables: dict[str, Any]) -> dict[str, Any]:
        start = int(variables.get("after") or 0)
        end = start + self.page
        page = {"hasNextPage": end < len(nodes), "endCursor": str(end)}
        return {"pageInfo": page, "nodes": nodes[start:end]}

    def _cut(self, rows: list[Any], request: Request, allowed: set[str]) -> Reply:
        query = dict(request.query)
        if set(query) - allowed - {"per_page", "page"}:
            raise Refused(422, "Unknown parameter")
        page = int(query.get("page", 1))
        start = (page - 1) * self.page
        headers = {}
        if start + self.page < len(rows):
            address = f"{self.http.url}{request.path}?{urlencode({**query, 'page': page + 1})}"
            headers["Link"] = f'<{address}>; rel="next", <{address}>; rel="last"'
        return _with_etag(rows[start : start + self.page], request, rows, headers)


def _with_etag(
    body: Any, request: Request, whole: Any = None, headers: dict[str, str] | None = None
) -> Reply:
    digest = hashlib.sha256(json.dumps([body, whole]).encode()).hexdigest()[:16]
    told = {"ETag": f'W/"{digest}"', "X-RateLimit-Remaining": "4999", **(headers or {})}
    if request.headers.get("if-none-match") == told["ETag"]:
        return Reply(None, 304, told)
    return Reply(body, 200, told)


def _repo_row(repo: Repo) -> dict[str, Any]:
    return {
        "id": repo.id,
        "name": repo.name,
        "full_name": f"{ORG}/{repo.name}",
        "private": repo.visibility != "public",
        "visibility": repo.visibility,
        "default_branch": "main",
        "archived": repo.archived,
        "fork": repo.fork,
        "html_url": f"https://github.com/{ORG}/{repo.name}",
    }


def _person_row(person: Person) -> dict[str, Any]:
    row: dict[str, Any] = {"login": person.login, "type": "User"}
    if person.suspended:
        row["suspended_at"] = "2026-01-01T00:00:00Z"
    return row


def _ticket_row(repo: Repo, ticket: Ticket) -> dict[str, Any]:
    kind = "pull" if ticket.pull else "issues"
    row = {
        "number": ticket.number,
        "title": ticket.title,
        "body": ticket.body or None,
        "user": {"login": ticket.author},
        "state": "open",
        "labels": [{"name": "bug"}],
        "created_at": "2026-01-01T08:00:00Z",
        "updated_at": ticket.updated,
        "html_url": f"https://github.com/{ORG}/{repo.name}/{kind}/{ticket.number}",
        "comments": len(ticket.comments),
    }
    return {**row, "pull_request": {}} if ticket.pull else row


def _comment_rows(comments: list[tuple[str, str]], key: str) -> list[dict[str, Any]]:
    return [
        {"user": {"login": author}, "body": text, key: f"2026-01-0{number}T10:00:00Z"}
        for number, (author, text) in enumerate(comments, start=1)
    ]


def _sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\x00" % len(content) + content, usedforsecurity=False).hexdigest()


def _blob_row(repo: Repo, path: str, name: str) -> dict[str, Any]:
    content = repo.files[path]
    mode = "120000" if path in repo.links else "100644"
    return {"path": name, "mode": mode, "type": "blob", "sha": _sha(content), "size": len(content)}


def _level(repo: Repo, folder: str) -> list[dict[str, Any]]:
    """One level of a tree; a folder's sha names it here. Folders are one level deep in these tests."""
    above = f"{folder}/" if folder else ""
    rows: dict[str, dict[str, Any]] = {}
    for path in repo.files:
        if not path.startswith(above):
            continue
        name, slash, _ = path[len(above) :].partition("/")
        if slash:
            rows[name] = {"path": name, "mode": "040000", "type": "tree", "sha": f"tree-{name}"}
        else:
            rows[name] = _blob_row(repo, path, name)
    return list(rows.values())


def date_header(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def signed(kind: str, body: Any, secret: str = WEBHOOK_SECRET) -> tuple[bytes, dict[str, str]]:
    """A delivery's body and headers ("Validating webhook deliveries")."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    digest = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    return data, {"x-github-event": kind, "x-hub-signature-256": f"sha256={digest}"}
