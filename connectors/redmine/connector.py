"""The connector: what changed, what there is, who reads it, asked of Redmine with an administrator's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from connectors.contract import (
    Access,
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Listed,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.redmine.api import RedmineApi, wiki_path
from connectors.redmine.directory import Directory, chosen_projects, look
from connectors.redmine.listing import Entry, Listing
from connectors.redmine.readers import Readers
from connectors.redmine.render import commented
from connectors.redmine.settings import RedmineSecrets, RedmineSettings

OVERLAP = timedelta(minutes=2)
"""Issues changed this long before the last one seen are looked at again: a slow transaction shows late."""
FAULTS_IN_A_ROW = 3
"""So many documents that cannot be read, one after the other, are the source's fault and not theirs."""


class RedmineConnector(Connector):
    kind = "redmine"
    title = "Redmine"
    description = (
        "Issues with comments and files, wiki pages and news, for those who see them there."
    )
    category = "Tickets"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = RedmineSettings
    secrets_model = RedmineSecrets
    settings: RedmineSettings
    secrets: RedmineSecrets

    @property
    def _api(self) -> RedmineApi:
        key = self.secrets.api_key.get_secret_value()
        return RedmineApi(self.context, self.settings.url, key)

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", self._see_content),
            Check.attempt("permissions", self._see_permissions),
            Check.attempt("groups", self._see_groups),
        ]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Issues by their date of change, each page closed by a checkpoint; then wiki pages, news and files, whose lists
        are short and tell what changed. Issues with comments are read again every `reread_hours`."""
        listing, _ = self._look()
        started = self.context.clock()
        full = bool(checkpoint.get("full", False)) or self._is_time(checkpoint, started)
        resumed = bool(checkpoint.get("cursor"))
        latest = str(checkpoint.get("since", ""))
        since = str(checkpoint.get("cursor") or ("" if full else _before(latest)))
        reader = _Reader(listing, known, rereads=full)
        done = 0
        for issues, total in listing.issue_pages("updated_on", since):
            for entry in listing.of_issues(issues):
                if self.context.cancelled():
                    return
                yield reader.read(entry)
            done += len(issues)
            latest = max(latest, max(issue.updated for issue in issues))
            self.context.progress(f"{done} of {total} issues", done, total)
            yield Checkpoint({**checkpoint, "full": full, "cursor": latest})
        places: set[str] = set()
        for entry in listing.of_places():
            if self.context.cancelled():
                return
            yield reader.read(entry)
            places.add(entry.id)
            self.context.progress(f"{len(places)} wiki pages, news and files", None, None)
        # Unlike issues, these were all named.
        yield from (Deletion(id) for id in known if _of_a_place(id) and id not in places)
        state = {"since": latest, "read_all_at": checkpoint.get("read_all_at", "")}
        if full:
            state["read_all_at"] = started.isoformat()
        yield Checkpoint(state, complete=full and not resumed)

    def list_ids(self) -> Iterator[Listed]:
        listing, _ = self._look()
        for issues, _ in listing.issue_pages("issue_id", "0"):
            yield from map(self._listed, listing.of_issues(issues))
        yield from map(self._listed, listing.of_places())

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Readers of issues that changed; of everything, when the groups that issues name are others than before."""
        listing, readers = self._look()
        shape = readers.shape()
        everything = since.get("shape") != shape
        latest = str(since.get("since", ""))
        for issues, _ in listing.issue_pages("updated_on", "" if everything else _before(latest)):
            latest = max(latest, max(issue.updated for issue in issues))
            yield from map(self._access_change, listing.of_issues(issues))
        if everything:
            yield from map(self._access_change, listing.of_places())
        yield Checkpoint({"shape": shape, "since": latest})

    def groups(self) -> Mapping[str, frozenset[str]]:
        api = self._api
        return Readers(api, look(api, self.settings.projects)).groups()

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        listing, _ = self._look()
        reader = _Reader(listing, {}, rereads=True)
        for id in ids:
            yield reader.read(Entry(id, id, "", "", Access.nobody(), partial(listing.fetch, id)))

    def may_read(self, document_id: str, reader: Reader) -> bool:
        """Asks Redmine as that person. Somebody without an active account may nothing."""
        api = self._api
        path = _address(document_id)
        found = [user for user in api.users(reader.email) if user.mail == reader.email.lower()]
        if not path or len(found) != 1:
            return False
        return api.status(path, found[0].login) == 200

    def _look(self) -> tuple[Listing, Readers]:
        api = self._api
        directory = look(api, self.settings.projects)
        readers = Readers(api, directory)
        return Listing(api, self.settings, self.context, directory, readers), readers

    def _is_time(self, checkpoint: Mapping[str, Any], now: datetime) -> bool:
        read_at = str(checkpoint.get("read_all_at", ""))
        hours = timedelta(hours=self.settings.reread_hours)
        return not read_at or now - datetime.fromisoformat(read_at) >= hours

    def _listed(self, entry: Entry) -> Listed:
        return Listed(entry.id, entry.version, entry.access, self.settings.data_class)

    def _access_change(self, entry: Entry) -> AccessChange:
        return AccessChange(entry.id, entry.access, self.settings.data_class)

    def _see_content(self) -> str:
        api = self._api
        projects = chosen_projects(api, self.settings.projects)
        _, issues = api.issues({}, "id:asc")
        return f"{len(projects)} projects can be read; Redmine has {issues} issues in all."

    def _see_permissions(self) -> str:
        directory = look(self._api, self.settings.projects)
        if not directory.non_member:
            raise SourceFault(
                "Redmine's roles 'Non member' and 'Anonymous' cannot be told apart.",
                "People who are no members of a public project see nothing from it until they can be.",
            )
        return f"{len(directory.roles)} roles can be read; people are asked about as themselves."

    def _see_groups(self) -> str:
        directory: Directory = look(self._api, self.settings.projects)
        hidden = sum(1 for user in directory.users.values() if not user.mail)
        told = f"{len(directory.users)} active accounts and {len(directory.groups)} groups."
        return (
            f"{told} {hidden} accounts have no e-mail address and see nothing." if hidden else told
        )


class _Reader:
    """Entries as changes: unchanged, read, or failed; a row of failures is the source's."""

    def __init__(self, listing: Listing, known: Mapping[str, str], *, rereads: bool) -> None:
        self._listing = listing
        self._known = known
        self._rereads = rereads
        self._faults = 0

    def read(self, entry: Entry) -> Change:
        known = self._known.get(entry.id, "")
        if entry.stamp and known.startswith(entry.stamp) and not self._stale(entry, known):
            return Unchanged(entry.id, entry.access, self._listing.data_class)
        try:
            change = self._listing.attempt(entry)
        except SourceFault as fault:
            self._faults += 1
            if self._faults >= FAULTS_IN_A_ROW:
                raise
            return Failure(entry.id, entry.name, fault.message, fault.fix)
        self._faults = 0
        if isinstance(change, Document) and change.version == known:
            return Unchanged(change.id, change.access, change.data_class)
        return change

    def _stale(self, entry: Entry, known: str) -> bool:
        return self._rereads and not entry.version and commented(known)


def _of_a_place(id: str) -> bool:
    return id.partition(":")[0] in {"wiki", "news", "files"}


def _before(moment: str) -> str:
    if not moment:
        return ""
    return f"{datetime.fromisoformat(moment) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"


def _address(id: str) -> str:
    """Where Redmine answers for a document; empty for an id that is none."""
    parent, _, attachment = id.partition("/attachment:")
    kind, _, rest = parent.partition(":")
    if attachment.isdecimal():
        return f"attachments/{attachment}.json"
    if kind in {"issue", "news"} and rest.isdecimal() and not attachment:
        return f"{kind if kind == 'news' else 'issues'}/{rest}.json"
    project, _, title = rest.partition(":")
    return (
        wiki_path(int(project), title) if kind == "wiki" and project.isdecimal() and title else ""
    )
