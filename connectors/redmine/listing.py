"""What Redmine holds, entry by entry: enough to know whether it changed and who reads it, and how to fetch it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from connectors.contract import Access, Change, Context, Deletion, Document, Failure
from connectors.http import TooLarge
from connectors.redmine.api import RedmineApi
from connectors.redmine.directory import Directory, shows
from connectors.redmine.model import Attachment, Issue, News, WikiPage
from connectors.redmine.readers import PLACES, Readers
from connectors.redmine.render import (
    Render,
    attachment_id,
    attachment_version,
    issue_id,
    mime_of,
    news_id,
    news_version,
    wiki_id,
    wiki_version,
)
from connectors.redmine.settings import RedmineSettings


@dataclass(frozen=True, slots=True)
class Entry:
    """`stamp` begins the version of the document as it is now; `version` is all of it, where the listing tells that."""

    id: str
    name: str
    stamp: str
    version: str
    access: Access
    load: Callable[[], Change]


class Listing:
    """One look at Redmine: what it says about people and projects does not change while it is used."""

    def __init__(
        self,
        api: RedmineApi,
        settings: RedmineSettings,
        context: Context,
        directory: Directory,
        readers: Readers,
    ) -> None:
        self._api = api
        self._settings = settings
        self._context = context
        self._directory = directory
        self._readers = readers
        self._render = Render(settings, directory.projects)
        self.data_class = settings.data_class

    def issue_pages(self, field: str, start: str) -> Iterator[tuple[list[Issue], int]]:
        """Pages of issues by `updated_on` or `issue_id` from `start` on, with how many there were in all. By value, not by
        offset, so that none is missed when others change or vanish meanwhile."""
        column = {"updated_on": "updated_on:asc,id:asc", "issue_id": "id:asc"}[field]
        seen: dict[int, str] = {}
        offset, total, left = 0, -1, int(self._settings.issues)
        while left > 0:
            issues, count = self._api.issues(self._filters(field, start), column, offset)
            total = count if total < 0 else total
            left = count - offset - len(issues) if issues else 0
            fresh = [issue for issue in issues if seen.get(issue.id) != issue.updated]
            seen.update({issue.id: issue.updated for issue in issues})
            last = _value(issues[-1], field) if issues else start
            offset = offset + len(issues) if last == start else 0
            start = last
            if fresh:
                yield fresh, total

    def of_issues(self, issues: list[Issue]) -> Iterator[Entry]:
        for issue in issues:
            if issue.project not in self._directory.projects:
                continue
            access = self._readers.of_issue(issue)
            yield Entry(
                issue_id(issue.id),
                f"#{issue.id}",
                f"{issue.updated}/",
                "",
                access,
                self._issue_loader(issue.id),
            )
            yield from self._attachments(
                issue_id(issue.id), issue.project, issue.attachments, access
            )

    def of_places(self) -> Iterator[Entry]:
        """Wiki pages, news and project files."""
        for project in self._directory.projects.values():
            if self._settings.wiki and shows(project, PLACES["wiki"]):
                yield from map(self._wiki_entry, self._api.wiki(project.id))
            if self._settings.files and shows(project, PLACES["files"]):
                access = self._readers.of_place(project.id, "files")
                files = self._api.files(project.id)
                yield from self._attachments(f"files:{project.id}", project.id, files, access)
        for item in self._api.news() if self._settings.news else ():
            if item.project in self._directory.projects:
                yield self._news_entry(item)

    def fetch(self, id: str) -> Change:
        """One document as it is now, by its id."""
        parent, _, attachment = id.partition("/attachment:")
        kind, _, rest = parent.partition(":")
        if attachment:
            return self._fetch_attachment(id, kind, rest)
        if kind == "issue" and rest.isdecimal():
            return self._issue_loader(int(rest))()
        if kind == "news" and rest.isdecimal():
            item = self._api.news_item(int(rest))
            if item and item.project in self._directory.projects:
                return self._news_entry(item).load()
        project, _, title = rest.partition(":")
        if kind == "wiki" and project.isdecimal() and int(project) in self._directory.projects:
            return self._wiki_loader(WikiPage(int(project), title, 0, ""))()
        return Deletion(id)

    def attempt(self, entry: Entry) -> Change:
        """Too large is the entry's own failure; anything else is the source's."""
        try:
            change = entry.load()
        except TooLarge as large:
            return _too_large(entry.id, entry.name, large.limit)
        if isinstance(change, Document) and len(change.content) > self._context.max_bytes:
            return _too_large(entry.id, entry.name, self._context.max_bytes)
        return change

    def _filters(self, field: str, start: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        filters: dict[str, tuple[str, tuple[str, ...]]] = {field: (">=", (start,))} if start else {}
        if self._settings.projects:
            filters["project_id"] = ("=", tuple(map(str, self._directory.projects)))
        return filters

    def _issue_loader(self, id: int) -> Callable[[], Change]:
        def load() -> Change:
            issue = self._api.issue(id)
            if issue is None or issue.project not in self._directory.projects:
                return Deletion(issue_id(id))
            return self._render.issue(issue, self._readers.of_issue(issue))

        return load

    def _wiki_entry(self, page: WikiPage) -> Entry:
        version = wiki_version(page)
        access = self._readers.of_place(page.project, "wiki")
        return Entry(wiki_id(page), page.title, version, version, access, self._wiki_loader(page))

    def _wiki_loader(self, page: WikiPage) -> Callable[[], Change]:
        def load() -> Change:
            found = self._api.wiki_page(page.project, page.title)
            # A page that was renamed redirects: what has the old name is no more.
            if found is None or found.title != page.title:
                return Deletion(wiki_id(page))
            return self._render.wiki(found, self._readers.of_place(page.project, "wiki"))

        return load

    def _news_entry(self, item: News) -> Entry:
        version, access = news_version(item), self._readers.of_place(item.project, "news")
        document = self._render.news(item, access)
        return Entry(news_id(item.id), item.title, version, version, access, lambda: document)

    def _attachments(
        self, parent: str, project: int, attachments: tuple[Attachment, ...], access: Access
    ) -> Iterator[Entry]:
        for attachment in attachments if self._settings.files else ():
            if mime_of(attachment):
                yield Entry(
                    attachment_id(parent, attachment),
                    attachment.filename,
                    attachment_version(attachment),
                    attachment_version(attachment),
                    access,
                    self._attachment_loader(parent, project, attachment, access),
                )

    def _attachment_loader(
        self, parent: str, project: int, attachment: Attachment, access: Access
    ) -> Callable[[], Change]:
        def load() -> Change:
            if attachment.size > self._context.max_bytes:
                raise TooLarge(self._context.max_bytes)
            content = self._api.download(attachment)
            if content is None:
                return Deletion(attachment_id(parent, attachment))
            return self._render.attachment(parent, project, attachment, content, access)

        return load

    def _fetch_attachment(self, id: str, kind: str, rest: str) -> Change:
        """By way of what it belongs to, which decides about its readers."""
        entries: Mapping[str, Entry] = {}
        if kind == "issue" and rest.isdecimal():
            issue = self._api.issue(int(rest))
            entries = {entry.id: entry for entry in self.of_issues([issue] if issue else [])}
        elif kind == "files" and rest.isdecimal() and int(rest) in self._directory.projects:
            project = int(rest)
            access = self._readers.of_place(project, "files")
            found = self._attachments(f"files:{rest}", project, self._api.files(project), access)
            entries = {entry.id: entry for entry in found}
        return entries[id].load() if id in entries else Deletion(id)


def _value(issue: Issue, field: str) -> str:
    return issue.updated if field == "updated_on" else str(issue.id)


def _too_large(id: str, name: str, limit: int) -> Failure:
    return Failure(
        id,
        name,
        f"It is larger than the limit of {limit:,} bytes.",
        "Raise the limit for documents, or leave it unread.",
    )
