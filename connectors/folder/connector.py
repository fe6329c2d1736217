"""A folder on this machine (or mounted on it): markdown, text, HTML, PDF and Word files, readers from `access.toml`."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.contract import (
    Change,
    Check,
    Checkpoint,
    Connector,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.folder.access import (
    ACCESS_FILE,
    AccessFile,
    Broken,
    Permission,
    permission,
    read_access,
)
from connectors.folder.globs import matches

MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
Rules = AccessFile | Broken | None


class FolderSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Path = Field(title="Folder", description="Absolute path on the server.")
    include: tuple[str, ...] = Field(
        default=("**",),
        title="Include",
        description="Patterns such as *.md or policies/**; a file must match one.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Exclude", description="Patterns of files to leave out."
    )
    link_base: str = Field(
        default="",
        title="Link base",
        description="Web address that the files are served under, for links in citations; empty for none.",
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that the settings select. `path` is relative to the root, with forward slashes."""

    path: str
    file: Path
    permission: Permission


@dataclass(slots=True)
class Listing:
    entries: list[Entry] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class FolderConnector(Connector):
    kind = "folder"
    title = "Folder"
    description = "Files in a folder on the server; access.toml files say who may read them."
    category = "Files"
    settings_model = FolderSettings
    settings: FolderSettings

    def validate(self) -> list[Check]:
        try:
            root = self._root()
            listing = self._list(root)
        except SourceFault as fault:
            failed = Check("content", Outcome.FAILED, fault.message, fault.fix)
            return [failed, Check("permissions", Outcome.INDETERMINATE, "Not checked.")]
        return [_content_check(listing), _permissions_check(listing)]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Lists the whole folder each time; only new and changed files are read."""
        del checkpoint
        listing = self._list(self._root())
        yield from listing.failures
        for number, entry in enumerate(listing.entries, start=1):
            if self.context.cancelled():
                return
            total = len(listing.entries)
            self.context.progress(f"{number} of {total} files", number, total)
            yield self._change(entry, known.get(entry.path, ""))
        yield Checkpoint(complete=True)

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

    def _list(self, root: Path) -> Listing:
        listing = Listing()
        self._walk(root, root, None, "", listing)
        return listing

    def _walk(
        self, root: Path, folder: Path, above: Rules, above_at: str, listing: Listing
    ) -> None:
        """Depth first, by name. `above` is the nearest access file so far and `above_at` its folder, relative."""
        relative = folder.relative_to(root).as_posix() if folder != root else ""
        own = read_access(folder, relative)
        rules, rules_at = (above, above_at) if own is None else (own, relative)
        if isinstance(own, Broken):
            fix = "Correct it; until then nobody finds the files it governs."
            listing.failures.append(Failure(own.path, own.path, own.cause, fix))
        try:
            children = sorted(os.scandir(folder), key=lambda child: child.name)
        except OSError as error:
            raise SourceFault(
                f"The folder {folder} cannot be read ({error.strerror}).",
                "Give Switchboard's user the right to read it, or exclude it.",
            ) from None
        for child in children:
            if child.name.startswith(".") or child.name == ACCESS_FILE:
                continue
            path = f"{relative}/{child.name}" if relative else child.name
            if child.is_symlink():
                # A link inside the folder is skipped: its target is read where it lives, under its own rules.
                if not _stays_inside(Path(child.path), root) and self._relevant(path, child):
                    listing.failures.append(_leaves(path))
            elif child.is_dir(follow_symlinks=False):
                if not self._excluded(path):
                    self._walk(root, Path(child.path), rules, rules_at, listing)
            elif child.is_file() and self._selected(path):
                from_rules = path[len(rules_at) :].lstrip("/")
                entry = Entry(path, Path(child.path), permission(rules, from_rules))
                listing.entries.append(entry)

    def _selected(self, path: str) -> bool:
        return (
            Path(path).suffix.lower() in MIMES
            and any(matches(path, pattern) for pattern in self.settings.include)
            and not self._excluded(path)
        )

    def _relevant(self, path: str, child: os.DirEntry[str]) -> bool:
        return self._selected(path) or (child.is_dir() and not self._excluded(path))

    def _excluded(self, path: str) -> bool:
        return any(
            matches(path, pattern) or matches(path, f"{pattern.rstrip('/')}/**")
            for pattern in self.settings.exclude
        )

    def _change(self, entry: Entry, known: str) -> Change:
        access, data_class = entry.permission.access, entry.permission.data_class
        try:
            status = entry.file.stat()
            stamp = f"{status.st_size}.{status.st_mtime_ns}"
            if known.endswith(f"@{stamp}"):
                return Unchanged(entry.path, access, data_class)
            if status.st_size > self.context.max_bytes:
                return _too_large(entry.path, status.st_size, self.context.max_bytes)
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
            mime=MIMES[Path(entry.path).suffix.lower()],
            version=f"{digest}@{stamp}",
            access=access,
            data_class=data_class,
            url=self._url(entry.path),
            space=_space(entry.path),
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )

    def _url(self, path: str) -> str:
        from urllib.parse import quote

        base = self.settings.link_base.rstrip("/")
        return f"{base}/{quote(path)}" if base else ""


def _content_check(listing: Listing) -> Check:
    if not listing.entries:
        fix = "Check the path and the patterns; markdown, text, HTML, PDF and Word files count."
        return Check("content", Outcome.FAILED, "No file matches.", fix)
    return Check("content", Outcome.PASSED, f"{len(listing.entries)} files can be read.")


def _permissions_check(listing: Listing) -> Check:
    broken = [failure for failure in listing.failures if failure.id.endswith(ACCESS_FILE)]
    if broken:
        message = f"{broken[0].name}: {broken[0].cause}"
        return Check("permissions", Outcome.FAILED, message, broken[0].fix)
    hidden = sum(not entry.permission.access.known for entry in listing.entries)
    if hidden:
        fix = f"Put an {ACCESS_FILE} beside or above them; connectors/README.md has the format."
        message = (
            f"{hidden} of {len(listing.entries)} files have no {ACCESS_FILE}: nobody finds them."
        )
        return Check("permissions", Outcome.INDETERMINATE, message, fix)
    return Check("permissions", Outcome.PASSED, f"Every file has an {ACCESS_FILE} above it.")


def _too_large(path: str, size: int, limit: int) -> Failure:
    cause = f"It has {size / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB."
    return Failure(path, path, cause, "Split it, or exclude it.")


def _read(file: Path, limit: int) -> bytes:
    """Refuses what is no regular file (a pipe would block) and a link swapped in after the listing."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "not a regular file")
        return stream.read(limit + 1)


def _leaves(path: str) -> Failure:
    cause = "It is a link that leads out of the folder, or nowhere."
    return Failure(path, path, cause, "Copy the file into the folder, or exclude the link.")


def _stays_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _space(path: str) -> str:
    """The first folder, in words; files at the root belong to no space."""
    first, slash, _ = path.partition("/")
    return re.sub(r"[-_]+", " ", first).strip().capitalize() if slash else ""
