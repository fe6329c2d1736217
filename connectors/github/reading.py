"""What is read of one repository: issues since the last change, files whose blob is new."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from connectors.contract import (
    Access,
    Change,
    Checkpoint,
    Context,
    Deletion,
    Document,
    Failure,
    SourceFault,
    Unchanged,
)
from connectors.github.api import GitHubApi
from connectors.github.events import file_id, issue_id
from connectors.github.model import File, Issue, Repository, parse_issue
from connectors.github.people import repository_group
from connectors.github.settings import GitHubSettings
from connectors.github.texts import issue_text, mime_of

BATCH = 100


@dataclass(frozen=True, slots=True)
class Place:
    """How far one repository was read. `etag`s ask whether anything changed, which costs none of the rate limit."""

    since: str = ""
    issues_etag: str = ""
    tree_etag: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Place:
        return cls(
            **{key: str(state.get(key) or "") for key in ("since", "issues_etag", "tree_etag")}
        )

    @property
    def state(self) -> dict[str, str]:
        return {"since": self.since, "issues_etag": self.issues_etag, "tree_etag": self.tree_etag}


@dataclass(frozen=True, slots=True)
class RepositoryReader:
    api: GitHubApi
    settings: GitHubSettings
    context: Context
    repository: Repository

    @property
    def access(self) -> Access:
        return Access.of(groups=[repository_group(self.repository.id)])

    def ids(self) -> Iterator[str]:
        """Everything there is, without any content."""
        for issue in self._all_issues():
            yield issue_id(self.repository.id, issue.number)
        for file in self.files(self.api.tree(self.repository)[0] or ()):
            yield file_id(self.repository.id, file.path)

    def changes(
        self, place: Place, known: Mapping[str, str], full: bool
    ) -> Iterator[Change | Place]:
        """Ends with the place to begin at next time; places in between are good to resume from."""
        seen: set[str] = set()
        start = Place() if full else place
        fresh = Place()
        for change in self._issues(start, known):
            if isinstance(change, Place):
                fresh = change
                if (
                    not full
                ):  # a full reading that stops here begins anew: what it has seen is forgotten
                    yield replace(change, tree_etag=place.tree_etag)
                continue
            seen.add(_id(change))
            yield change
        files, tree_etag = self.api.tree(self.repository, start.tree_etag)
        if files is not None:
            for file in self.files(files):
                seen.add(file_id(self.repository.id, file.path))
                yield self.file(file, known)
        yield from self._gone(seen, known, full, files is not None)
        yield replace(fresh, tree_etag=tree_etag)

    def issue(self, issue: Issue, known: Mapping[str, str]) -> Change:
        """Its comments are read only if it changed."""
        id = issue_id(self.repository.id, issue.number)
        if known.get(id, "").startswith(f"{issue.updated}."):
            return Unchanged(id, self.access, self.settings.data_class)
        comments = self.api.comments(self.repository, issue)
        content = issue_text(issue, comments)
        title = f"{issue.title} (#{issue.number})"
        if len(content) > self.context.max_bytes:
            return _too_large(id, title, len(content), self.context.max_bytes)
        return Document(
            id=id,
            title=title,
            content=content,
            mime="text/markdown",
            version=f"{issue.updated}.{_digest(content)}",
            access=self.access,
            data_class=self.settings.data_class,
            url=issue.url,
            space=self.repository.name,
            modified_at=_moment(issue.updated),
        )

    def file(self, file: File, known: Mapping[str, str]) -> Change:
        id = file_id(self.repository.id, file.path)
        if known.get(id) == file.sha:
            return Unchanged(id, self.access, self.settings.data_class)
        if file.size > self.context.max_bytes:
            return _too_large(id, file.path, file.size, self.context.max_bytes)
        try:
            content = self.api.blob(self.repository, file.sha)
        except SourceFault as fault:
            if fault.passing:
                raise
            return Failure(id, file.path, fault.message, fault.fix)
        return Document(
            id=id,
            title="",
            content=content,
            mime=mime_of(file.path),
            version=file.sha,
            access=self.access,
            data_class=self.settings.data_class,
            url=f"{self.repository.url}/blob/{quote(self.repository.branch)}/{quote(file.path)}",
            space=self.repository.name,
        )

    def again(self, id: str, known: Mapping[str, str] | None = None) -> Change:
        _, _, rest = id.partition("/")
        kind, _, name = rest.partition("/")
        if kind == "issues" and name.isascii() and name.isdigit():
            issue = self.api.issue(self.repository, int(name))
            return self.issue(issue, known or {}) if issue and self.wants(issue) else Deletion(id)
        if kind == "files":
            file = self.api.file(self.repository, name)
            return (
                self.file(file, known or {}) if file and any(self.files([file])) else Deletion(id)
            )
        return Deletion(id)

    def wants(self, issue: Issue) -> bool:
        return self.settings.pull_requests if issue.pull_request else self.settings.issues

    def files(self, files: list[File] | tuple[File, ...]) -> Iterator[File]:
        for file in files:
            name = file.path.rsplit("/", 1)[-1]
            patterns = self.settings.files
            chosen = any(fnmatchcase(file.path if "/" in p else name, p) for p in patterns)
            if chosen and mime_of(file.path):
                yield file

    def _all_issues(self) -> Iterator[Issue]:
        if self.settings.issues or self.settings.pull_requests:
            for row in self.api.issues(self.repository).rows or ():
                issue = parse_issue(row)
                if self.wants(issue):
                    yield issue

    def _issues(self, place: Place, known: Mapping[str, str]) -> Iterator[Change | Place]:
        if not (self.settings.issues or self.settings.pull_requests):
            yield Place()
            return
        page = self.api.issues(self.repository, place.since, place.issues_etag)
        if page.rows is None:
            yield place
            return
        newest, moved = place.since, False
        for number, row in enumerate(page.rows, start=1):
            try:
                issue = parse_issue(row)
            except (KeyError, TypeError, ValueError, AttributeError):
                id = f"{self.repository.id}/issues/{row.get('number')}"
                yield Failure(id, self.repository.name, "GitHub sent an issue that is incomplete.")
                continue
            if self.wants(issue):
                yield self.issue(issue, known)
            moved = moved or bool(page.at and issue.updated >= page.at)
            newest = max(newest, issue.updated)
            if number % BATCH == 0:
                yield Place(since=newest)
        if (
            moved
        ):  # what changes while pages are read shifts their borders: the same is asked for again
            newest = place.since
        # The ETag is that of the address asked for: it holds while the next call asks for the same.
        yield Place(newest, page.etag if newest == place.since else "")

    def _gone(
        self, seen: set[str], known: Mapping[str, str], issues: bool, files: bool
    ) -> Iterator[Change]:
        own = [id for id in sorted(known) if id.startswith(f"{self.repository.id}/")]
        for id in own:
            is_file = id.startswith(f"{self.repository.id}/files/")
            if id in seen or not (files if is_file else issues):
                continue
            # Pages shift when an issue goes meanwhile, so one that was not named is asked for.
            yield Deletion(id) if is_file else self.again(id, known)


def _id(change: Change) -> str:
    return "" if isinstance(change, Checkpoint) else change.id


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _too_large(id: str, name: str, size: int, limit: int) -> Failure:
    cause = f"It has {size / 1e6:.1f} MB; the limit is {limit / 1e6:.1f} MB."
    return Failure(id, name, cause, "Raise the limit, or leave the file out.")
