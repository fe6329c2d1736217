"""One look at the site: its projects, and their issues and files as documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from connectors.atlassian import FAULTS_IN_A_ROW, mime_of, one_line, too_large, unreadable
from connectors.contract import (
    Access,
    Change,
    Context,
    Deletion,
    Document,
    Failure,
    Listed,
    SourceFault,
    Unchanged,
)
from connectors.http import TooLarge
from connectors.jira.adf import html
from connectors.jira.api import JiraApi
from connectors.jira.model import Attachment, Issue, Project, moment
from connectors.jira.readers import Readers
from connectors.jira.settings import JiraSettings

Known = Mapping[str, str]
FACTS = {"issuetype": "Type", "status": "Status", "priority": "Priority"}


def issue_id(id: str) -> str:
    return f"issue:{id}"


def attachment_id(issue: str, attachment: str) -> str:
    return f"issue:{issue}/attachment:{attachment}"


def parsed_id(id: str) -> tuple[str, str] | None:
    """Issue and attachment (empty for the issue itself); None for an id that is not of ours."""
    issue, slash, attachment = id.removeprefix("issue:").partition("/attachment:")
    if not id.startswith("issue:") or not issue.isdecimal() or (slash and not attachment.isalnum()):
        return None
    return issue, attachment


class Library:
    def __init__(self, api: JiraApi, settings: JiraSettings, context: Context) -> None:
        self._api = api
        self._settings = settings
        self._context = context
        self._faults = 0
        self.projects = {project.id: project for project in chosen_projects(api, settings)}
        everyone = settings.public_projects == "everyone"
        self.readers = Readers(api, self.projects, public_is_everyone=everyone)

    def listed(self, issue: Issue) -> Iterator[Listed]:
        access, data_class = self.readers.of_issue(issue), self._settings.data_class
        yield Listed(issue_id(issue.id), issue.updated, access, data_class)
        for file in self._files(issue):
            yield Listed(attachment_id(issue.id, file.id), file.id, access, data_class)

    def changes(self, issues: Sequence[Issue], known: Known) -> Iterator[Change]:
        """Of issues listed without bodies: those of a known version stay unread."""
        wanted = [issue for issue in issues if issue.project in self.projects]
        fresh = [i for i in wanted if not i.updated or known.get(issue_id(i.id)) != i.updated]
        read = {issue.id: issue for issue in self._api.issues([issue.id for issue in fresh])}
        for issue in wanted:
            if issue in fresh:
                yield from self.take(issue.id, read.get(issue.id), known)
            else:
                access = self.readers.of_issue(issue)
                yield Unchanged(issue_id(issue.id), access, self._settings.data_class)
                yield from (self._take_file(issue, f, access, known) for f in self._files(issue))

    def take(self, id: str, issue: Issue | None, known: Known) -> Iterator[Change]:
        """An issue with its body, and its files; one that is gone with its known files."""
        files: tuple[Attachment, ...] = ()
        if issue is None or issue.project not in self.projects:
            yield Deletion(issue_id(id))
        else:
            access = self.readers.of_issue(issue)
            yield self._attempt(issue, access)
            files = self._files(issue)
            yield from (self._take_file(issue, file, access, known) for file in files)
        present = {attachment_id(id, file.id) for file in files}
        gone = (o for o in known if o.startswith(f"{issue_id(id)}/") and o not in present)
        yield from map(Deletion, sorted(gone))

    def _attempt(self, issue: Issue, access: Access) -> Document | Failure:
        if not issue.updated:
            return unreadable(issue_id(issue.id), issue.key)
        try:
            document = self._document(issue, access)
            self._faults = 0
        except SourceFault as fault:
            return self._failed(issue_id(issue.id), issue.key, fault)
        size, most = len(document.content), self._context.max_bytes
        return too_large(document.id, document.title, size, most) if size > most else document

    def _document(self, issue: Issue, access: Access) -> Document:
        """Comments that only a role or group may see are left out: the issue has more readers than they."""
        title = f"{issue.key} {one_line(issue.fields.get('summary'))}".strip()
        parts = [f"<h1>{escape(title)}</h1><ul>"]
        for name, label in FACTS.items():
            value = issue.fields.get(name)
            if isinstance(value, dict) and value.get("name"):
                parts.append(f"<li>{label}: {escape(one_line(value['name']))}</li>")
        people = {"Reporter": issue.reporter, "Assignee": issue.assignee}
        parts += [f"<li>{k}: {escape(a.name)}</li>" for k, a in people.items() if a and a.name]
        parts.append("</ul>" + html(issue.fields.get("description")))
        said = issue.comments
        if len(said) < issue.comments_total:
            said = self._api.comments(issue.id)
        for comment in (c for c in said if not c.narrowed):
            who = escape(comment.author or "a former user")
            parts.append(
                f"<h2>Comment by {who}, {escape(comment.at[:10])}</h2>{html(comment.body)}"
            )
        content = f"<html><body>{''.join(parts)}</body></html>".encode("utf-8", "replace")
        return self._made(
            issue, issue_id(issue.id), title, content, "text/html", issue.updated, access
        )

    def _take_file(self, issue: Issue, file: Attachment, access: Access, known: Known) -> Change:
        id, most = attachment_id(issue.id, file.id), self._context.max_bytes
        if known.get(id) == file.id:  # the bytes of an attachment never change
            return Unchanged(id, access, self._settings.data_class)
        if file.size > most:
            return too_large(id, file.title, file.size, most)
        try:
            content = self._api.download(file.id, most)
            self._faults = 0
        except TooLarge:
            return too_large(id, file.title, file.size, most)
        except SourceFault as fault:
            return self._failed(id, file.title, fault)
        if content is None:
            return Deletion(id)
        return self._made(issue, id, file.title, content, mime_of(file.title), file.id, access)

    def _made(
        self,
        issue: Issue,
        id: str,
        title: str,
        content: bytes,
        mime: str,
        version: str,
        access: Access,
    ) -> Document:
        return Document(
            id=id,
            title=title,
            content=content,
            mime=mime,
            version=version,
            access=access,
            data_class=self._settings.data_class,
            url=f"{self._settings.url}/browse/{issue.key}",
            space=self.projects[issue.project].name,
            modified_at=moment(issue.updated),
        )

    def _failed(self, id: str, name: str, fault: SourceFault) -> Failure:
        self._faults += 1
        if self._faults >= FAULTS_IN_A_ROW:
            raise fault
        return Failure(id, name, fault.message, fault.fix)

    def _files(self, issue: Issue) -> tuple[Attachment, ...]:
        if not self._settings.attachments:
            return ()
        return tuple(file for file in issue.attachments if mime_of(file.title))


def chosen_projects(api: JiraApi, settings: JiraSettings) -> list[Project]:
    """Archived projects are never among them."""
    named = {key.strip().upper() for key in settings.projects if key.strip()}
    excluded = {key.strip().upper() for key in settings.exclude}
    found = sorted(api.projects(), key=lambda project: (len(project.id), project.id))
    return [
        p for p in found if p.key.upper() not in excluded and (not named or p.key.upper() in named)
    ]
