"""The git connector: the contract, increments by commits against git's own listing, readers, and what is not read."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.contract import (
    Access,
    AccessChange,
    Change,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Listed,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.git import GitConnector, tree
from connectors.git.settings import GitSettings
from connectors.suite import ConnectorContract, listing
from tests.connectors.git_repository import Repository

EVERYONE = "[access]\neveryone = true\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/switchboard/git"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "handbook")
    repository.write("policies/travel.md")
    repository.write("policies/leave.txt", "Leave is 28 days.")
    repository.write("plan.html", "<h1>Plan</h1><p>Secret.</p>")
    repository.commit()
    return repository


def git(repository: Repository, **settings: object) -> GitConnector:
    given = {"url": str(repository.root), "everyone": True, **settings}
    return GitConnector(GitSettings.model_validate(given))


def with_access_files(repository: Repository, **settings: object) -> GitConnector:
    return git(repository, readers_from="access.toml", everyone=False, **settings)


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, repository: Repository) -> Connector:
        return git(repository)

    @pytest.fixture
    def broken_connector(self, tmp_path: Path) -> Connector:
        return GitConnector(GitSettings(url=str(tmp_path / "gone"), everyone=True))

    @pytest.fixture
    def changed_connector(self, repository: Repository) -> Callable[[], Connector]:
        def change() -> Connector:
            repository.write("policies/travel.md", "# Travel\n\nBy train from now on.")
            repository.write("policies/new.md")
            repository.git("rm", "-q", "policies/leave.txt")
            repository.commit()
            return git(repository)

        return change


class Platform:
    """What the platform holds after each sync: versions and readers by id, and the checkpoint."""

    def __init__(self) -> None:
        self.state: Mapping[str, object] = {}
        self.held: dict[str, tuple[str, Access]] = {}
        self.bodies = 0

    def sync(self, connector: Connector) -> list[Change]:
        known = {id: version for id, (version, _) in self.held.items()}
        changes = listing(connector, checkpoint=self.state, known=known).changes
        named: set[str] = set()
        for change in changes:
            match change:
                case Document():
                    self.held[change.id] = (change.version, change.access)
                    self.bodies += 1
                    named.add(change.id)
                case Unchanged():
                    self.held[change.id] = (self.held[change.id][0], change.access)
                    named.add(change.id)
                case Deletion():
                    self.held.pop(change.id, None)
                case Checkpoint():
                    self.state = change.state
                    if change.complete:
                        self.held = {id: self.held[id] for id in self.held if id in named}
        return changes


def expected(connector: Connector) -> dict[str, tuple[str, Access]]:
    return {line.id: (line.version, line.access) for line in connector.list_ids()}


def test_any_history_ends_in_what_git_lists(repository: Repository) -> None:
    """Additions, edits, removals, renames, changes of readers and rewritten history, in random order."""
    chance = random.Random(7)
    platform = Platform()
    for step in range(25):
        paths = sorted(repository.files())
        match chance.randrange(6):
            case 0 | 1:
                repository.write(f"d{chance.randrange(4)}/n{step}.md", f"# {step}")
            case 2 if paths:
                repository.write(chance.choice(paths), f"[access]\ngroups = ['g{step}']\n")
            case 3 if len(paths) > 2:
                repository.git("rm", "-q", chance.choice(paths))
            case 4 if paths:
                (repository.root / f"e{step}").mkdir()
                repository.git("mv", chance.choice(paths), f"e{step}/r{step}.md")
            case _:
                repository.write(f"d{chance.randrange(4)}/access.toml", f"# {step}\n{EVERYONE}")
        if step % 8 == 7:
            repository.git("reset", "-q", "--soft", "HEAD~2")  # rewritten: two commits become one
        repository.commit()
        connector = with_access_files(repository)
        platform.sync(connector)
        blobs = {p: blob for p, blob in repository.files().items() if not p.endswith(".toml")}
        assert {id: version for id, (version, _) in platform.held.items()} == blobs
        assert platform.held == expected(connector)
    assert len({access for _, access in platform.held.values()}) > 1


def test_only_what_lies_between_the_commits_is_sent(repository: Repository) -> None:
    for number in range(250):
        repository.write(f"many/{number}.md", f"# {number}")
    repository.commit()
    platform = Platform()
    first = platform.sync(git(repository))
    assert sum(isinstance(change, Checkpoint) for change in first) == 3
    repository.write("many/7.md", "# Other")
    repository.commit()
    again = platform.sync(git(repository))
    assert [(type(c), getattr(c, "id", "")) for c in again] == [
        (Document, "many/7.md"),
        (Checkpoint, ""),
    ]
    assert [type(c) for c in platform.sync(git(repository))] == [Checkpoint]


def test_a_rename_is_a_deletion_and_right_after_it_a_document_of_the_same_version(
    repository: Repository,
) -> None:
    platform = Platform()
    platform.sync(git(repository))
    version = platform.held["policies/travel.md"][0]
    repository.git("mv", "policies/travel.md", "plan-2.md")
    repository.write("policies/leave.txt", "Leave is 30 days.")
    repository.commit()
    changes = platform.sync(git(repository))
    at = changes.index(Deletion("policies/travel.md"))
    document = changes[at + 1]
    assert isinstance(document, Document)
    assert (document.id, document.version) == ("plan-2.md", version)


def test_a_run_cut_short_goes_on(repository: Repository) -> None:
    for number in range(150):
        repository.write(f"many/{number}.md", f"# {number}")
    repository.commit()
    seen: list[Change] = []
    for change in git(repository).changes({}, {}):
        seen.append(change)
        if isinstance(change, Checkpoint):
            break
    versions = {c.id: c.version for c in seen if isinstance(c, Document)}
    again = listing(git(repository), checkpoint=dict(seen[-1].state), known=versions)  # type: ignore[union-attr]
    assert len(versions) == 100
    assert again.documents.keys().isdisjoint(versions)
    assert again.present == repository.files().keys()
    assert again.checkpoints[-1].complete


def test_a_copy_made_anew_after_a_rewritten_history_lists_everything(
    repository: Repository, cache: Path
) -> None:
    platform = Platform()
    platform.sync(git(repository))
    repository.write("policies/travel.md", "# Rewritten")
    repository.git("rm", "-q", "plan.html")
    repository.git("add", "-A")
    repository.git("commit", "-q", "--amend", "-m", "Rewritten")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "-q", "--prune=now")
    (copy,) = cache.glob("*.git")
    copy.rename(copy.with_suffix(".lost"))
    changes = platform.sync(git(repository))
    assert isinstance(changes[-1], Checkpoint)
    assert changes[-1].complete
    assert platform.held == expected(git(repository))
    assert platform.held.keys() == repository.files().keys()


def ruin(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(b"\0" * file.stat().st_size)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no HEAD": lambda copy: (copy / "HEAD").unlink(),
    "a file in its place": lambda copy: (copy.rename(f"{copy}.old"), copy.write_text("x")),
    "objects gone": lambda copy: [f.unlink() for f in (copy / "objects").rglob("*") if f.is_file()],
    "objects zeroed": lambda copy: [ruin(f) for f in (copy / "objects").rglob("*") if f.is_file()],
    "objects cut": lambda copy: [
        f.chmod(0o600) or f.write_bytes(f.read_bytes()[:20])  # type: ignore[func-returns-value]
        for f in (copy / "objects").rglob("*")
        if f.is_file()
    ],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_copy_is_made_anew(repository: Repository, cache: Path, kind: str) -> None:
    platform = Platform()
    platform.sync(git(repository))
    (copy,) = cache.glob("*.git")
    DAMAGE[kind](copy)
    repository.write("new.md")
    repository.commit()
    with contextlib.suppress(SourceFault):  # damage met only in a file is repaired the next time
        platform.sync(git(repository))
    platform.sync(git(repository))
    assert platform.held.keys() == repository.files().keys()


def test_copies_that_nobody_uses_are_removed(repository: Repository, cache: Path) -> None:
    old, recent = cache / "old.git", cache / "recent.git"
    for folder in (old, recent):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    listing(git(repository))
    assert (old.exists(), recent.exists()) == (False, True)
    (copy,) = set(cache.glob("*.git")) - {recent}
    assert copy.stat().st_mode & 0o077 == 0, "it holds what only some may read"


def test_nobody_unless_the_settings_say_who(repository: Repository) -> None:
    closed = git(repository, everyone=False, data_class="confidential")
    assert {d.access for d in listing(closed).documents.values()} == {Access.nobody()}
    assert closed.validate()[1].outcome is Outcome.FAILED
    some = git(repository, everyone=False, groups=["sales"], users=["Ada@Example.test"])
    (access,) = {d.access for d in listing(some).documents.values()}
    assert access == Access(
        known=True,
        users=frozenset({"ada@example.test"}),
        groups=frozenset({"sales"}),
        company_groups=True,
    )


def test_access_files_in_the_repository_decide(repository: Repository) -> None:
    repository.write("access.toml", EVERYONE)
    repository.write("policies/access.toml", "[access]\ngroups = ['hr']\ndata_class = 'restricted'")
    repository.write("broken/access.toml", "[access\n")
    repository.write("broken/a.md")
    (repository.root / "linked").mkdir()
    (repository.root / "linked/access.toml").symlink_to("../access.toml")
    repository.write("linked/a.md")
    repository.commit()
    connector = with_access_files(repository)
    found = listing(connector)
    assert found.documents["plan.html"].access.everyone
    assert found.documents["policies/travel.md"].access.groups == {"hr"}
    assert found.documents["policies/travel.md"].data_class == "restricted"
    for path in ("broken/a.md", "linked/a.md"):
        assert found.documents[path].access == Access.nobody()
    failed = {c.id for c in found.changes if isinstance(c, Failure)}
    assert failed == {"broken/access.toml", "linked/access.toml"}
    assert connector.validate()[1].outcome is Outcome.FAILED


def test_a_change_of_readers_sends_no_content(repository: Repository) -> None:
    repository.write("access.toml", EVERYONE)
    repository.commit()
    platform = Platform()
    platform.sync(with_access_files(repository))
    told = list(with_access_files(repository).access({}))
    assert {c.id for c in told if isinstance(c, AccessChange)} == platform.held.keys()
    state = told[-1].state  # type: ignore[union-attr]
    assert list(with_access_files(repository).access(state)) == [Checkpoint(state)]
    repository.write("access.toml", "[access]\ngroups = ['hr']\n")
    repository.commit()
    assert {
        c.access for c in with_access_files(repository).access(state) if isinstance(c, AccessChange)
    } == {Access(known=True, groups=frozenset({"hr"}), company_groups=True)}
    bodies = platform.bodies
    platform.sync(with_access_files(repository))
    assert platform.bodies == bodies
    assert platform.held == expected(with_access_files(repository))
    platform.sync(git(repository))  # other readers by a setting
    assert {access.everyone for _, access in platform.held.values()} == {True}
    assert platform.bodies == bodies


def test_links_submodules_hidden_files_and_lfs_are_not_read(
    repository: Repository, tmp_path: Path
) -> None:
    other = Repository(tmp_path / "other")
    other.write("inner.md")
    other.commit()
    repository.git("submodule", "add", "-q", str(other.root), "module")
    (repository.root / "link.md").symlink_to("plan.html")
    (repository.root / "out.md").symlink_to("/etc/passwd")
    repository.write(".github/hidden.md")
    repository.write("code.py", "print()")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    repository.write("big.pdf", pointer)
    repository.commit()
    found = listing(git(repository))
    assert found.documents.keys() == {"policies/travel.md", "policies/leave.txt", "plan.html"}
    (failure,) = [c for c in found.changes if isinstance(c, Failure)]
    assert (failure.id, "Git LFS" in failure.cause) == ("big.pdf", True)
    message = git(repository).validate()[0].message
    assert "1 submodules are not read" in message
    assert "2 links are not followed" in message


def test_patterns_and_branches_select(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "draft/two")
    repository.write("policies/draft.md")
    repository.commit()
    repository.git("checkout", "-q", "main")
    assert "policies/draft.md" not in listing(git(repository)).documents
    draft = git(repository, branch="draft/two", include=["policies/**"], exclude=["*.txt"])
    assert listing(draft).documents.keys() == {"policies/travel.md", "policies/draft.md"}
    with pytest.raises(SourceFault) as fault:
        listing(git(repository, branch="gone"))
    assert "draft/two, main" in fault.value.fix
    assert git(repository, include=["*.rst"]).validate()[0].outcome is Outcome.FAILED


def test_dates_and_links_come_along(repository: Repository) -> None:
    repository.write("policies/r & d.md")
    repository.commit()
    repository.git("checkout", "-q", "-b", "side", "HEAD~1")
    repository.write("side.md")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "Merge", "side", day=20)
    template = "https://forge.test/acme/src/{branch}/{path}"
    found = listing(git(repository, link_template=template)).documents
    days = {id: d.modified_at for id, d in found.items()}
    assert days["policies/travel.md"] == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert days["policies/r & d.md"] == datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert days["side.md"] == datetime(2026, 1, 3, 12, tzinfo=UTC)
    assert (
        found["policies/r & d.md"].url == "https://forge.test/acme/src/main/policies/r%20%26%20d.md"
    )
    assert found["policies/r & d.md"].space == "Policies"


def test_a_tree_that_unfolds_without_end_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MOST_ENTRIES", 5_000)
    bomb = repository.git("rev-parse", "HEAD^{tree}")
    for _ in range(8):
        entries = "".join(f"040000 tree {bomb}\td{number}\n" for number in range(8))
        bomb = repository.git("mktree", given=entries)
    commit = repository.git("commit-tree", "-m", "Bomb", bomb)
    repository.git("update-ref", "refs/heads/bomb", commit)
    with pytest.raises(SourceFault, match="more than 5,000 files"):
        listing(git(repository, branch="bomb"))


def test_a_name_with_a_slash_cannot_pass_for_another_file(repository: Repository) -> None:
    repository.write("access.toml", EVERYONE)
    repository.write("hr/access.toml", "[access]\ngroups = ['hr']\n")
    repository.write("hr/pay.md")
    repository.commit()
    blob = repository.files()["plan.html"]
    raw = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(sha)
        for mode, name, sha in (
            (b"100644", b"access.toml", repository.files()["access.toml"]),
            (b"40000", b"hr", repository.git("rev-parse", "HEAD:hr")),
            (b"100644", b"hr/pay.md", blob),
            (b"100644", b"\xff.md", blob),
        )
    )
    (repository.root / ".git/raw").write_bytes(raw)
    made = repository.git("hash-object", "-w", "-t", "tree", "--literally", ".git/raw")
    commit = repository.git("commit-tree", "-m", "Hostile", made)
    repository.git("update-ref", "refs/heads/hostile", commit)
    found = listing(with_access_files(repository, branch="hostile"))
    assert found.documents.keys() == {"hr/pay.md"}
    assert found.documents["hr/pay.md"].access.groups == {"hr"}
    failed = [c.name for c in found.changes if isinstance(c, Failure)]
    assert failed == ["hr/pay.md", "\\xff.md"]


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("https://github.com/acme/h.git", "https://github.com/acme/h/blob/{branch}/{path}"),
        ("https://gitlab.acme.test/a/h", "https://gitlab.acme.test/a/h/-/blob/{branch}/{path}"),
        ("https://code.acme.test/a/h", ""),
        ("/srv/git/h.git", ""),
    ],
)
def test_links_of_known_forges(url: str, links: str) -> None:
    assert GitSettings(url=url).links == links


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "git@github.com:acme/h.git"},
        {"url": "ssh://git@github.com/acme/h.git"},
        {"url": "https://ada:secret@github.com/acme/h"},
        {"url": "handbook"},
        {"url": "/srv/h", "users": ["ada"]},
        {"url": "/srv/h", "link_template": "https://forge.test/"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"enter|leave|mail address|start with"):
        GitSettings.model_validate(settings)


def test_listed_lines_carry_versions(repository: Repository) -> None:
    lines = list(git(repository).list_ids())
    assert all(isinstance(line, Listed) for line in lines)
    assert {line.id: line.version for line in lines} == repository.files()
