"""Documents of a branch: first all of them, then what lies between the commit of the last sync and the branch's now.

A document's id is its path and its version the blob's name, so a renamed file comes as a deletion and, right after it, a
document of the same version. Where the readers' rules changed, or the last commit is not in the copy (the copy was made
anew after a history was rewritten), everything is listed; known versions go without their content.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.contract import (
    AccessChange,
    Capability,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Event,
    Failure,
    Handled,
    Listed,
    SourceFault,
    Unchanged,
)
from connectors.folder.selection import mime_of, space_of
from connectors.git.checks import content_words, permissions_check
from connectors.git.clone import Clone, Damaged, Head, Stopped, damage_told
from connectors.git.events import handle_push
from connectors.git.history import Difference, differences, last_touched
from connectors.git.remote import Remote
from connectors.git.settings import GitSecrets, GitSettings
from connectors.git.tree import Entry, Files, Reader

if TYPE_CHECKING:
    from dulwich.repo import Repo

AT_ONCE = 100
LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Snapshot:
    repo: Repo
    head: Head
    files: Files

    @property
    def state(self) -> dict[str, str]:
        return {"commit": self.head.commit.decode(), "rules": self.files.rules}


class GitConnector(Connector):
    kind = "git"
    title = "Git repository"
    description = "Documents on a branch of a git repository, followed commit by commit."
    category = "Files"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = GitSettings
    secrets_model = GitSecrets
    settings: GitSettings
    secrets: GitSecrets

    @property
    def capabilities(self) -> frozenset[Capability]:
        told = bool(self.secrets.webhook_secret.get_secret_value())
        return super().capabilities - (set() if told else {Capability.EVENTS})

    def validate(self) -> list[Check]:
        found: list[Files] = []

        def look() -> str:
            with self._snapshot() as now:
                found.append(now.files)
                return content_words(now.files, now.head)

        content = Check.attempt("content", look)
        if not found:
            return [content, Check.not_checked("permissions")]
        return [content, permissions_check(found[0], self.settings)]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        with contextlib.suppress(Stopped), self._snapshot() as now:
            between = self._between(checkpoint, now) if known else None
            if between is None:
                yield from self._everything(now, known)
            else:
                yield from self._increment(now, checkpoint, between, known)

    def list_ids(self) -> Iterator[Listed]:
        with contextlib.suppress(Stopped), self._snapshot() as now:
            for entry in now.files.entries.values():
                access, data_class = entry.permission.access, entry.permission.data_class
                yield Listed(entry.path, entry.blob.decode(), access, data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Nothing while the rules are the same: a path's readers depend on nothing else."""
        with contextlib.suppress(Stopped), self._snapshot() as now:
            entries = now.files.entries.values() if since.get("rules") != now.files.rules else ()
            for entry in entries:
                if self.context.cancelled():
                    return
                yield AccessChange(entry.path, entry.permission.access, entry.permission.data_class)
            yield Checkpoint({"rules": now.files.rules})

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        with contextlib.suppress(Stopped), self._snapshot() as now:
            entries = [now.files.entries[id] for id in ids if id in now.files.entries]
            dates = self._dates(now, None, entries)
            failed = {failure.id: failure for failure in now.files.failures}
            for id in ids:
                entry = now.files.entries.get(id)
                yield self._change(now, entry, dates) if entry else failed.get(id, Deletion(id))

    def handle_event(self, event: Event) -> Handled:
        secret = self.secrets.webhook_secret.get_secret_value()
        return handle_push(event, secret, self.settings.branch)

    @property
    def _clone(self) -> Clone:
        token = self.secrets.token.get_secret_value()
        if token and not self.settings.keeps_token_private:
            raise SourceFault(
                f"{self.settings.url} would receive the token unencrypted.",
                "Enter the repository's https address.",
            )
        remote = Remote(self.settings.url, self.settings.username, token)
        return Clone(remote, self.settings.branch, self.context)

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        """The branch as it is now. A copy found damaged while it is in use is thrown away for the next time."""
        files: list[Files] = []

        def check(repo: Repo, head: Head) -> None:
            files.append(Reader(repo, self.settings).read(head.commit))

        clone = self._clone
        with clone.updated(check) as (repo, head):
            try:
                yield Snapshot(repo, head, files[-1])
            except Damaged:
                clone.discard()
                raise SourceFault(
                    "The local copy of the repository is damaged.",
                    "Nothing to do: the next sync makes another.",
                    passing=True,
                ) from None

    def _between(self, checkpoint: Mapping[str, Any], now: Snapshot) -> list[Difference] | None:
        """None where everything must be listed."""
        commit = checkpoint.get("commit")
        if checkpoint.get("rules") != now.files.rules or not isinstance(commit, str):
            return None
        try:
            with damage_told():
                return list(differences(now.repo, commit.encode(), now.head.commit))
        except Damaged:  # that commit is not here, or not whole
            return None

    def _everything(self, now: Snapshot, known: Mapping[str, str]) -> Iterator[Change]:
        """A run cut short begins anew: what is known by then goes without its content."""
        yield from now.files.failures
        entries = list(now.files.entries.values())
        yield from self._send(now, entries, {}, known, None)
        if not self.context.cancelled():
            yield Checkpoint(now.state, complete=True)

    def _increment(
        self,
        now: Snapshot,
        checkpoint: Mapping[str, Any],
        between: Iterable[Difference],
        known: Mapping[str, str],
    ) -> Iterator[Change]:
        files = now.files.entries
        changed = [files[d.new] for d in between if d.new in files]
        renamed = {d.new: d.old for d in between if d.old and d.old != d.new and d.new in files}
        for path in known:
            if path not in files and path not in renamed.values():
                yield Deletion(path)
        before = {new: Deletion(old) for new, old in renamed.items() if old in known.keys() - files}
        since = str(checkpoint["commit"]).encode()
        entries = sorted(changed, key=lambda entry: entry.path)
        yield from self._send(now, entries, dict(checkpoint), known, since, before)
        if not self.context.cancelled():
            yield Checkpoint(now.state)

    def _send(
        self,
        now: Snapshot,
        entries: Sequence[Entry],
        state: Mapping[str, Any],
        known: Mapping[str, str],
        since: bytes | None,
        before: Mapping[str, Deletion] | None = None,
    ) -> Iterator[Change]:
        """`state` goes with the checkpoints in between, from which a run cut short goes on; `before` are deletions that go
        right before the document they became."""
        fresh = [entry for entry in entries if known.get(entry.path) != entry.blob.decode()]
        dates = self._dates(now, since, fresh)
        for number, entry in enumerate(entries, start=1):
            if self.context.cancelled():
                return
            self.context.progress(f"{number} of {len(entries)} files", number, len(entries))
            if before and entry.path in before:
                yield before[entry.path]
            if known.get(entry.path) == entry.blob.decode():
                yield Unchanged(entry.path, entry.permission.access, entry.permission.data_class)
            else:
                yield self._change(now, entry, dates)
            if number % AT_ONCE == 0:
                yield Checkpoint(state)

    def _dates(
        self, now: Snapshot, since: bytes | None, entries: Iterable[Entry]
    ) -> dict[str, datetime]:
        with damage_told():
            return last_touched(now.repo, now.head.commit, since, [e.path for e in entries])

    def _change(self, now: Snapshot, entry: Entry, dates: Mapping[str, datetime]) -> Change:
        with damage_told():
            content = now.repo.object_store[entry.blob].as_raw_string()  # type: ignore[index]
        if content.startswith(LFS) and len(content) < 1024:
            fix = "Exclude it, or keep the file itself in the repository (git lfs migrate export)."
            return Failure(entry.path, entry.path, "Its content is kept by Git LFS.", fix)
        if len(content) > self.context.max_bytes:
            cause = f"It has {len(content) / 1e6:.0f} MB; the limit is {self.context.max_bytes / 1e6:.0f} MB."
            return Failure(entry.path, entry.path, cause, "Split it, or exclude it.")
        return Document(
            id=entry.path,
            title="",
            content=content,
            mime=mime_of(entry.path),
            version=entry.blob.decode(),
            access=entry.permission.access,
            data_class=entry.permission.data_class,
            url=self._url(now.head.branch, entry.path),
            space=space_of(entry.path),
            modified_at=dates.get(entry.path),
        )

    def _url(self, branch: str, path: str) -> str:
        template = self.settings.links
        return template.replace("{branch}", quote(branch)).replace("{path}", quote(path))
