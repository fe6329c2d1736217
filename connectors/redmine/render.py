"""Issues, wiki pages, news and files as documents; their ids, versions and addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import quote

from connectors.contract import Access, Document
from connectors.redmine.model import Attachment, Issue, News, Project, WikiPage, moment
from connectors.redmine.settings import RedmineSettings
from connectors.redmine.textile import markdown

MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
FACTS = {
    "tracker": "Tracker",
    "status": "Status",
    "priority": "Priority",
    "category": "Category",
    "fixed_version": "Target version",
    "author": "Author",
    "assigned_to": "Assignee",
}


def mime_of(attachment: Attachment) -> str | None:
    return MIMES.get(PurePosixPath(attachment.filename).suffix.lower())


def issue_id(id: int) -> str:
    return f"issue:{id}"


def wiki_id(page: WikiPage) -> str:
    return f"wiki:{page.project}:{page.title}"


def news_id(id: int) -> str:
    return f"news:{id}"


def attachment_id(parent: str, attachment: Attachment) -> str:
    return f"{parent}/attachment:{attachment.id}"


def wiki_version(page: WikiPage) -> str:
    return f"{page.version}@{page.updated}"


def news_version(item: News) -> str:
    """Redmine keeps no date of change for news."""
    return _digest(repr((item.title, item.summary, item.text)))


def attachment_version(attachment: Attachment) -> str:
    """The bytes of an attachment never change."""
    return f"{attachment.created}/{attachment.size}/{_digest(attachment.filename)}"


def commented(version: str) -> bool:
    """Whether the issue had comments when this version of it was read."""
    return version.split("/")[1:2] != ["0"]


class Render:
    def __init__(self, settings: RedmineSettings, projects: dict[int, Project]) -> None:
        self._settings = settings
        self._projects = projects
        self._plain: Callable[[str], str] = (
            markdown if settings.markup == "textile" else lambda text: text.replace("\r\n", "\n")
        )

    def issue(self, issue: Issue, access: Access) -> Document:
        facts = [f"- {FACTS[name]}: {value}" for name, value in issue.facts]
        lines = [f"# #{issue.id} {issue.subject}", "", *facts, "", self._plain(issue.description)]
        for comment in issue.comments:
            heading = f"## Comment by {comment.author or 'a former user'}, {comment.created[:10]}"
            lines += ["", heading, "", self._plain(comment.text)]
        content = "\n".join(lines).rstrip() + "\n"
        return Document(
            id=issue_id(issue.id),
            title=f"#{issue.id} {issue.subject}",
            content=content.encode(),
            mime="text/markdown",
            version=f"{issue.updated}/{len(issue.comments)}/{_digest(content)}",
            access=access,
            data_class=self._settings.data_class,
            url=f"{self._settings.url}/issues/{issue.id}",
            space=self._space(issue.project),
            modified_at=moment(issue.updated),
        )

    def wiki(self, page: WikiPage, access: Access) -> Document:
        title = page.title.replace("_", " ")
        project = self._projects[page.project].identifier
        return Document(
            id=wiki_id(page),
            title=title,
            content=f"# {title}\n\n{self._plain(page.text)}\n".encode(),
            mime="text/markdown",
            version=wiki_version(page),
            access=access,
            data_class=self._settings.data_class,
            url=f"{self._settings.url}/projects/{project}/wiki/{quote(page.title, safe='')}",
            space=self._space(page.project),
            modified_at=moment(page.updated),
        )

    def news(self, item: News, access: Access) -> Document:
        lines = [f"# {item.title}", "", f"{item.author}, {item.created[:10]}"]
        lines += ["", item.summary] if item.summary else []
        lines += ["", self._plain(item.text)]
        return Document(
            id=news_id(item.id),
            title=item.title,
            content=("\n".join(lines) + "\n").encode(),
            mime="text/markdown",
            version=news_version(item),
            access=access,
            data_class=self._settings.data_class,
            url=f"{self._settings.url}/news/{item.id}",
            space=self._space(item.project),
            modified_at=moment(item.created),
        )

    def attachment(
        self, parent: str, project: int, attachment: Attachment, content: bytes, access: Access
    ) -> Document:
        return Document(
            id=attachment_id(parent, attachment),
            title=attachment.filename,
            content=content,
            mime=mime_of(attachment) or "application/octet-stream",
            version=attachment_version(attachment),
            access=access,
            data_class=self._settings.data_class,
            url=f"{self._settings.url}/attachments/{attachment.id}",
            space=self._space(project),
            modified_at=moment(attachment.created),
        )

    def _space(self, project: int) -> str:
        return self._projects[project].name if project in self._projects else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
