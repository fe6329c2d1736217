"""A bucket of S3-compatible storage, or a folder of one."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import quote

from connectors.contract import (
    AccessChange,
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
    SourceFault,
    Unchanged,
)
from connectors.folder.access import ACCESS_FILE, MAX_BYTES, Broken, Permission
from connectors.folder.globs import matches
from connectors.s3.api import Entry, NotFound, Storage, Unreadable
from connectors.s3.readers import AccessFileReaders, PrefixReaders, Readers
from connectors.s3.settings import S3Secrets, S3Settings

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": DOCX,
}
READ = frozenset(MIMES.values())
CHECKPOINT_EVERY = 100


class S3Connector(Connector):
    kind = "s3"
    title = "S3 storage"
    description = "Objects in S3-compatible storage: AWS, MinIO, Ceph and others."
    category = "Files"
    setup_help: ClassVar[str] = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = S3Settings
    secrets_model = S3Secrets
    settings: S3Settings
    secrets: S3Secrets
    limits = Limits(permissions_every_s=600)

    def validate(self) -> list[Check]:
        content = Check.attempt("content", self._look)
        if content.outcome is not Outcome.PASSED:
            return [content, Check.not_checked("permissions")]
        return [content, self._readers_check()]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Lists the whole folder each time; an object whose ETag is known is not fetched."""
        del checkpoint
        storage = self._storage()
        entries, readers = self._listing(storage)
        yield from readers.failures
        for number, entry in enumerate(entries, start=1):
            if self.context.cancelled():
                return
            self.context.progress(f"{number} of {len(entries)} objects", number, len(entries))
            permission = readers.of(entry.key)
            if known.get(entry.key) == entry.version:
                yield Unchanged(entry.key, permission.access, permission.data_class)
            elif (change := self._read(storage, entry.key, permission)) is not None:
                yield change
            if number % CHECKPOINT_EVERY == 0:
                yield Checkpoint()
        yield Checkpoint(complete=True)

    def list_ids(self) -> Iterator[Listed]:
        entries, readers = self._listing(self._storage())
        for entry in entries:
            permission = readers.of(entry.key)
            yield Listed(entry.key, entry.version, permission.access, permission.data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Every object's readers, each time: a listing is a request for a thousand of them."""
        del since
        entries, readers = self._listing(self._storage())
        for entry in entries:
            permission = readers.of(entry.key)
            yield AccessChange(entry.key, permission.access, permission.data_class)
        yield Checkpoint()

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        storage = self._storage()
        readers = self._readers(storage)
        for id in ids:
            change = self._read(storage, id, readers.of(id)) if self._selected(id) else None
            yield change or Deletion(id)

    def _storage(self) -> Storage:
        return Storage(self.settings, self.secrets)

    def _listing(self, storage: Storage) -> tuple[list[Entry], Readers]:
        entries, access_files = [], []
        for entry in storage.entries():
            if entry.key.rpartition("/")[2] == ACCESS_FILE:
                access_files.append(entry.key)
            elif self._selected(entry.key):
                entries.append(entry)
        readers = self._readers(storage)
        if isinstance(readers, AccessFileReaders):
            readers.load(access_files)
        return entries, readers

    def _readers(self, storage: Storage) -> Readers:
        if self.settings.readers_from == "prefixes":
            return PrefixReaders(self.settings.readers, self.settings.data_class)
        return AccessFileReaders(self.settings.prefix, lambda key: _access_file(storage, key))

    def _selected(self, key: str) -> bool:
        """Objects whose name tells no kind are looked at: their metadata may tell it."""
        prefix = self.settings.prefix
        path = key.removeprefix(prefix)
        if not key.startswith(prefix) or not path or path.rpartition("/")[2] == ACCESS_FILE:
            return False
        if any(part.startswith(".") for part in path.split("/")):
            return False
        if PurePosixPath(path).suffix.lower() not in MIMES and mimetypes.guess_type(path)[0]:
            return False
        chosen = any(matches(path, pattern) for pattern in self.settings.include)
        return chosen and not any(
            matches(path, pattern) or matches(path, f"{pattern.rstrip('/')}/**")
            for pattern in self.settings.exclude
        )

    def _read(self, storage: Storage, key: str, permission: Permission) -> Change | None:
        """None for what is no document, or was deleted after the listing: it is simply not there."""
        try:
            body = storage.read(key, self.context.max_bytes)
        except NotFound:
            return None
        except Unreadable as error:
            return Failure(key, key, error.cause, error.fix)
        mime = MIMES.get(PurePosixPath(key).suffix.lower(), body.mime)
        if mime not in READ:
            return None
        if body.content is None:
            limit = self.context.max_bytes
            cause = f"It has {body.size / 1e6:.3g} MB; the limit is {limit / 1e6:.3g} MB."
            return Failure(key, key, cause, "Split it, or exclude it.")
        return Document(
            id=key,
            title="",
            content=body.content,
            mime=mime,
            version=body.version,
            access=permission.access,
            data_class=permission.data_class,
            url=self._url(key),
            space=_space(key.removeprefix(self.settings.prefix)),
            modified_at=body.modified_at,
        )

    def _url(self, key: str) -> str:
        base = self.settings.link_base.strip().rstrip("/")
        return f"{base}/{quote(key)}" if base else ""

    def _look(self) -> str:
        storage = self._storage()
        entries, _ = self._listing(storage)
        if not entries:
            raise SourceFault(
                "No object matches.",
                "Check the folder and the patterns; text, HTML, PDF and Word count.",
            )
        try:
            storage.read(entries[0].key, self.context.max_bytes)
        except NotFound:
            pass  # deleted since the listing
        except Unreadable as error:
            raise SourceFault(f"{entries[0].key}: {error.cause}", error.fix) from error
        return f"{len(entries)} objects can be listed."

    def _readers_check(self) -> Check:
        def look() -> str:
            entries, readers = self._listing(self._storage())
            if broken := list(readers.failures):
                raise SourceFault(f"{broken[0].name}: {broken[0].cause}", broken[0].fix)
            hidden = _hidden(entries, readers)
            if hidden:
                raise SourceFault(
                    f"{hidden} of {len(entries)} objects have no stated readers: nobody finds them.",
                    "Add a line with their prefix, or an access.toml beside or above them.",
                    passing=hidden < len(entries),
                )
            return "Every object has stated readers."

        return Check.attempt("permissions", look)


def _hidden(entries: Iterable[Entry], readers: Readers) -> int:
    return sum(not readers.of(entry.key).access.known for entry in entries)


def _access_file(storage: Storage, key: str) -> bytes | Broken | None:
    try:
        body = storage.read(key, MAX_BYTES)
    except NotFound:
        return None
    except Unreadable as error:
        return Broken(key, error.cause)
    if body.content is None:
        return Broken(key, "It is too large to be an access file.")
    return body.content


def _space(path: str) -> str:
    """The first folder, in words."""
    first, slash, _ = path.partition("/")
    return re.sub(r"[-_]+", " ", first).strip().capitalize() if slash else ""
