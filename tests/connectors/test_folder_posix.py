"""Readers from owner, group and mode: compared with what the kernel itself lets each account read."""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from connectors.contract import Access, Capability, Connector, Outcome, Reader
from connectors.folder import FolderConnector
from connectors.folder.connector import FolderSettings
from connectors.suite import ConnectorContract, listing

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("find") is None, reason="changing owners needs root"
)
PEOPLE = ("daemon", "bin", "games", "mail", "news")  # accounts that every Debian has
MEMBERS = {"mail": ["games", "news"], "news": ["daemon"]}


@pytest.fixture(autouse=True)
def _group_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's groups with further members, as an administrator would add them."""
    real = grp.getgrgid

    def getgrgid(gid: int) -> grp.struct_group:
        found = real(gid)
        members = MEMBERS.get(found.gr_name, found.gr_mem)
        return grp.struct_group((found.gr_name, found.gr_passwd, found.gr_gid, members))

    monkeypatch.setattr(grp, "getgrgid", getgrgid)


def write(root: Path, path: str, owner: str, group: str, mode: int) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# Title\n\nText.")
    own(file, owner, group, mode)


def own(path: Path, owner: str, group: str, mode: int) -> None:
    os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    path.chmod(mode)


def folder(root: Path, **settings: object) -> FolderConnector:
    mails = [f"{name} = {name}@example.test" for name in PEOPLE]
    given = {"path": str(root), "readers_from": "owner and group", "mails": mails, **settings}
    return FolderConnector(FolderSettings.model_validate(given))


def kernel_lets_read(root: Path, account: str) -> set[str]:
    """`find` run as the account, with its groups."""
    entry = pwd.getpwnam(account)
    extra = [grp.getgrnam(name).gr_gid for name, members in MEMBERS.items() if account in members]
    run = subprocess.run(
        ["find", ".", "-type", "f", "-readable"],
        cwd=root,
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=extra,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return {line.removeprefix("./") for line in run.stdout.splitlines()}


def readable(connector: FolderConnector, mail: str) -> set[str]:
    groups = connector.groups()

    def admits(access: Access) -> bool:
        member = any(mail in groups[name] for name in access.groups)
        own = access.known and (access.everyone or mail in access.users or member)
        return own and all(admits(part) for part in access.also)

    return {c.id for c in connector.list_ids() if admits(c.access)}


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path: Path) -> Connector:
        own(tmp_path, "root", "root", 0o755)
        write(tmp_path, "a.md", "mail", "mail", 0o640)
        write(tmp_path, "b/c.md", "news", "news", 0o604)
        return folder(tmp_path, others="all accounts")

    @pytest.fixture
    def broken_connector(self, tmp_path: Path) -> Connector:
        return folder(tmp_path / "gone")


def test_each_account_finds_what_the_kernel_lets_it_read(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    files = [0o600, 0o640, 0o644, 0o604, 0o040, 0o044, 0o004, 0o440, 0o000, 0o666]
    folders = [0o755, 0o750, 0o705, 0o700, 0o711, 0o744, 0o055, 0o770]
    owners = [("mail", "news"), ("games", "mail"), ("root", "bin")]
    for (owner, group), mode in itertools.product(owners, folders):
        top = f"{owner}-{mode:o}"
        for number, file_mode in enumerate(files):
            by, of = owners[number % len(owners)]
            write(tmp_path, f"{top}/sub/{file_mode:o}.md", by, of, file_mode)
        own(tmp_path / top / "sub", "bin", "mail", 0o755 if mode != 0o770 else 0o750)
        own(tmp_path / top, owner, group, mode)
    connector = folder(tmp_path, others="all accounts")
    total = 0
    for name in PEOPLE:
        expected = kernel_lets_read(tmp_path, name)
        total += len(expected)
        assert readable(connector, f"{name}@example.test") == expected, name
    assert total > 100, "the world must let people read something"


@pytest.mark.parametrize(
    ("others", "mode", "expected"),
    [
        ("nobody", 0o644, Access.of(["mail@example.test"], ["posix-news"])),
        ("all accounts", 0o644, Access.of(["mail@example.test"], ["posix-news", "all-users"])),
        ("everyone", 0o644, Access(known=True, everyone=True)),
        ("everyone", 0o640, Access.of(["mail@example.test"], ["posix-news"])),
    ],
)
def test_others_mean_what_the_setting_says(
    tmp_path: Path, others: str, mode: int, expected: Access
) -> None:
    own(tmp_path, "root", "root", 0o755)
    write(tmp_path, "a.md", "mail", "news", mode)
    connector = folder(tmp_path, others=others, data_class="confidential")
    document = listing(connector).documents["a.md"]
    assert (document.access, document.data_class) == (expected, "confidential")


def test_service_accounts_and_unknown_owners_have_no_address(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    write(tmp_path, "service.md", "daemon", "daemon", 0o600)
    write(tmp_path, "stranger.md", "root", "root", 0o600)
    os.chown(tmp_path / "stranger.md", 54321, 54321)
    connector = folder(tmp_path, mails=[], mail_domain="@Example.test")
    assert {line.access for line in connector.list_ids()} == {Access.of()}
    check = connector.validate()[1]
    assert check.outcome is Outcome.INDETERMINATE
    assert "2 of 2 files have no reader" in check.message


def acl_for(uid: int) -> bytes:
    """user::r-- user:<uid>:r-- group::--- mask::r-- other::---, as acl(5) stores it."""
    entries = [(1, 4, 2**32 - 1), (2, 4, uid), (4, 0, 2**32 - 1), (16, 4, 2**32 - 1)]
    entries.append((32, 0, 2**32 - 1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def set_acl(path: Path) -> None:
    try:
        os.setxattr(path, "system.posix_acl_access", acl_for(8))
    except OSError:
        pytest.skip("the file system keeps no access control lists")


def test_an_access_control_list_means_nobody(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    write(tmp_path, "listed.md", "mail", "mail", 0o644)
    write(tmp_path, "plain.md", "mail", "mail", 0o644)
    write(tmp_path, "under/deep/a.md", "mail", "mail", 0o644)
    set_acl(tmp_path / "listed.md")
    set_acl(tmp_path / "under")
    connector = folder(tmp_path)
    known = {line.id: line.access.known for line in connector.list_ids()}
    assert known == {"listed.md": False, "plain.md": True, "under/deep/a.md": False}
    check = connector.validate()[1]
    assert check.outcome is Outcome.INDETERMINATE
    assert "2 of 3 files have an access control list" in check.message


def test_a_changed_mode_or_owner_is_a_change_of_readers_only(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    write(tmp_path, "a.md", "mail", "mail", 0o640)
    first = listing(folder(tmp_path))
    own(tmp_path / "a.md", "news", "bin", 0o600)
    again = listing(folder(tmp_path), known=first.versions)
    assert again.documents == {}
    assert again.present == {"a.md"}
    assert [line.access for line in folder(tmp_path).list_ids()] == [
        Access.of(["news@example.test"])
    ]


def test_the_kernel_is_asked_again_at_the_question(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    write(tmp_path, "in/a.md", "mail", "mail", 0o640)
    own(tmp_path / "in", "root", "root", 0o755)
    connector = folder(tmp_path)
    assert connector.may_read("in/a.md", Reader("Games@example.test"))
    assert not connector.may_read("in/a.md", Reader("bin@example.test"))
    own(tmp_path / "in", "root", "root", 0o700)
    assert not connector.may_read("in/a.md", Reader("games@example.test"))
    assert not connector.may_read("../a.md", Reader("games@example.test"))


def test_access_files_do_not_count_beside_owner_and_group(tmp_path: Path) -> None:
    own(tmp_path, "root", "root", 0o755)
    (tmp_path / "access.toml").write_text("[access]\neveryone = true\n")
    write(tmp_path, "a.md", "mail", "mail", 0o600)
    (line,) = folder(tmp_path).list_ids()
    assert (line.id, line.access) == ("a.md", Access.of(["mail@example.test"]))
    plain = FolderConnector(FolderSettings(path=tmp_path))
    assert {Capability.GROUPS, Capability.LIVE_CHECK}.isdisjoint(plain.capabilities)


def test_a_mistyped_line_is_refused() -> None:
    with pytest.raises(ValueError, match="is no line such as"):
        FolderSettings(path=Path("/tmp"), mails=("ada example",))
