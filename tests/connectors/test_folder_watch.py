"""A change in a watched folder is told within seconds, once, and never because a file was read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.contract import Capability, Deletion, SourceFault
from connectors.folder import FolderConnector
from connectors.folder.connector import FolderSettings
from connectors.folder.watch import Settled, watch
from connectors.suite import listing


class Calls:
    def __init__(self) -> None:
        self._called = threading.Semaphore(0)

    def __call__(self) -> None:
        self._called.release()

    def within(self, seconds: float) -> bool:
        return self._called.acquire(timeout=seconds)


def replaced(root: Path) -> None:
    (root / ".a.md.part").write_text("# New")
    (root / ".a.md.part").rename(root / "a.md")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda root: (root / "a.md").write_text("# Other"),
    "added": lambda root: (root / "sub/new.md").write_text("# New"),
    "removed": lambda root: (root / "a.md").unlink(),
    "moved": lambda root: (root / "a.md").rename(root / "sub/a.md"),
    "replaced": replaced,
    "readers": lambda root: (root / "access.toml").write_text("[access]\ngroups = ['hr']\n"),
    "mode": lambda root: (root / "a.md").chmod(0o600),
    "folder removed": lambda root: (root / "sub").rename(root.parent / "elsewhere"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.md").write_text("# Title")
    (root / "access.toml").write_text("[access]\neveryone = true\n")
    return root


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_told(root: Path, kind: str) -> None:
    calls = Calls()
    end = watch(root, calls, quiet_s=0.05)
    try:
        CHANGES[kind](root)
        assert calls.within(5)
    finally:
        end()


def test_reading_and_hidden_files_are_no_change(root: Path) -> None:
    calls = Calls()
    connector = FolderConnector(FolderSettings(path=root))
    end = watch(root, calls, quiet_s=0.05)
    try:
        assert listing(connector).documents
        (root / ".a.md.swp").write_text("x")
        (root / "program.py").write_text("x")
        told = calls.within(0.2)
        # Creating a file also changes its folder, which may tell; nothing may follow from reading alone.
        while told and calls.within(0.2):
            pass
        assert listing(connector).documents
        assert not calls.within(0.2)
    finally:
        end()


def test_a_looking_watch_sees_changes_too(root: Path) -> None:
    calls = Calls()
    end = watch(root, calls, poll_s=0.05, quiet_s=0.05)
    try:
        (root / "sub/new.md").write_text("# New")
        assert calls.within(5)
    finally:
        end()


def test_many_changes_are_one_call() -> None:
    calls = Calls()
    settled = Settled(calls, quiet_s=0.1, longest_s=5)
    for _ in range(100):
        settled.note()
    assert calls.within(5)
    assert not calls.within(0.2)
    settled.end()


def test_what_ended_tells_nothing(root: Path) -> None:
    calls = Calls()
    end = FolderConnector(FolderSettings(path=root)).watch(calls)
    end()
    (root / "a.md").write_text("# Other")
    assert not calls.within(0.2)


def test_watching_is_a_setting_and_needs_a_folder(root: Path) -> None:
    assert Capability.WATCH in FolderConnector(FolderSettings(path=root)).capabilities
    still = FolderConnector(FolderSettings(path=root, watching="no"))
    assert Capability.WATCH not in still.capabilities
    with pytest.raises(SourceFault, match="no folder"):
        FolderConnector(FolderSettings(path=root / "gone")).watch(Calls())


def test_single_documents_are_fetched_again(root: Path) -> None:
    (root / "sub/deep").mkdir()
    (root / "sub/deep/b.md").write_text("# B")
    connector = FolderConnector(FolderSettings(path=root))
    document = listing(connector).documents["sub/deep/b.md"]
    for hostile in ("../root/a.md", "/etc/passwd", "sub/../a.md", "sub/deep", "access.toml", ""):
        assert list(connector.refetch([hostile])) == [Deletion(hostile)]
    assert list(connector.refetch(["sub/deep/b.md"])) == [document]
