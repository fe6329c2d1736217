"""What one commit holds: the files that the settings select, each with its readers."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.contract import Failure, SourceFault
from connectors.folder.access import (
    ACCESS_FILE,
    AccessFile,
    Broken,
    Permission,
    access_name,
    parse_access,
    permission,
)
from connectors.folder.selection import Selection
from connectors.git.settings import GitSettings

if TYPE_CHECKING:
    from dulwich.objects import TreeEntry
    from dulwich.repo import Repo

MOST_ENTRIES = 1_000_000
"""A tree may name one folder many times over: a few kilobytes can unfold to more than any memory holds."""
SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    blob: bytes
    permission: Permission


@dataclass(slots=True)
class Files:
    """`rules` is a digest: while it stays, a path keeps its readers and stays selected or not."""

    entries: dict[str, Entry] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    submodules: int = 0
    links: int = 0
    rules: str = ""


@dataclass(frozen=True, slots=True)
class _Folder:
    tree: bytes
    path: str
    rules: AccessFile | Broken | None = None
    rules_at: str = ""


class Reader:
    """Reads the trees of one commit. Raises what the library raises over a damaged repository."""

    def __init__(self, repo: Repo, settings: GitSettings) -> None:
        self._store = repo.object_store
        self._selection = Selection(settings.include, settings.exclude)
        stated = Permission(settings.access(), settings.data_class)
        self._stated = None if settings.readers_from == "access.toml" else stated
        self._digest = hashlib.sha256(_settings_that_matter(settings).encode())
        self._files = Files()
        self._left = MOST_ENTRIES

    def read(self, commit: bytes) -> Files:
        waiting = [_Folder(tree_of(self._store[commit]), "")]  # type: ignore[index]
        while waiting:
            waiting += self._folder(waiting.pop())
        self._files.entries = dict(sorted(self._files.entries.items()))
        self._files.rules = self._digest.hexdigest()
        return self._files

    def _folder(self, folder: _Folder) -> Iterator[_Folder]:
        children = list(self._store[folder.tree].iteritems())  # type: ignore[index, attr-defined]
        self._left -= len(children)
        if self._left < 0:
            raise SourceFault(
                f"The repository has more than {MOST_ENTRIES:,} files and folders.",
                "Sync a smaller repository, or split this one.",
            )
        for child in children:
            if child.path == ACCESS_FILE.encode() and self._stated is None:
                folder = self._with_rules(folder, child)
        for child in children:
            if not child.path.startswith(b".") and child.path != ACCESS_FILE.encode():
                yield from self._child(folder, child)

    def _with_rules(self, folder: _Folder, child: TreeEntry) -> _Folder:
        name = access_name(folder.path)
        self._digest.update(f"{name}\0{child.mode}\0{child.sha.decode()}\n".encode())
        rules: AccessFile | Broken = Broken(name, "It is no plain file.")
        if stat.S_ISREG(child.mode):
            rules = parse_access(self._store[child.sha].as_raw_string(), name)
        if isinstance(rules, Broken):
            fix = "Correct it; until then nobody finds the files it governs."
            self._files.failures.append(Failure(name, name, rules.cause, fix))
        return _Folder(folder.tree, folder.path, rules, folder.path)

    def _child(self, folder: _Folder, child: TreeEntry) -> Iterator[_Folder]:
        try:
            name = child.path.decode()
        except UnicodeDecodeError:
            name = ""
        path = f"{folder.path}/{name}" if folder.path else name
        if not name or "/" in name:
            self._misnamed(folder, child)
        elif child.mode == SUBMODULE:
            self._files.submodules += not self._selection.excludes(path)
        elif stat.S_ISLNK(child.mode):
            self._files.links += self._selection.takes(path)
        elif stat.S_ISDIR(child.mode):
            if not self._selection.excludes(path):
                yield _Folder(child.sha, path, folder.rules, folder.rules_at)
        elif stat.S_ISREG(child.mode) and self._selection.takes(path):
            readers = self._stated or permission(
                folder.rules, path[len(folder.rules_at) :].lstrip("/")
            )
            self._files.entries[path] = Entry(path, child.sha, readers)

    def _misnamed(self, folder: _Folder, child: TreeEntry) -> None:
        shown = child.path.decode(errors="backslashreplace")
        path = f"{folder.path}/{shown}" if folder.path else shown
        fix = "Rename it with letters in UTF-8 and without slashes."
        self._files.failures.append(Failure(path, path, "Its name cannot be read.", fix))


def tree_of(commit: object) -> bytes:
    """Raises LookupError for what is no commit."""
    tree = getattr(commit, "tree", None)
    if not isinstance(tree, bytes):
        raise LookupError("not a commit")
    return tree


def _settings_that_matter(settings: GitSettings) -> str:
    return settings.model_dump_json(exclude={"username", "link_template"})
