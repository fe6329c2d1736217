"""SharePoint and OneDrive: the contract, who finds which file (against the server's own rules), delta, deletions, and faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.contract import (
    Access,
    BadEvent,
    Connector,
    Context,
    Deletion,
    Document,
    Event,
    Failure,
    Outcome,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.http import Http
from connectors.sharepoint import SharePointConnector
from connectors.sharepoint.settings import SharePointSecrets, SharePointSettings
from connectors.suite import ConnectorContract, listing
from tests.servers.json_server import Fault, Reply
from tests.servers.sharepoint_server import (
    CLIENT,
    NOW,
    SECRET,
    STATE,
    TENANT,
    GraphWorld,
    Share,
    Thing,
)


@pytest.fixture
def world() -> Iterator[GraphWorld]:
    world = GraphWorld()
    world.account("ada", "ada@acme.test", "Ada.Love@acme.test")
    world.account("ben", "ben@acme.test", "ben@acme.test")
    world.account("cho", "cho@acme.test")
    world.account("eve", "eve@acme.test", "eve@acme.test", enabled=False)
    world.account("thief", "thief@acme.test", "ben@acme.test")  # shows Ben's address as its own
    world.account("gus", "gus_partner.test#EXT#@acme.test", "gus@partner.test", guest=True)
    world.groups = {
        "staff": {"ada", "inner", "eve"},
        "inner": {"cho", "gus", "staff"},
        "hr": {"ben"},
    }
    world.site_members = {"HR Members": "hr"}
    world.drives = {
        "d-hr": (
            "hr",
            "Documents",
            [Share("siteGroup", ("HR Members",), "write"), Share("siteGroup", ("HR Visitors",))],
        ),
        "d-all": ("intranet", "Documents", [Share("group", ("staff",)), Share("user", ("eve",))]),
        "d-ada": ("", "OneDrive", [Share("user", ("ada",), "owner")]),
    }
    world.onedrives = {"ada@acme.test": "d-ada"}
    add = world.add
    add(
        Thing(
            "folder", "Board", "d-all", folder=True, unique=True, shares=[Share("user", ("ben",))]
        )
    )
    add(Thing("news", "News.md", "d-all"))
    add(Thing("board", "Board.md", "d-all", parent="folder"))
    add(
        Thing(
            "guest",
            "Guest.md",
            "d-all",
            unique=True,
            shares=[Share("user", ("gus",)), Share("user", ("ada",), "restrictedView")],
        )
    )
    add(
        Thing(
            "links",
            "Links.md",
            "d-all",
            unique=True,
            shares=[
                Share("anonymous"),
                Share("organization"),
                Share("users", ("cho", "gus"), expires=NOW + timedelta(hours=1)),
            ],
        )
    )
    add(
        Thing(
            "late",
            "Late.html",
            "d-all",
            unique=True,
            shares=[Share("users", ("ada",), expires=NOW - timedelta(days=1))],
        )
    )
    add(
        Thing(
            "claims",
            "Claims.txt",
            "d-all",
            unique=True,
            shares=[
                Share("siteUser", ("i:0#.f|membership|cho@acme.test",)),
                Share("siteUser", ("c:0t.c|tenant|hr",)),
            ],
        )
    )
    add(
        Thing(
            "open",
            "Open.txt",
            "d-all",
            unique=True,
            shares=[Share("siteUser", ("c:0-.f|rolemanager|spo-grid-all-users/tenant-1",))],
        )
    )
    add(Thing("photo", "Photo.png", "d-all"))
    add(Thing("pay", "Pay.md", "d-hr"))
    add(Thing("diary", "Diary.md", "d-ada"))
    with world.http:
        yield world


def sharepoint(
    world: GraphWorld, *, waits: list[float] | None = None, **settings: Any
) -> SharePointConnector:
    pause = (waits if waits is not None else []).append
    chosen = {
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "people": ["Ada@acme.test"],
        "site_groups": ["HR Members = hr"],
        "graph_url": f"{world.http.url}/v1.0",
        "login_url": world.http.url,
    }
    return SharePointConnector(
        SharePointSettings.model_validate({**chosen, **settings}),
        SharePointSecrets(client_secret=SecretStr(SECRET), client_state=SecretStr(STATE)),
        Context(http=Http(pause=pause, requests_per_minute=100_000), clock=lambda: world.now),
    )


def state(before: Any) -> Mapping[str, Any]:
    told: Mapping[str, Any] = before.checkpoints[-1].state
    return told


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: GraphWorld) -> Connector:
        return sharepoint(world)

    @pytest.fixture
    def broken_connector(self, world: GraphWorld) -> Connector:
        world.http.faults.append(Fault("/v1.0/", Reply({"error": {}}, 500), 99))
        return sharepoint(world)

    @pytest.fixture
    def changed_connector(self, world: GraphWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            world.things["news"].content = b"# Fresh"
            world.touch("news")
            world.add(Thing("new", "New.md", "d-all"))
            world.delete("claims")
            return sharepoint(world)

        return change


def can_read(access: Access, groups: Mapping[str, frozenset[str]], email: str) -> bool:
    held: set[str] = set()
    for _ in groups:
        held |= {n for n, m in groups.items() if email in m or m & {f"group:{h}" for h in held}}
    inside = access.known and (email in access.users or bool(access.groups & held))
    return inside and all(can_read(part, groups, email) for part in access.also)


def compare(world: GraphWorld, *, links: bool = False) -> set[str]:
    connector = sharepoint(world, organization_links=links)
    groups = connector.groups()
    listed = {line.id: line.access for line in connector.list_ids()}
    assert {id: d.access for id, d in listing(connector).documents.items()} == listed
    for account in world.accounts.values():
        own = [account.mail.lower()] if account.guest else [account.upn]
        if account.id == "ada":
            own.append("ada.love@acme.test")  # the address that mail goes to is hers too
        for id, access in listed.items():
            expected = world.sees(account, world.things[id.partition("/")[2]], links)
            for email in own:
                assert can_read(access, groups, email) == expected, (email, id)
                assert connector.may_read(id, Reader(email)) == expected, (email, id)
    return {id.partition("/")[2] for id in listed}


def test_everybody_finds_what_is_shared_with_them_and_nothing_else(world: GraphWorld) -> None:
    assert compare(world) == {
        *("news", "board", "guest", "links", "late", "claims", "open", "pay", "diary"),
    }
    compare(world, links=True)
    world.things["folder"].unique = False
    world.groups["inner"].discard("cho")
    world.now = NOW + timedelta(hours=2)
    compare(world)


def test_an_address_that_another_account_shows_is_its_owners(world: GraphWorld) -> None:
    assert "thief@acme.test" not in sharepoint(world).groups()["group:hr"]
    world.groups["hr"] = {"thief"}
    assert sharepoint(world).groups()["group:hr"] == {"thief@acme.test"}


def test_site_groups_that_nobody_explained_count_for_nobody_and_are_named(
    world: GraphWorld,
) -> None:
    documents = listing(sharepoint(world, site_groups=[])).documents
    assert documents["d-hr/pay"].access == Access.of()
    checks = {check.name: check for check in sharepoint(world).validate()}
    assert checks["permissions"].outcome is Outcome.FAILED
    assert "HR Visitors" in checks["permissions"].message
    assert "HR Members" not in checks["permissions"].message
    with pytest.raises(ValidationError):
        SharePointSettings(tenant_id="t", client_id="c", site_groups=("HR Members",))


def test_sharing_that_cannot_be_seen_is_for_nobody(world: GraphWorld) -> None:
    world.hidden.add("news")
    assert listing(sharepoint(world)).documents["d-all/news"].access == Access.nobody()
    (permissions,) = [c for c in sharepoint(world).validate() if c.name == "permissions"]
    assert "cannot be seen" in permissions.message


def test_delta_tells_changes_deletions_and_names(world: GraphWorld) -> None:
    before = listing(sharepoint(world))
    assert before.checkpoints[-1].complete
    world.things["board"].shares.append(Share("user", ("cho",)))
    world.log.append(("d-all", "board"))
    world.things["open"].name = "Closed.txt"
    world.log.append(("d-all", "open"))
    world.delete("late")
    after = listing(sharepoint(world), checkpoint=state(before), known=before.versions)
    assert not after.checkpoints[-1].complete
    assert after.documents.keys() == {"d-all/open"}
    assert Deletion("d-all/late") in after.changes
    (board,) = [c for c in after.changes if isinstance(c, Unchanged)]
    assert board.access.users == {"ben@acme.test", "cho@acme.test"}


def test_a_forgotten_delta_link_names_everything_again(world: GraphWorld) -> None:
    before = listing(sharepoint(world))
    world.forgotten = len(world.log) + 1
    world.delete("late")
    after = listing(sharepoint(world), checkpoint=state(before), known=before.versions)
    assert after.present == before.present - {"d-all/late"}
    assert not after.documents
    assert "d-all/late" not in {line.id for line in sharepoint(world).list_ids()}


def test_a_listing_that_was_cut_off_goes_on(world: GraphWorld) -> None:
    whole, taken = listing(sharepoint(world)), []
    for change in sharepoint(world).changes({}, {}):
        taken.append(change)
        if len([c for c in taken if type(c).__name__ == "Checkpoint"]) == 2:
            break
    first = {c.id: c.version for c in taken if isinstance(c, Document)}
    rest = listing(sharepoint(world), checkpoint=taken[-1].state, known=first)
    assert first
    assert rest.documents.keys() == whole.documents.keys() - first.keys()
    assert not rest.checkpoints[-1].complete


def test_only_the_chosen_sites_are_read(world: GraphWorld) -> None:
    connector = sharepoint(world, sites=["https://acme.test/sites/hr/"], people=[])
    documents = listing(connector).documents
    assert documents.keys() == {"d-hr/pay"}
    assert documents["d-hr/pay"].space == "Hr / Documents"
    assert list(connector.refetch(["d-all/news", "d-ada/diary"])) == [
        *(Deletion("d-all/news"), Deletion("d-ada/diary")),
    ]


def test_malware_is_never_fetched(world: GraphWorld) -> None:
    world.things["news"].malware = True
    found = listing(sharepoint(world))
    (failure,) = [c for c in found.changes if isinstance(c, Failure)]
    assert (failure.id, "malware" in failure.cause) == ("d-all/news", True)
    assert "/v1.0/drives/d-all/items/news/content" not in world.http.paths()
    assert len(found.documents) == 8


def test_a_next_page_elsewhere_never_gets_the_token(world: GraphWorld) -> None:
    page = {"value": [], "@odata.nextLink": "https://evil.test/v1.0/delta"}
    world.http.faults.append(Fault("/root/delta", Reply(page)))
    with pytest.raises(SourceFault, match="another host"):
        listing(sharepoint(world))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_graph_is_waited_for(world: GraphWorld, status: int) -> None:
    waits: list[float] = []
    busy = Reply({"error": {"code": "tooManyRequests"}}, status, {"Retry-After": "7"})
    for path in ("/root/delta", "$batch", "/content"):
        world.http.faults.append(Fault(path, busy))
    assert len(listing(sharepoint(world, waits=waits)).documents) == 9
    assert sum(waits) == pytest.approx(21)


def test_what_is_throttled_within_a_batch_is_asked_alone(world: GraphWorld) -> None:
    whole = {id: d.access for id, d in listing(sharepoint(world)).documents.items()}
    world.busy_in_batch = {"news", "pay"}
    again = {id: d.access for id, d in listing(sharepoint(world)).documents.items()}
    assert again == whole


def test_a_token_that_ends_in_the_middle_is_bought_anew_once(world: GraphWorld) -> None:
    found = 0
    for change in sharepoint(world).changes({}, {}):
        found += isinstance(change, Document)
        if found == 2:
            world.tokens.clear()
    assert found == 9
    refused = Reply({"error": {"code": "InvalidAuthenticationToken"}}, 401)
    world.http.faults.append(Fault("/v1.0/sites", refused, 99))
    world.http.requests.clear()
    with pytest.raises(SourceFault, match="401"):
        listing(sharepoint(world))
    assert world.http.paths().count("/v1.0/sites") == 2


def test_an_hour_later_a_new_token_is_bought_before_the_old_one_is_refused(
    world: GraphWorld,
) -> None:
    connector = sharepoint(world)
    connector.validate()
    world.now = NOW + timedelta(minutes=59)
    world.http.requests.clear()
    connector.validate()
    assert f"/{TENANT}/oauth2/v2.0/token" in world.http.paths()


@pytest.mark.parametrize(
    ("code", "words"), [(7000222, "expired"), (7000215, "accept"), (90002, "no such tenant")]
)
def test_a_refused_secret_is_named_and_never_shown(
    world: GraphWorld, code: int, words: str
) -> None:
    world.secret_error = code
    connector = sharepoint(world)
    checks = connector.validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert words in fault.value.message
    shown = f"{checks}{fault.value.message}{fault.value.fix}{connector.secrets}"
    assert SECRET not in shown
    assert STATE not in shown


class TestEvents:
    def test_the_handshake_gets_its_token_back(self, world: GraphWorld) -> None:
        event = Event(b"", {}, {"validationToken": "opaque <token>"})
        assert sharepoint(world).handle_event(event).reply == b"opaque <token>"

    def test_a_notification_asks_for_changes_and_sharing(self, world: GraphWorld) -> None:
        body = {"value": [{"clientState": STATE, "resource": "/drives/d-all/root"}]}
        handled = sharepoint(world).handle_event(Event(json.dumps(body).encode()))
        assert (handled.content, handled.permissions) == (True, True)

    def test_a_wrong_state_is_refused_even_among_right_ones(self, world: GraphWorld) -> None:
        body = {"value": [{"clientState": STATE}, {"clientState": "guess"}]}
        for wrong in (body, {"value": []}, {"value": [{}]}):
            with pytest.raises(BadEvent):
                sharepoint(world).handle_event(Event(json.dumps(wrong).encode()))
