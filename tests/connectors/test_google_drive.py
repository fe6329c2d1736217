"""Google Drive: the contract, who finds which file (against the server's own rules), changes, deletions, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.contract import (
    Access,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    Reader,
    SourceFault,
)
from connectors.google_drive import GoogleDriveConnector
from connectors.google_drive.content import table
from connectors.google_drive.settings import GoogleDriveSecrets, GoogleDriveSettings
from connectors.http import Http
from connectors.suite import ConnectorContract, listing
from tests.servers.google_drive_server import FOLDER, NOW, Account, DriveWorld, Grant, Item
from tests.servers.json_server import Fault, Reply

BOT = "bot@acme.test"
SHEET = "application/vnd.google-apps.spreadsheet"
SHORTCUT = "application/vnd.google-apps.shortcut"


@pytest.fixture
def world() -> Iterator[DriveWorld]:
    world = DriveWorld()
    for name in ("bot", "ada", "ben", "cho", "dan", "eve"):
        world.accounts[f"{name}@acme.test"] = Account(f"{name}@acme.test")
    world.accounts["sub@sub.test"] = Account("sub@sub.test")
    world.accounts["eve@acme.test"].suspended = True
    world.accounts["cho@acme.test"].aliases = ["c.hong@acme.test"]
    world.groups["team@acme.test"] = {"ada@acme.test", "inner@acme.test", "eve@acme.test"}
    world.groups["inner@acme.test"] = {"dan@acme.test", "team@acme.test", "guest@partner.test"}
    world.groups["company@acme.test"] = {"*"}
    world.group_aliases["crew@acme.test"] = "inner@acme.test"
    world.drives["D1"] = ("Handbook", [
        Grant("user", BOT, "organizer"), Grant("group", "team@acme.test"),
        Grant("user", "eve@acme.test"), Grant("user", "Ben@Acme.test".lower(), "organizer"),
    ])  # fmt: skip
    world.drives["D2"] = (
        "Deals",
        [Grant("user", BOT, "organizer"), Grant("user", "c.hong@acme.test")],
    )
    world.drives["D3"] = ("Not ours", [Grant("user", "ada@acme.test", "organizer")])
    add = world.add
    add(Item("F1", "Policies", "D1", "D1", mime=FOLDER))
    add(
        Item(
            "F2",
            "Board",
            "F1",
            "D1",
            mime=FOLDER,
            limited=True,
            grants=[Grant("user", "cho@acme.test")],
        )
    )
    add(Item("F3", "Shared", "D1", "D1", mime=FOLDER, grants=[Grant("group", "crew@acme.test")]))
    add(Item("travel", "Travel", "F1", "D1"))
    add(Item("minutes", "Minutes", "F2", "D1"))
    add(Item("plan", "Plan.md", "F3", "D1", mime="text/plain", content=b"# Plan"))
    add(Item("direct", "Direct", "F1", "D1", grants=[
        Grant("user", "sub@sub.test"), Grant("user", "guest@partner.test"),
        Grant("user", "cho@acme.test", expires=NOW - timedelta(days=1)),
        Grant("group", "outsiders@partner.test"), Grant("user", "x@acme.test", deleted=True)]))  # fmt: skip
    add(
        Item("links", "By link", "D2", "D2", grants=[Grant("anyone"), Grant("domain", "acme.test")])
    )
    add(Item("public", "Public", "D2", "D2", grants=[Grant("anyone", findable=True)]))
    add(
        Item(
            "domain",
            "For the domain",
            "D2",
            "D2",
            grants=[Grant("domain", "sub.test", findable=True)],
        )
    )
    add(Item("costs", "Costs", "D2", "D2", mime=SHEET, content=b"What,EUR\nTrain|x,12\n"))
    add(Item("short", "Shortcut", "F1", "D1", mime=SHORTCUT))
    add(Item("trash", "Old", "F1", "D1", trashed=True))
    add(Item("alien", "Alien", "D3", "D3"))
    add(
        Item(
            "mine",
            "Ada's notes",
            owner="ada@acme.test",
            grants=[Grant("group", "company@acme.test")],
        )
    )
    add(Item("private", "Ada's diary", owner="ada@acme.test", mime="text/html"))
    with world.http:
        yield world


def drive(
    world: DriveWorld, *, waits: list[float] | None = None, **settings: Any
) -> GoogleDriveConnector:
    pause = (waits if waits is not None else []).append
    chosen = {
        "subject": BOT,
        "people": ["Ada@acme.test"],
        "drive_url": f"{world.http.url}/drive/v3",
        "directory_url": f"{world.http.url}/admin",
    }
    return GoogleDriveConnector(
        GoogleDriveSettings.model_validate({**chosen, **settings}),
        GoogleDriveSecrets(key=SecretStr(world.key())),
        Context(http=Http(pause=pause, requests_per_minute=100_000), clock=lambda: world.now),
    )


def state(before: Any) -> Mapping[str, Any]:
    told: Mapping[str, Any] = before.checkpoints[-1].state
    return told


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: DriveWorld) -> Connector:
        return drive(world)

    @pytest.fixture
    def broken_connector(self, world: DriveWorld) -> Connector:
        world.http.faults.append(Fault("/drive/", Reply({"error": {}}, 500), 99))
        return drive(world)

    @pytest.fixture
    def changed_connector(self, world: DriveWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            world.items["travel"].content = b"<h1>By train</h1>"
            world.items["travel"].modified = "2026-01-19T09:00:00.000Z"
            world.changed("travel")
            world.add(Item("new", "New", "F1", "D1"))
            world.delete("plan")
            return drive(world)

        return change


def can_read(access: Access, groups: Mapping[str, frozenset[str]], email: str) -> bool:
    held: set[str] = set()
    for _ in groups:
        held |= {n for n, m in groups.items() if email in m or m & {f"group:{h}" for h in held}}
    inside = access.known and (email in access.users or bool(access.groups & held))
    return inside and all(can_read(part, groups, email) for part in access.also)


def compare(world: DriveWorld, *, links: bool = False) -> set[str]:
    connector = drive(world, links=links)
    groups = connector.groups()
    listed = {line.id: line.access for line in connector.list_ids()}
    read = {id: d.access for id, d in listing(connector).documents.items()}
    assert read == listed
    for email in [*world.accounts, "guest@partner.test", "nobody@else.test"]:
        for id, access in listed.items():
            item = world.items[id]
            expected = world.opens(email, item) if links else world.sees(email, item)
            assert can_read(access, groups, email) == expected, (email, id)
    return set(listed)


def test_everybody_finds_what_is_shared_with_them_and_nothing_else(world: DriveWorld) -> None:
    assert compare(world) == {
        *("travel", "minutes", "plan", "direct", "links", "public", "domain", "costs"),
        *("mine", "private"),
    }
    compare(world, links=True)
    world.items["F2"].limited = False
    world.items["F1"].grants.append(Grant("user", "sub@sub.test"))
    world.groups["inner@acme.test"].discard("dan@acme.test")
    world.now = NOW + timedelta(minutes=1)
    world.items["travel"].limited = True
    compare(world)


@pytest.mark.parametrize("mark", [{"view": "metadata"}, {"inheritedPermissionsDisabled": True}])
def test_each_mark_of_a_limited_folder_suffices(world: DriveWorld, mark: dict[str, Any]) -> None:
    world.name_only = mark
    compare(world)


def test_sharing_ends_when_it_expires(world: DriveWorld) -> None:
    world.items["travel"].grants.append(
        Grant("user", "cho@acme.test", expires=NOW + timedelta(hours=1))
    )
    before = {line.id: line.access for line in drive(world).list_ids()}
    assert "cho@acme.test" in before["travel"].users
    world.now = NOW + timedelta(hours=2)
    after = {line.id: line.access for line in drive(world).list_ids()}
    assert "cho@acme.test" not in after["travel"].users


def test_drive_is_asked_as_the_person(world: DriveWorld) -> None:
    connector = drive(world)
    for email, account in world.accounts.items():
        for id in ("minutes", "direct", "private"):
            expected = world.opens(email, world.items[id]) and not account.suspended
            assert connector.may_read(id, Reader(email)) == expected, (email, id)


def test_sharing_that_cannot_be_seen_is_for_nobody(world: DriveWorld) -> None:
    hidden = Reply({"error": {"errors": [{"reason": "insufficientFilePermissions"}]}}, 403)
    world.http.faults.append(Fault("/files/D1/permissions", hidden, 99))
    documents = listing(drive(world)).documents
    assert documents["travel"].access == Access.nobody()
    checks = {check.name: check for check in drive(world).validate()}
    assert checks["permissions"].outcome is Outcome.FAILED
    assert "Handbook" in checks["permissions"].message


def test_a_folder_asks_once_for_all_its_files(world: DriveWorld) -> None:
    for number in range(20):
        world.add(Item(f"more{number}", f"More {number}", "F1", "D1"))
    world.page = 100
    list(drive(world).list_ids())
    asked = [path for path in world.http.paths() if path.endswith("/permissions")]
    assert len(asked) == len(set(asked)) <= 9


def test_google_documents_are_exported_and_tables_turned(world: DriveWorld) -> None:
    documents = listing(drive(world)).documents
    assert documents["travel"].mime == "text/html"
    assert (documents["plan"].mime, documents["plan"].content) == ("text/markdown", b"# Plan")
    assert (
        documents["costs"].content
        == b"# Costs\n\n| What | EUR |\n| --- | --- |\n| Train\\|x | 12 |"
    )
    assert documents["travel"].url == "https://drive.google.com/open?id=travel"
    assert (documents["travel"].space, documents["mine"].space) == (
        "Handbook",
        "Files of ada@acme.test",
    )


def test_a_hostile_table_stays_a_table() -> None:
    text = table(b'a,b\n"x\n# Heading",|\n\xff\x00', "Name\n# two").decode()
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Name # two"]


def test_changes_are_told_by_drive(world: DriveWorld) -> None:
    before = listing(drive(world))
    assert before.checkpoints[-1].complete
    world.items["plan"].trashed = True
    world.changed("plan")
    world.items["travel"].grants.append(Grant("user", "sub@sub.test"))
    world.changed("travel")
    world.http.requests.clear()
    after = listing(drive(world), checkpoint=state(before), known=before.versions)
    assert not after.checkpoints[-1].complete
    assert Deletion("plan") in after.changes
    (travel,) = [c for c in after.changes if getattr(c, "id", "") == "travel"]
    assert "sub@sub.test" in getattr(travel, "access").users  # noqa: B009
    assert "/drive/v3/files" not in world.http.paths()


def test_what_lies_in_a_folder_in_the_trash_is_not_listed(world: DriveWorld) -> None:
    world.items["F1"].trashed = True
    assert {line.id for line in drive(world).list_ids()} & {"travel", "minutes", "direct"} == set()


def test_a_change_token_that_no_longer_holds_lists_again(world: DriveWorld) -> None:
    before = listing(drive(world))
    corpora = {key: {**place, "token": "stale"} for key, place in state(before)["corpora"].items()}
    after = listing(drive(world), checkpoint={"corpora": corpora}, known=before.versions)
    assert after.present == before.present
    assert not after.documents


def test_a_listing_that_was_cut_off_goes_on(world: DriveWorld) -> None:
    whole, taken = listing(drive(world)), []
    for change in drive(world).changes({}, {}):
        taken.append(change)
        if len([c for c in taken if type(c).__name__ == "Checkpoint"]) == 2:
            break
    first = {c.id: c.version for c in taken if isinstance(c, Document)}
    rest = listing(drive(world), checkpoint=taken[-1].state, known=first)
    assert first
    assert rest.documents.keys() == whole.documents.keys() - first.keys()
    assert not rest.checkpoints[-1].complete


def test_files_of_drives_that_are_not_chosen_are_not_fetched_by_name(world: DriveWorld) -> None:
    connector = drive(world, drives=["handbook"], people=[])
    assert listing(connector).documents.keys() == {"travel", "minutes", "plan", "direct"}
    assert list(connector.refetch(["costs", "private", "alien"])) == [
        *(Deletion("costs"), Deletion("private"), Deletion("alien")),
    ]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("exportSizeLimitExceeded", "10 MB"),
        ("cannotDownloadAbusiveFile", "harmful"),
        ("cannotDownloadFile", "forbids"),
    ],
)
def test_a_file_that_google_keeps_back_fails_alone(
    world: DriveWorld, reason: str, words: str
) -> None:
    world.items["travel"].refuses = reason
    found = listing(drive(world))
    (failure,) = [c for c in found.changes if isinstance(c, Failure)]
    assert (failure.id, failure.name) == ("travel", "Travel")
    assert words in failure.cause
    assert failure.fix
    assert len(found.documents) == 9


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_a_spent_quota_is_waited_for(world: DriveWorld, reason: str) -> None:
    waits: list[float] = []
    busy = Reply({"error": {"code": 403, "errors": [{"reason": reason}]}}, 403)
    world.http.faults.append(Fault("/drive/v3/files", busy, 3))
    world.http.faults.append(Fault("/drive/v3/drives", Reply({}, 429, {"Retry-After": "5"})))
    assert len(listing(drive(world, waits=waits)).documents) == 10
    assert 5 + 3 * 0.25 <= sum(waits) <= 5 + 0.5 + 1 + 2


def test_a_token_that_ends_in_the_middle_is_bought_anew_once(world: DriveWorld) -> None:
    connector = drive(world)
    found = 0
    for change in connector.changes({}, {}):
        found += isinstance(change, Document)
        if found == 2:
            world.tokens.clear()
    assert found == 10
    always = Reply({"error": {"errors": [{"reason": "authError"}]}}, 401)
    world.http.faults.append(Fault("/drive/v3/drives", always, 99))
    world.http.requests.clear()
    with pytest.raises(SourceFault, match="401"):
        listing(connector)
    assert world.http.paths().count("/drive/v3/drives") == 2


def test_an_hour_later_a_new_token_is_bought_before_the_old_one_is_refused(
    world: DriveWorld,
) -> None:
    connector = drive(world)
    connector.validate()
    world.now = NOW + timedelta(minutes=59)
    world.http.requests.clear()
    connector.validate()
    assert "/token" in world.http.paths()


def test_missing_delegation_and_foreign_keys_are_named_and_never_shown(world: DriveWorld) -> None:
    world.delegated.clear()
    checks = drive(world).validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    assert "Domain-wide delegation" in checks[0].fix
    secret = json.loads(world.key())["private_key"]
    broken = drive(world)
    broken.secrets = GoogleDriveSecrets(key=SecretStr('{"type": "authorized_user"}'))
    with pytest.raises(SourceFault, match="not the JSON file"):
        listing(broken)
    shown = f"{checks}{drive(world).secrets}"
    assert secret[30:90] not in shown


def test_a_subject_that_is_gone_is_named(world: DriveWorld) -> None:
    world.accounts[BOT].suspended = True
    (content, *_) = drive(world).validate()
    assert content.outcome is Outcome.FAILED
    assert BOT in content.message


def test_people_need_addresses() -> None:
    with pytest.raises(ValidationError):
        GoogleDriveSettings(subject="a@b.test", people=("ada",))


def test_validate_says_what_it_saw(world: DriveWorld) -> None:
    checks = {check.name: check.message for check in drive(world).validate()}
    assert checks["content"] == "2 shared drives and the files of 1 people can be read."
    assert checks["groups"] == "6 active people and 3 groups."
