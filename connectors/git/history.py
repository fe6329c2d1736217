"""What lies between two commits, and when a file was last touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from connectors.git.tree import tree_of

if TYPE_CHECKING:
    from dulwich.diff_tree import TreeChange
    from dulwich.repo import Repo

MOST_COMMITS = 5_000
"""So far back the first sync looks for dates; a file untouched for longer has none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Paths before and after; one of them is empty for a file added or removed, they differ for one renamed."""

    old: str
    new: str


def differences(repo: Repo, old: bytes, new: bytes) -> Iterator[Difference]:
    """Between the files of two commits, which need not be related. Only a rename without a change of content is paired: what
    else moved is new content anyway. Raises LookupError where a commit is not here."""
    from dulwich.diff_tree import RenameDetector, tree_changes
    from dulwich.objects import ObjectID

    store = repo.object_store
    before, after = (ObjectID(tree_of(store[ObjectID(commit)])) for commit in (old, new))
    detector = RenameDetector(store, max_files=0)
    for change in tree_changes(store, before, after, rename_detector=detector):
        yield Difference(_path(change.old), _path(change.new))


def last_touched(
    repo: Repo, head: bytes, since: bytes | None, paths: Iterable[str]
) -> dict[str, datetime]:
    """When each path last changed; those not found within `MOST_COMMITS` are missing."""
    wanted, found = set(paths), dict[str, datetime]()
    if not wanted:
        return found
    from dulwich.objects import ObjectID

    exclude = [ObjectID(since)] if since else None
    walker = repo.get_walker(include=[ObjectID(head)], exclude=exclude)
    for entry in islice(walker, MOST_COMMITS):
        when = _moment(entry.commit.commit_time)
        for change in _flat(entry.changes()):
            path = _path(change.new)
            if path in wanted:
                wanted.discard(path)
                if when is not None:
                    found[path] = when
        if not wanted:
            break
    return found


def _flat(
    changes: Sequence[TreeChange] | Sequence[list[TreeChange | None]],
) -> Iterator[TreeChange]:
    """A merge tells, per path, how it differs from each parent; it counts if it differs from all of them."""
    for change in changes:
        if isinstance(change, list):
            yield from [one for one in change if one is not None][:1]
        else:
            yield change


def _path(entry: object) -> str:
    path = getattr(entry, "path", None)
    return path.decode(errors="backslashreplace") if isinstance(path, bytes) else ""


def _moment(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
