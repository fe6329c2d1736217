"""A bare copy of one branch in this user's cache folder, brought up to date from the repository.

The copy is a cache: a damaged one is thrown away and made anew. Objects in git never change, so reading needs no lock; only
fetching does. Copies that nobody used for a month are removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.contract import Context, SourceFault
from connectors.git.remote import Remote

if TYPE_CHECKING:
    from dulwich.repo import Repo

UNUSED_S = 30 * 24 * 3600
WAIT_S = 0.1
NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


class Damaged(Exception):
    """The copy cannot be read."""


class Stopped(SourceFault):
    """The run was cancelled while it fetched."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the branch is: its commit as hexadecimal digits, and its name."""

    commit: bytes
    branch: str


@dataclass(frozen=True, slots=True)
class Clone:
    remote: Remote
    branch: str
    context: Context

    @contextlib.contextmanager
    def updated(self, check: Callable[[Repo, Head], None]) -> Iterator[tuple[Repo, Head]]:
        """The copy as the repository is now. `check` reads what will be needed; where it finds the copy damaged, another is
        made. Raises `SourceFault`."""
        with self._lock():
            try:
                repo, head = self._fetched(check)
            except Damaged:
                self.discard()
                try:
                    repo, head = self._fetched(check)
                except Damaged as error:
                    raise SourceFault(
                        f"{self.remote.url} cannot be read as a git repository ({error}).",
                        "Run git fsck on it; if it is sound, report this.",
                    ) from None
        try:
            yield repo, head
        finally:
            repo.close()

    def discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        name = hashlib.sha256(f"{self.remote.url}\n{self.branch}".encode()).hexdigest()[:32]
        return cache_folder() / f"{name}.git"

    def _fetched(self, check: Callable[[Repo, Head], None]) -> tuple[Repo, Head]:
        with damage_told():
            repo = self._open()
        try:
            with damage_told():
                head = self._fetch(repo)
                check(repo, head)
        except BaseException:
            repo.close()
            raise
        return repo, head

    def _open(self) -> Repo:
        from dulwich.repo import Repo

        if self.path.exists():
            os.utime(self.path)
            return Repo(str(self.path))
        _remove_unused(cache_folder())
        try:
            self.path.mkdir(mode=0o700)
            return Repo.init_bare(str(self.path))
        except OSError as error:
            raise _not_writable(error) from None

    def _fetch(self, repo: Repo) -> Head:
        from dulwich.objects import ObjectID
        from dulwich.refs import Ref

        chosen: list[bytes] = []

        def wanted(refs: Mapping[bytes, bytes | None], _depth: int | None = None) -> list[bytes]:
            chosen[:] = [self._pick(refs)]
            return [commit for commit in chosen if ObjectID(commit) not in repo.object_store]

        default = self.remote.fetch(repo, wanted, self._progress)
        name = self.branch or default
        here = Ref(b"refs/heads/switchboard")  # tells the next fetch what need not come again
        repo.refs[here] = ObjectID(chosen[0])
        return Head(chosen[0], name)

    def _pick(self, refs: Mapping[bytes, bytes | None]) -> bytes:
        name = b"refs/heads/" + self.branch.encode() if self.branch else b"HEAD"
        found = refs.get(name)
        if found is not None:
            return found
        branches = sorted(r[11:].decode(errors="replace") for r in refs if r[:11] == b"refs/heads/")
        if not branches:
            raise SourceFault(f"{self.remote.url} has no commits.", "Push one, then sync again.")
        raise SourceFault(
            f"{self.remote.url} has no branch {self.branch or 'by default'}.",
            f"Enter one that it has: {', '.join(branches[:10])}.",
        )

    def _progress(self, text: bytes) -> None:
        if self.context.cancelled():
            raise Stopped("Cancelled while fetching.", "Sync again.", passing=True)
        line = text.decode(errors="replace").strip()
        if line:
            self.context.progress(f"Fetching: {line.splitlines()[-1][:80]}", None, None)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One fetch at a time; content and permissions have clocks of their own."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stream = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise _not_writable(error) from None
        with stream:
            while not _locked(stream.fileno()):
                self._progress(b"")
                time.sleep(WAIT_S)
            yield


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()
    return root / "switchboard" / "git"


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """What a library raises over broken files becomes `Damaged`."""
    from dulwich.errors import (
        ChecksumMismatch,
        FileFormatException,
        NotGitRepository,
        WrongObjectException,
    )

    try:
        yield
    except (
        ChecksumMismatch,
        FileFormatException,
        NotGitRepository,
        WrongObjectException,
        LookupError,
        AssertionError,
        ValueError,
        EOFError,
        OSError,
        struct.error,
        zlib.error,
    ) as error:
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
            raise _not_writable(error) from None
        raise Damaged(error.__class__.__name__) from error


def _not_writable(error: OSError) -> SourceFault:
    return SourceFault(
        f"The cache folder {cache_folder()} cannot be written ({error.strerror}).",
        "Free space, or name another folder with the environment variable XDG_CACHE_HOME.",
    )


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - UNUSED_S
    for clone in folder.glob("*.git"):
        with contextlib.suppress(FileNotFoundError):
            if clone.stat().st_mtime < oldest:
                shutil.rmtree(clone, ignore_errors=True)
