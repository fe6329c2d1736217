"""The folder connector: the contract, the nearest access file, and everything that must not be followed or read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.contract import Access, Connector, Failure, Outcome
from connectors.folder import FolderConnector
from connectors.folder.connector import FolderSettings
from connectors.folder.globs import matches
from connectors.suite import ConnectorContract, listing

EVERYONE = "[access]\neveryone = true\n"
NOBODY = Access.nobody()


def write(root: Path, path: str, content: str | bytes = "# Title\n\nText.") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def folder(root: Path, **settings: object) -> FolderConnector:
    return FolderConnector(FolderSettings.model_validate({"path": str(root), **settings}))


def access_of(root: Path, path: str) -> Access:
    return listing(folder(root)).documents[path].access


def failures(connector: Connector) -> dict[str, Failure]:
    return {c.id: c for c in listing(connector).changes if isinstance(c, Failure)}


class TestContract(ConnectorContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        write(tmp_path, "access.toml", EVERYONE)
        write(tmp_path, "policies/travel.md")
        write(tmp_path, "policies/leave.txt", "Leave is 28 days.")
        write(tmp_path, "closed/access.toml", '[access]\nusers = ["Ada@Example.test"]\n')
        write(tmp_path, "closed/plan.html", "<h1>Plan</h1><p>Secret.</p>")
        return tmp_path

    @pytest.fixture
    def connector(self, root: Path) -> Connector:
        return folder(root)

    @pytest.fixture
    def broken_connector(self, tmp_path: Path) -> Connector:
        return folder(tmp_path / "gone")

    @pytest.fixture
    def changed_connector(self, root: Path) -> Callable[[], Connector]:
        def change() -> Connector:
            write(root, "policies/travel.md", "# Travel\n\nBy train from now on.")
            write(root, "policies/new.md")
            (root / "policies/leave.txt").unlink()
            return folder(root)

        return change


def test_the_nearest_access_file_decides_alone(tmp_path: Path) -> None:
    write(tmp_path, "access.toml", EVERYONE)
    write(tmp_path, "open.md")
    write(tmp_path, "hr/access.toml", '[access]\ngroups = ["hr"]\ndata_class = "restricted"\n')
    write(tmp_path, "hr/deep/er/bands.md")
    assert access_of(tmp_path, "open.md").everyone
    bands = listing(folder(tmp_path)).documents["hr/deep/er/bands.md"]
    expected = Access(known=True, groups=frozenset({"hr"}), company_groups=True)
    assert (bands.access, bands.data_class) == (expected, "restricted")


def test_no_access_file_means_nobody(tmp_path: Path) -> None:
    write(tmp_path, "a/orphan.md")
    write(tmp_path, "b/access.toml", EVERYONE)
    document = listing(folder(tmp_path)).documents["a/orphan.md"]
    assert (document.access, document.data_class) == (NOBODY, "restricted")


@pytest.mark.parametrize(
    "content",
    [
        "[access\neveryone = true",
        "[access]\neveryone = 'perhaps'",
        "[access]\nevery_one = true",
        "[access]\nusers = ['no address']",
        "[access]\ndata_class = 'secret'",
        "[acess]\neveryone = true",
        "[[file]]\neveryone = true",
        b"\xff\xfe\x00broken",
        "x" * 300_000,
    ],
)
def test_a_broken_access_file_means_nobody_and_is_a_failure(
    tmp_path: Path, content: str | bytes
) -> None:
    write(tmp_path, "access.toml", EVERYONE)
    write(tmp_path, "hr/access.toml", content)
    write(tmp_path, "hr/bands.md")
    assert access_of(tmp_path, "hr/bands.md") == NOBODY
    assert failures(folder(tmp_path))["hr/access.toml"].cause
    assert folder(tmp_path).validate()[1].outcome is Outcome.FAILED


def test_file_rules_replace_the_readers_of_some_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        "access.toml",
        """
        [access]
        groups = ["sales"]
        data_class = "confidential"
        [[file]]
        match = "kit.md"
        everyone = true
        data_class = "internal"
        [[file]]
        match = "sub/*.md"
        users = ["ADA@example.test"]
        """,
    )
    for path in ("kit.md", "deep/kit.md", "plan.md", "sub/a.md", "sub/x/a.md"):
        write(tmp_path, path)
    found = listing(folder(tmp_path)).documents
    sales = frozenset({"sales"})
    assert found["kit.md"].access.everyone
    assert found["deep/kit.md"].access.everyone
    assert found["kit.md"].data_class == "internal"
    assert found["plan.md"].access.groups == found["sub/x/a.md"].access.groups == sales
    assert found["sub/a.md"].access.users == frozenset({"ada@example.test"})
    assert found["sub/a.md"].access.groups == frozenset()
    assert found["sub/a.md"].data_class == "confidential"


def test_only_selected_files_are_read(tmp_path: Path) -> None:
    write(tmp_path, "access.toml", EVERYONE)
    for path in ("a.md", "b.txt", "c.py", ".hidden.md", ".git/x.md", "drafts/d.md", "keep/e.MD"):
        write(tmp_path, path)
    assert listing(folder(tmp_path)).documents.keys() == {
        "a.md",
        "b.txt",
        "drafts/d.md",
        "keep/e.MD",
    }
    some = folder(tmp_path, include=["*.md", "*.MD"], exclude=["drafts"])
    assert listing(some).documents.keys() == {"a.md", "keep/e.MD"}
    assert folder(tmp_path, include=["*.rst"]).validate()[0].outcome is Outcome.FAILED


def test_links_never_lead_out_or_around_the_rules(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, "secret.md")
    root = tmp_path / "root"
    write(root, "access.toml", EVERYONE)
    write(root, "hr/access.toml", '[access]\ngroups = ["hr"]\n')
    write(root, "hr/bands.md")
    (root / "secret.md").symlink_to(outside / "secret.md")
    (root / "folder").symlink_to(outside)
    (root / "nowhere.md").symlink_to(root / "missing.md")
    (root / "bands.md").symlink_to(root / "hr/bands.md")
    (root / "loop").symlink_to(root)
    assert listing(folder(root)).documents.keys() == {"hr/bands.md"}
    assert failures(folder(root)).keys() == {"secret.md", "folder", "nowhere.md"}


def test_a_linked_access_file_is_not_trusted(tmp_path: Path) -> None:
    write(tmp_path, "rules/open.toml", EVERYONE)
    write(tmp_path, "root/a.md")
    (tmp_path / "root/access.toml").symlink_to(tmp_path / "rules/open.toml")
    assert access_of(tmp_path / "root", "a.md") == NOBODY


def test_a_pipe_or_an_unreadable_file_fails_alone(tmp_path: Path) -> None:
    write(tmp_path, "access.toml", EVERYONE)
    write(tmp_path, "a.md")
    os.mkfifo(tmp_path / "pipe.md")
    assert listing(folder(tmp_path)).documents.keys() == {"a.md"}


def test_spaces_links_and_dates_come_along(tmp_path: Path) -> None:
    write(tmp_path, "access.toml", EVERYONE)
    write(tmp_path, "human-resources/leave & more.md")
    write(tmp_path, "top.md")
    found = listing(folder(tmp_path, link_base="https://files.example.test/")).documents
    document = found["human-resources/leave & more.md"]
    assert document.space == "Human resources"
    assert document.url == "https://files.example.test/human-resources/leave%20%26%20more.md"
    assert document.modified_at is not None
    assert found["top.md"].space == ""


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b/c.md", "*.md", True),
        ("a/b/c.md", "a/*.md", False),
        ("a/b/c.md", "a/**/*.md", True),
        ("a/c.md", "a/**/*.md", True),
        ("a/b/c.md", "a/**", True),
        ("ab/c.md", "a/**", False),
        ("a/c.md", "**", True),
        ("c.md", "/c.md", True),
        ("c.md", "?.md", True),
        ("a+b(1).md", "a+b(1).md", True),
        ("C.md", "c.md", False),
    ],
)
def test_globs(path: str, pattern: str, expected: bool) -> None:
    assert matches(path, pattern) is expected
