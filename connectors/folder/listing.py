"""Walks a folder: the files that the settings select, each with its readers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from connectors.contract import Access, Failure, SourceFault
from connectors.folder.access import (
    ACCESS_FILE,
    NOBODY,
    AccessFile,
    Broken,
    Permission,
    permission,
    read_access,
)
from connectors.folder.posix import ANYONE, Readers, has_acl
from connectors.folder.selection import Selection


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
    acls: int = 0
    """Files whose readers an access control list decides."""


class Rules(Protocol):
    """What is known about readers in one folder."""

    def below(self, folder: Path, relative: str, listing: Listing) -> Rules: ...

    def of(self, child: os.DirEntry[str], path: str, listing: Listing) -> Permission: ...


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The nearest access file decides, alone; `at` is its folder."""

    rules: AccessFile | Broken | None = None
    at: str = ""

    def below(self, folder: Path, relative: str, listing: Listing) -> AccessRules:
        own = read_access(folder, relative)
        if isinstance(own, Broken):
            fix = "Correct it; until then nobody finds the files it governs."
            listing.failures.append(Failure(own.path, own.path, own.cause, fix))
        return self if own is None else AccessRules(own, relative)

    def of(self, child: os.DirEntry[str], path: str, listing: Listing) -> Permission:
        del child, listing
        return permission(self.rules, path[len(self.at) :].lstrip("/"))


@dataclass(frozen=True, slots=True)
class PosixRules:
    """`passing` are those whom every folder so far lets through; unknown below an access control list."""

    readers: Readers
    data_class: str
    passing: Access = ANYONE

    def below(self, folder: Path, relative: str, listing: Listing) -> PosixRules:
        del relative, listing
        here = Access.nobody() if has_acl(str(folder)) else self.readers.of_folder(folder.lstat())
        return PosixRules(self.readers, self.data_class, self.passing & here)

    def of(self, child: os.DirEntry[str], path: str, listing: Listing) -> Permission:
        del path
        if not self.passing.known or has_acl(child.path):
            listing.acls += 1
            return NOBODY
        status = child.stat(follow_symlinks=False)
        return Permission(self.readers.of_file(status) & self.passing, self.data_class)


@dataclass(frozen=True, slots=True)
class Walk:
    """`wanted` narrows it to some paths, which keeps the walk short. It stops, short of the end, when `cancelled`."""

    root: Path
    selection: Selection
    cancelled: Callable[[], bool]
    wanted: frozenset[str] | None = None

    def run(self, rules: Rules) -> Listing:
        listing = Listing()
        self._folder(self.root, "", rules, listing)
        return listing

    def _folder(self, folder: Path, relative: str, above: Rules, listing: Listing) -> None:
        """Depth first, by name."""
        if self.cancelled():
            return
        try:
            rules = above.below(folder, relative, listing)
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
                self._link(child, path, listing)
            elif child.is_dir(follow_symlinks=False):
                if not self.selection.excludes(path) and self._leads_to_wanted(path):
                    self._folder(Path(child.path), path, rules, listing)
            elif child.is_file() and self._selects(path):
                self._file(child, path, rules, listing)

    def _file(self, child: os.DirEntry[str], path: str, rules: Rules, listing: Listing) -> None:
        with contextlib.suppress(FileNotFoundError):  # gone since the folder was listed
            listing.entries.append(Entry(path, Path(child.path), rules.of(child, path, listing)))

    def _link(self, link: os.DirEntry[str], path: str, listing: Listing) -> None:
        """A link inside the folder is skipped: its target is read where it lives, under its own rules."""
        relevant = self._selects(path) or (
            self.wanted is None and link.is_dir() and not self.selection.excludes(path)
        )
        if relevant and not _stays_inside(Path(link.path), self.root):
            cause = "It is a link that leads out of the folder, or nowhere."
            fix = "Copy the file into the folder, or exclude the link."
            listing.failures.append(Failure(path, path, cause, fix))

    def _selects(self, path: str) -> bool:
        return (self.wanted is None or path in self.wanted) and self.selection.takes(path)

    def _leads_to_wanted(self, folder: str) -> bool:
        wanted: Iterable[str] | None = self.wanted
        return wanted is None or any(path.startswith(f"{folder}/") for path in wanted)


def _stays_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False
