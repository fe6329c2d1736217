"""GitHub's REST API, version 2022-11-28, and GraphQL for e-mail addresses (docs.github.com, "Using pagination in the REST API",
"Best practices for using the REST API", "Rate limits for the REST API"), parsed into frozen dataclasses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx

from connectors.contract import Context, SourceFault
from connectors.github.model import (
    Account,
    Comment,
    File,
    Issue,
    Json,
    Repository,
    is_file,
    parse_account,
    parse_comment,
    parse_file,
    parse_issue,
    parse_repository,
)
from connectors.github.settings import GitHubSettings
from connectors.http_answers import body_json

PAGE = 100
GONE = (301, 404, 410)
"""Moved to another repository, never there or hidden, deleted."""


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of the first page on, and the ETag that asks for them again; `rows` is None for "as it was"
    (304). `at` is GitHub's own clock, as it writes times; empty where it does not tell."""

    rows: Iterator[Json] | None
    etag: str
    at: str = ""


class GitHubApi:
    def __init__(self, context: Context, settings: GitHubSettings, token: str) -> None:
        self._settings = settings
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._http = context.http.at(settings.api_url + "/", headers=headers)
        self._base = httpx.URL(settings.api_url)

    # --- repositories ---

    def repositories(self) -> Iterator[Repository]:
        for row in self._rows(f"orgs/{self._settings.organization}/repos", {"type": "all"}):
            yield parse_repository(row)

    def issues(self, repository: Repository, since: str = "", etag: str = "") -> Page:
        """Issues and pull requests by their last change, oldest first. A repository may have its issues turned off."""
        query = {"state": "all", "sort": "updated", "direction": "asc"}
        if since:
            query["since"] = since
        return self._page(f"repos/{repository.full_name}/issues", query, etag)

    def issue(self, repository: Repository, number: int) -> Issue | None:
        response = self._http.get(f"repos/{repository.full_name}/issues/{number}", accept=GONE)
        return None if response.status_code in GONE else parse_issue(body_json(response))

    def comments(self, repository: Repository, issue: Issue) -> list[Comment]:
        base, number = f"repos/{repository.full_name}", issue.number
        found = []
        if issue.comments:
            found = [
                parse_comment(row, "comment")
                for row in self._rows(f"{base}/issues/{number}/comments")
            ]
        if issue.pull_request:
            found += [
                parse_comment(r, "review") for r in self._rows(f"{base}/pulls/{number}/reviews")
            ]
            found += [
                parse_comment(row, "review comment")
                for row in self._rows(f"{base}/pulls/{number}/comments")
            ]
        return sorted((c for c in found if c.text.strip()), key=lambda c: c.created)

    # --- files ---

    def tree(self, repository: Repository, etag: str = "") -> tuple[list[File] | None, str]:
        """Every file of the default branch with the tree's ETag; None for "as it was". An empty repository has none."""
        path = f"repos/{repository.full_name}/git/trees/{quote(repository.branch, safe='')}"
        headers = {"If-None-Match": etag} if etag else {}
        response = self._http.get(
            path, params={"recursive": "1"}, headers=headers, accept=(304, 404, 409)
        )
        if response.status_code == 304:
            return None, etag
        if response.status_code in (404, 409):
            return [], ""
        body = body_json(response)
        fresh = response.headers.get("ETag", "")
        if body.get("truncated"):  # too many entries for one answer: folder by folder
            return list(self._walk(repository, str(body["sha"]), "")), fresh
        return [parse_file(row, "") for row in body.get("tree", ()) if is_file(row)], fresh

    def file(self, repository: Repository, path: str) -> File | None:
        response = self._http.get(
            f"repos/{repository.full_name}/contents/{quote(path)}",
            params={"ref": repository.branch},
            accept=GONE,
        )
        if response.status_code in GONE:
            return None
        row = body_json(response)
        if not isinstance(row, dict) or row.get("type") != "file":
            return None
        return File(path, str(row["sha"]), int(row.get("size") or 0))

    def blob(self, repository: Repository, sha: str) -> bytes:
        row = self._http.json(f"repos/{repository.full_name}/git/blobs/{sha}")
        try:
            return base64.b64decode(row["content"], validate=False)
        except (KeyError, TypeError, binascii.Error):
            raise SourceFault("GitHub sent a file that cannot be decoded.", "Try again.") from None

    # --- people ---

    def members(self) -> list[Account]:
        path = f"orgs/{self._settings.organization}/members"
        return [parse_account(row) for row in self._rows(path)]

    def outside_collaborators(self) -> list[Account]:
        path = f"orgs/{self._settings.organization}/outside_collaborators"
        return [parse_account(row) for row in self._rows(path)]

    def collaborators(
        self, repository: Repository, affiliation: str = "all"
    ) -> list[Account] | None:
        """Who may read it, by whatever way; None where the token may not ask."""
        path = f"repos/{repository.full_name}/collaborators"
        page = self._page(path, {"affiliation": affiliation}, refused=(403, 404))
        if page.rows is None:
            return None
        return [
            parse_account(r) for r in page.rows if (r.get("permissions") or {}).get("pull") is True
        ]

    def permission(self, repository: Repository, login: str) -> str:
        """admin, write, read or none."""
        path = f"repos/{repository.full_name}/collaborators/{quote(login, safe='')}/permission"
        response = self._http.get(path, accept=(404,))
        return "none" if response.status_code == 404 else str(body_json(response).get("permission"))

    def graphql(self, query: str, variables: Json) -> Json:
        body = self._http.post_json(
            self._settings.graphql_url, json={"query": query, "variables": variables}
        )
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict) or body.get("errors"):
            errors = body.get("errors") if isinstance(body, dict) else None
            busy = any(e.get("type") == "RATE_LIMITED" for e in errors or ())
            raise SourceFault(
                "GitHub does not tell the e-mail addresses of the organization's members.",
                "Give the token Members (read-only), or choose another way under 'E-mail addresses from'.",
                passing=busy,
            )
        return data

    # --- pages ---

    def _rows(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        rows = self._page(path, query or {}).rows
        yield from rows if rows is not None else ()

    def _page(
        self, path: str, query: Mapping[str, str], etag: str = "", refused: tuple[int, ...] = ()
    ) -> Page:
        headers = {"If-None-Match": etag} if etag else {}
        asked = {**query, "per_page": str(PAGE)}
        response = self._http.get(path, params=asked, headers=headers, accept=(304, *refused))
        if response.status_code in refused and _spent(response):
            response = self._http.get(path, params=asked)
        if response.status_code in (304, *refused):
            return Page(None, etag)
        return Page(self._follow(response), response.headers.get("ETag", ""), _at(response))

    def _follow(self, response: httpx.Response) -> Iterator[Json]:
        seen: set[str] = set()
        while True:
            rows = body_json(response)
            if not isinstance(rows, list):
                raise SourceFault("GitHub sent no list.", "Check the API address.")
            yield from rows
            following = response.links.get("next", {}).get("url", "")
            if not following:
                return
            self._check_next(following, seen)
            response = self._http.get(following)

    def _check_next(self, address: str, seen: set[str]) -> None:
        """The token goes to the configured host only."""
        url = httpx.URL(address)
        if (url.scheme, url.host, url.port) != (
            self._base.scheme,
            self._base.host,
            self._base.port,
        ):
            raise SourceFault("GitHub's next page is at another host.", "Check the API address.")
        if address in seen:
            raise SourceFault("GitHub gives the same page again.", "Try again later.", passing=True)
        seen.add(address)

    def _walk(self, repository: Repository, sha: str, above: str) -> Iterator[File]:
        body = self._http.json(f"repos/{repository.full_name}/git/trees/{sha}")
        for row in body.get("tree", ()):
            if row.get("type") == "tree":
                yield from self._walk(repository, str(row["sha"]), f"{above}{row['path']}/")
            elif is_file(row):
                yield parse_file(row, above)


def _spent(response: httpx.Response) -> bool:
    """A spent rate limit also says 403, which must not pass for a refusal."""
    return "Retry-After" in response.headers or response.headers.get("X-RateLimit-Remaining") == "0"


def _at(response: httpx.Response) -> str:
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
    except ValueError:
        return ""
