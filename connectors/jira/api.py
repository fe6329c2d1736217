"""Jira Cloud's REST API v3 (developer.atlassian.com, "The Jira Cloud platform REST API")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.atlassian import Account, Json, rows
from connectors.contract import SourceFault
from connectors.http import Http
from connectors.http_answers import body_json
from connectors.jira import model
from connectors.jira.model import Comment, Holder, Issue, Malformed, Project

V3 = "/rest/api/3"
PAGE, BULK = 100, 50
PLACES = "project,updated,security,reporter,assignee,attachment"
BODIES = f"{PLACES},summary,description,comment,status,issuetype,priority,labels"


class JiraApi:
    def __init__(self, http: Http) -> None:
        self._http = http

    def projects(self) -> Iterator[Project]:
        for row in self._pages("project/search", status="live", expand="lead"):
            yield model.project(row)

    def search(self, jql: str, token: str = "") -> Iterator[tuple[list[Issue], str]]:
        """Pages of issues without bodies, each with the token of the next (empty at the end)."""
        while True:
            more = {"nextPageToken": token} if token else {}
            query = {"jql": jql, "fields": PLACES, "maxResults": PAGE, **more}
            body = self._http.json(f"{V3}/search/jql", params=query)
            following = str(body.get("nextPageToken") or "")
            yield list(_issues(rows(body, "issues"))), following
            if not following:
                return
            if following == token:
                raise SourceFault(
                    "Jira gives the same page again.", "Try again later.", passing=True
                )
            token = following

    def issues(self, ids: Sequence[str]) -> Iterator[Issue]:
        """With bodies and comments; what is gone or not shown is left out."""
        for start in range(0, len(ids), BULK):
            part = list(ids[start : start + BULK])
            asked = {"issueIdsOrKeys": part, "fields": BODIES.split(",")}
            body = self._http.post_json(f"{V3}/issue/bulkfetch", json=asked)
            yield from _issues(rows(body, "issues"))

    def comments(self, issue: str) -> tuple[Comment, ...]:
        found = self._pages(f"issue/{issue}/comment", key="comments")
        return tuple(model.comment(row) for row in found)

    def download(self, attachment: str, max_bytes: int) -> bytes | None:
        """None where it is gone. Raises TooLarge."""
        path = f"{V3}/attachment/content/{attachment}"
        options: dict[str, Any] = {"follow_redirects": True, "max_bytes": max_bytes}
        response = self._http.get(path, accept=(404,), headers={"Accept": "*/*"}, **options)
        return None if response.status_code == 404 else response.content

    # --- Permissions ---

    def browsers(self, project: str) -> list[Holder] | None:
        """Whom the project's permission scheme lets browse it. None where Jira does not tell."""
        body = self._one(f"project/{project}/permissionscheme", expand="permissions")
        if body is None or not isinstance(body.get("permissions"), list):
            return None
        granted = (row for row in rows(body, "permissions"))
        return [model.holder(row) for row in granted if row.get("permission") == "BROWSE_PROJECTS"]

    def has_levels(self, project: str) -> bool:
        """Whether its issues can have security levels; True where Jira does not tell."""
        path = f"{V3}/project/{project}/issuesecuritylevelscheme"
        return self._http.get(path, accept=(403, 404)).status_code != 404

    def level_members(self) -> dict[str, list[Holder]]:
        found: dict[str, list[Holder]] = {}
        for row in self._pages("issuesecurityschemes/level/member"):
            found.setdefault(str(row.get("issueSecurityLevelId")), []).append(model.holder(row))
        return found

    def role(self, project: str, role: str) -> tuple[set[str], set[str]]:
        """Accounts and groups of a project's role."""
        body = self._one(f"project/{project}/role/{role}") or {}
        users, groups = set[str](), set[str]()
        for actor in body.get("actors") or ():
            if id := (actor.get("actorUser") or {}).get("accountId"):
                users.add(str(id))
            if id := (actor.get("actorGroup") or {}).get("groupId"):
                groups.add(str(id))
        return users, groups

    def application_groups(self, key: str) -> set[str]:
        body = self._one(f"applicationrole/{key}") or {}
        return {str(row["groupId"]) for row in body.get("groupDetails") or () if row.get("groupId")}

    def groups(self) -> Iterator[str]:
        for row in self._pages("group/bulk"):
            yield str(row["groupId"])

    def members(self, group: str) -> Iterator[Account]:
        for row in self._pages("group/member", groupId=group):
            if account := model.account(row):
                yield account

    def account(self, id: str) -> Account | None:
        return model.account(self._one("user", accountId=id))

    def by_email(self, email: str) -> Account | None:
        """The one account that shows this address."""
        body = self._http.json(f"{V3}/user/search", params={"query": email})
        found = [model.account(row) for row in body if isinstance(row, dict)]
        named = [account for account in found if account and account.email == email]
        return named[0] if len(named) == 1 else None

    def may_browse(self, account: str, issue: int) -> bool:
        asked = {"permissions": ["BROWSE_PROJECTS"], "issues": [issue]}
        body = self._http.post_json(
            f"{V3}/permissions/check", json={"accountId": account, "projectPermissions": [asked]}
        )
        return any(
            row.get("permission") == "BROWSE_PROJECTS" and issue in (row.get("issues") or ())
            for row in rows(body, "projectPermissions")
        )

    # --- Parts ---

    def _one(self, path: str, **query: str) -> Json | None:
        response = self._http.get(f"{V3}/{path}", params=query, accept=(403, 404))
        if response.status_code in {403, 404}:
            return None
        body = body_json(response)
        return body if isinstance(body, dict) else None

    def _pages(self, path: str, key: str = "values", **query: str) -> Iterator[Json]:
        start = 0
        while True:
            asked = {**query, "startAt": start, "maxResults": PAGE}
            body = self._http.json(f"{V3}/{path}", params=asked)
            found = rows(body, key)
            yield from found
            start += len(found)
            total = body.get("total")
            if (
                not found
                or body.get("isLast") is True
                or (isinstance(total, int) and start >= total)
            ):
                return


def _issues(found: list[Json]) -> Iterator[Issue]:
    for row in found:
        try:
            yield model.issue(row)
        except Malformed:
            continue
