"""A folder on this machine (or mounted on it): markdown, text, HTML, PDF and Word files, readers from `access.toml` or from
the files' owners and groups."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from connectors.contract import (
    Access,
    AccessChange,
    Capability,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Limits,
    Listed,
    Outcome,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.folder.checks import content_check, groups_check, permissions_check
from connectors.folder.listing import AccessRules, Entry, Listing, PosixRules, Rules, Walk
from connectors.folder.posix import Accounts, Readers
from connectors.folder.selection import MIMES as MIMES
from connectors.folder.selection import Selection, mime_of, space_of
from connectors.folder.settings import FolderSettings as FolderSettings
from connectors.folder.watch import POLL_S, watch


class FolderConnector(Connector):
    kind = "folder"
    title = "Folder"
    description = "Files in a folder on the server; access.toml files, or owner and group, say who may read them."
    category = "Files"
    settings_model = FolderSettings
    settings: FolderSettings
    limits = Limits(permissions_every_s=60)

    @property
    def capabilities(self) -> frozenset[Capability]:
        without: set[Capability] = set()
        if not self._posix:
            without |= {Capability.GROUPS, Capability.LIVE_CHECK}
        if self.settings.watching == "no":
            without.add(Capability.WATCH)
        return super().capabilities - without

    def validate(self) -> list[Check]:
        try:
            listing = self._list()
        except SourceFault as fault:
            failed = Check("content", Outcome.FAILED, fault.message, fault.fix)
            names = ["permissions", "groups"] if self._posix else ["permissions"]
            return [failed, *(Check.not_checked(name) for name in names)]
        checks = [content_check(listing), permissions_check(listing, posix=self._posix)]
        return [*checks, groups_check(self._accounts)] if self._posix else checks

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Lists the whole folder each time; only new and changed files are read."""
        del checkpoint
        listing = self._list()
        yield from listing.failures
        total = len(listing.entries)
        for number, entry in enumerate(listing.entries, start=1):
            if self.context.cancelled():
                return
            self.context.progress(f"{number} of {total} files", number, total)
            yield self._change(entry, known.get(entry.path, ""))
        if not self.context.cancelled():
            yield Checkpoint(complete=True)

    def list_ids(self) -> Iterator[Listed]:
        for entry in self._list().entries:
            yield Listed(entry.path, "", entry.permission.access, entry.permission.data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Names every document each time: a walk reads no file."""
        del since
        for entry in self._list().entries:
            yield AccessChange(entry.path, entry.permission.access, entry.permission.data_class)
        if not self.context.cancelled():
            yield Checkpoint()

    def groups(self) -> Mapping[str, frozenset[str]]:
        self._list()  # meets the groups that are named
        return self._readers.groups()

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        listing = self._list(ids)
        found = {entry.path: entry for entry in listing.entries}
        failed = {failure.id: failure for failure in listing.failures}
        for id in ids:
            if self.context.cancelled():
                return
            if id in found:
                yield self._change(found[id], "")
            else:
                yield failed.get(id, Deletion(id))

    def may_read(self, document_id: str, reader: Reader) -> bool:
        entries = self._list([document_id]).entries
        access = entries[0].permission.access if entries else None
        groups = self._readers.groups()

        def admits(part: Access) -> bool:
            member = any(reader.email.lower() in groups.get(name, ()) for name in part.groups)
            return part.known and (part.everyone or reader.email.lower() in part.users or member)

        return access is not None and all(admits(part) for part in (access, *access.also))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        polling = self.settings.watching == "every 10 seconds"
        return watch(self._root(), changed, poll_s=POLL_S if polling else 0)

    @property
    def _posix(self) -> bool:
        return self.settings.readers_from == "owner and group"

    @cached_property
    def _accounts(self) -> Accounts:
        return Accounts.of(self.settings)

    @cached_property
    def _readers(self) -> Readers:
        return Readers(self._accounts, self.settings.others)

    def _rules(self) -> Rules:
        if not self._posix:
            return AccessRules()
        for name in ("_accounts", "_readers"):  # accounts of now, not of the last listing
            self.__dict__.pop(name, None)
        return PosixRules(self._readers, self.settings.data_class)

    def _list(self, wanted: Iterable[str] | None = None) -> Listing:
        some = None if wanted is None else frozenset(wanted)
        selection = Selection(self.settings.include, self.settings.exclude)
        return Walk(self._root(), selection, self.context.cancelled, some).run(self._rules())

    def _root(self) -> Path:
        path = self.settings.path.expanduser()
        try:
            root = path.resolve(strict=True)
            os.scandir(root).close()
        except FileNotFoundError:
            raise SourceFault(
                f"There is no folder {path}.", "Correct the path, or mount it, then sync again."
            ) from None
        except NotADirectoryError:
            raise SourceFault(f"{path} is no folder.", "Enter the folder's path.") from None
        except OSError as error:
            raise SourceFault(
                f"The folder {path} cannot be read ({error.strerror}).",
                "Give Switchboard's user the right to read it.",
            ) from None
        return root

    def _change(self, entry: Entry, known: str) -> Change:
        access, data_class = entry.permission.access, entry.permission.data_class
        try:
            status = entry.file.stat()
            stamp = f"{status.st_size}.{status.st_mtime_ns}"
            if known.endswith(f"@{stamp}"):
                return Unchanged(entry.path, access, data_class)
            if status.st_size > self.context.max_bytes:
                return too_large(entry.path, status.st_size, self.context.max_bytes)
            content = _read(entry.file, self.context.max_bytes)
        except OSError as error:
            cause = f"It cannot be read ({error.strerror})."
            return Failure(entry.path, entry.path, cause, "Give Switchboard's user read access.")
        digest = hashlib.sha256(content).hexdigest()[:32]
        if known.startswith(f"{digest}@"):  # touched, or copied back: the same bytes
            return Unchanged(entry.path, access, data_class)
        return Document(
            id=entry.path,
            title="",
            content=content,
            mime=mime_of(entry.path),
            version=f"{digest}@{stamp}",
            access=access,
            data_class=data_class,
            url=self._url(entry.path),
            space=space_of(entry.path),
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )

    def _url(self, path: str) -> str:
        base = self.settings.link_base.rstrip("/")
        return f"{base}/{quote(path)}" if base else ""


def too_large(path: str, size: int, limit: int) -> Failure:
    cause = f"It has {size / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB."
    return Failure(path, path, cause, "Split it, or exclude it.")


def _read(file: Path, limit: int) -> bytes:
    """Refuses what is no regular file (a pipe would block) and a link swapped in after the listing."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "not a regular file")
        return stream.read(limit + 1)
