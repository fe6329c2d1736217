"""Redmine's REST API (wiki page "Rest api" of redmine.org): what is asked, how it is paged, and as whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import httpx

from connectors.contract import Context, SourceFault
from connectors.http_answers import body_json
from connectors.redmine.model import (
    Attachment,
    Issue,
    Json,
    Membership,
    News,
    Project,
    Role,
    User,
    WikiPage,
    documented,
    parse_attachment,
    parse_issue,
    parse_membership,
    parse_news,
)

PAGE = 100
"""Redmine's most for one page."""
REFUSED = (403, 404, 410)


class RedmineApi:
    """`login` asks as that person does (`X-Redmine-Switch-User`), which only an administrator's key may."""

    def __init__(self, context: Context, url: str, key: str) -> None:
        self._context = context
        self._http = context.http.at(url + "/", headers={"X-Redmine-API-Key": key})

    def status(self, path: str, login: str) -> int:
        """The status of an answer to a person: 200, or 403, 404, 410, or 412 for an account that is locked."""
        headers = {"X-Redmine-Switch-User": login}
        return self._http.get(path, headers=headers, accept=(*REFUSED, 412)).status_code

    @documented
    def users(self, name: str = "") -> list[User]:
        """Active accounts; `name` searches logins, names and addresses."""
        query = {"status": "1", **({"name": name} if name else {})}
        return [
            User(row["id"], row["login"], (row.get("mail") or "").lower(), row["admin"] is True)
            for row in self._pages("users.json", "users", query)
        ]

    @documented
    def projects(self, login: str = "") -> list[Project]:
        # Active and closed ones; without this, newer versions leave out those that are closed.
        query = {"include": "trackers,enabled_modules", "status": "1|5"}
        return [
            Project(
                id=row["id"],
                identifier=row["identifier"],
                name=row["name"],
                status=row["status"],
                public=row.get("is_public") is True,
                modules=frozenset(m["name"] for m in row.get("enabled_modules", ())),
                trackers=frozenset(t["id"] for t in row.get("trackers", ())),
            )
            for row in self._pages("projects.json", "projects", query, login)
        ]

    @documented
    def role_ids(self) -> list[int]:
        """Roles that can be given; the two built-in ones are not among them."""
        return [row["id"] for row in self._get("roles.json")["roles"]]

    @documented
    def role(self, id: int) -> Role | None:
        response = self._http.get(f"roles/{id}.json", accept=(404,))
        if response.status_code == 404:
            return None
        row = body_json(response)["role"]
        return Role(id, frozenset(row.get("permissions", ())), row.get("issues_visibility") or "")

    @documented
    def groups(self) -> dict[int, frozenset[int]]:
        """Members (ids of accounts, locked ones among them) of every group."""
        groups = {}
        for row in self._get("groups.json")["groups"]:
            group = self._get(f"groups/{row['id']}.json", {"include": "users"})["group"]
            groups[row["id"]] = frozenset(user["id"] for user in group.get("users", ()))
        return groups

    def memberships(self, project: int) -> list[Membership]:
        path = f"projects/{project}/memberships.json"
        return [parse_membership(row) for row in self._pages(path, "memberships")]

    @documented
    def issues(
        self, filters: Mapping[str, tuple[str, Sequence[str]]], sort: str, offset: int = 0
    ) -> tuple[list[Issue], int]:
        """A page of issues, open and closed, and how many there are. `filters` is field to operator and values."""
        query: list[tuple[str, str]] = [("f[]", "status_id"), ("op[status_id]", "*")]
        for field, (operator, values) in filters.items():
            query += [("f[]", field), (f"op[{field}]", operator)]
            query += [(f"v[{field}][]", value) for value in values]
        query += [("sort", sort), ("limit", str(PAGE)), ("offset", str(offset))]
        page = self._get("issues.json", [*query, ("include", "attachments")])
        return [parse_issue(row) for row in page["issues"]], int(page["total_count"])

    @documented
    def issue(self, id: int) -> Issue | None:
        """With its public comments; None where there is none any more."""
        response = self._http.get(
            f"issues/{id}.json", params={"include": "journals,attachments"}, accept=REFUSED
        )
        return parse_issue(body_json(response)["issue"]) if response.status_code == 200 else None

    @documented
    def wiki(self, project: int) -> list[WikiPage]:
        response = self._http.get(f"projects/{project}/wiki/index.json", accept=REFUSED)
        if response.status_code != 200:  # the module is on, but no page was ever written
            return []
        return [
            WikiPage(project, row["title"], row["version"], row["updated_on"])
            for row in body_json(response)["wiki_pages"]
        ]

    @documented
    def wiki_page(self, project: int, title: str) -> WikiPage | None:
        response = self._http.get(wiki_path(project, title), accept=REFUSED)
        if response.status_code != 200:
            return None
        row = body_json(response)["wiki_page"]
        return WikiPage(
            project, row["title"], row["version"], row["updated_on"], row.get("text") or ""
        )

    def news(self) -> list[News]:
        return [parse_news(row) for row in self._pages("news.json", "news")]

    @documented
    def news_item(self, id: int) -> News | None:
        response = self._http.get(f"news/{id}.json", accept=REFUSED)
        return parse_news(body_json(response)["news"]) if response.status_code == 200 else None

    @documented
    def files(self, project: int) -> tuple[Attachment, ...]:
        response = self._http.get(f"projects/{project}/files.json", accept=REFUSED)
        rows = body_json(response)["files"] if response.status_code == 200 else ()
        return tuple(parse_attachment(row) for row in rows)

    @documented
    def attachment(self, id: int) -> Attachment | None:
        response = self._http.get(f"attachments/{id}.json", accept=REFUSED)
        if response.status_code != 200:
            return None
        return parse_attachment(body_json(response)["attachment"])

    def download(self, attachment: Attachment) -> bytes | None:
        """None when it is gone. The address is made here: the key goes to no host that an answer names."""
        path = f"attachments/download/{attachment.id}/{quote(attachment.filename, safe='')}"
        response = self._http.get(path, accept=REFUSED, max_bytes=self._context.max_bytes)
        return response.content if response.status_code == 200 else None

    def _pages(
        self, path: str, key: str, query: Mapping[str, str] | None = None, login: str = ""
    ) -> Iterator[Json]:
        offset, total = 0, 1
        while offset < total:
            page = self._get(
                path, {**(query or {}), "limit": str(PAGE), "offset": str(offset)}, login
            )
            rows = page[key]
            yield from rows
            total = int(page.get("total_count", 0))
            if not rows:
                return
            offset += len(rows)

    def _get(
        self,
        path: str,
        query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        login: str = "",
    ) -> Json:
        headers = {"X-Redmine-Switch-User": login} if login else {}
        params = httpx.QueryParams(query if isinstance(query, Mapping) else list(query or ()))
        response = self._http.get(path, params=params, headers=headers, accept=(403,))
        if response.status_code == 403:
            raise SourceFault(
                f"Redmine forbids this key to read {path.partition('.')[0]} (403).",
                "Use the API key of an administrator, and switch on the REST web service.",
            )
        return object_of(response)


def object_of(response: httpx.Response) -> Json:
    body = body_json(response)
    if not isinstance(body, dict):
        raise SourceFault(
            "Redmine's answer is not what its API promises.", "Check the address and its proxy."
        )
    return body


def wiki_path(project: int, title: str) -> str:
    return f"projects/{project}/wiki/{quote(title, safe='')}.json"
