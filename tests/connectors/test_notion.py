"""Notion: the contract, stated readers by place, what is read of a page, edits, deletions, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.contract import (
    Access,
    AccessChange,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.http import Http
from connectors.notion import NotionConnector
from connectors.notion.settings import NotionSecrets, NotionSettings, notion_id
from connectors.suite import ConnectorContract, listing
from tests.servers.json_server import Fault, Reply
from tests.servers.notion_server import (
    TOKEN,
    WORKSPACE,
    NotionWorld,
    Page,
    block,
    in_page,
    rich,
    uuid,
)

HOME, TRAVEL, PAY, BANDS, ROW, BOXED, STRAY, BENEATH = range(1, 9)
DATABASE, SOURCE, COLUMN = 50, 51, 60


@pytest.fixture
def world() -> Iterator[NotionWorld]:
    world = NotionWorld()
    world.add(HOME, "Home", WORKSPACE, "Welcome to the handbook.")
    world.add(TRAVEL, "Travel", in_page(HOME), "Hotels up to 180 euros.")
    world.add(PAY, "Pay", in_page(HOME), "How pay works.")
    world.add(BANDS, "Bands", in_page(PAY), "Band four: 61,000 euros.")
    world.source(SOURCE, DATABASE, "Projects", in_page(PAY))
    row = world.add(ROW, "Heron", {"type": "data_source_id", "data_source_id": uuid(SOURCE)})
    row.parent["database_id"] = uuid(DATABASE)
    row.properties = {
        "State": {"type": "status", "status": {"name": "Running"}},
        "Team": {"type": "multi_select", "multi_select": [{"name": "Hydro"}, {"name": "Sales"}]},
        "Due": {"type": "date", "date": {"start": "2026-05-01", "end": None}},
        "Budget": {"type": "number", "number": 12000},
        "Secret sum": {"type": "rollup", "rollup": {"type": "number", "number": 999}},
    }
    world.add(BOXED, "Boxed", {"type": "block_id", "block_id": uuid(COLUMN)}, "In a column.")
    world.holders[COLUMN] = in_page(PAY)
    world.add(STRAY, "Stray", in_page(99), "Its parent is not shared.")
    world.add(BENEATH, "Beneath", in_page(STRAY), "Below the stray page.")
    with world.http:
        yield world


def notion(
    world: NotionWorld, *, waits: list[float] | None = None, **settings: Any
) -> NotionConnector:
    pause = (waits if waits is not None else []).append
    given = {"groups": ["staff"], "api_url": world.http.url, **settings}
    return NotionConnector(
        NotionSettings.model_validate(given),
        NotionSecrets(token=SecretStr(TOKEN)),
        Context(http=Http(pause=pause, requests_per_minute=1_000_000), clock=lambda: world.now),
    )


def group(*names: str) -> Access:
    return Access(known=True, groups=frozenset(names), company_groups=True)


def text(connector: Connector, number: int) -> str:
    return listing(connector).documents[uuid(number)].content.decode()


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: NotionWorld) -> Connector:
        return notion(world)

    @pytest.fixture
    def broken_connector(self, world: NotionWorld) -> Connector:
        world.http.faults.append(Fault("/v1", Reply({}, 500), 99))
        return notion(world)

    @pytest.fixture
    def changed_connector(self, world: NotionWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            world.now += timedelta(hours=2)
            edit(world, TRAVEL, "Hotels up to 200 euros.")
            world.add(20, "New", in_page(HOME), "A new page.").edited = world.now
            world.pages[BANDS].trashed = True
            world.now += timedelta(hours=1)
            return notion(world)

        return change


def edit(world: NotionWorld, number: int, words: str) -> Page:
    page = world.pages[number]
    page.blocks = [block(number * 1000, "paragraph", words)]
    page.edited = world.now
    return page


# --- Who may read ---


def test_without_a_statement_nothing_is_read_and_the_check_says_so(world: NotionWorld) -> None:
    connector = notion(world, groups=[])
    with pytest.raises(SourceFault, match="no readers are stated"):
        listing(connector)
    with pytest.raises(SourceFault):
        list(connector.access({}))
    permissions = next(c for c in connector.validate() if c.name == "permissions")
    assert permissions.outcome is Outcome.FAILED
    assert not [r for r in world.http.requests if "children" in r.path]


def test_the_nearest_part_decides(world: NotionWorld) -> None:
    address = f"https://www.notion.so/acme/Pay-{uuid(PAY).replace('-', '')}?pvs=4"
    parts = [f"{address}: hr, Ruth@Example.com", f"{uuid(BANDS)}: nobody", f"{uuid(STRAY)}: ops"]
    found = listing(notion(world, parts=parts)).documents
    hr = Access(
        known=True,
        users=frozenset({"ruth@example.com"}),
        groups=frozenset({"hr"}),
        company_groups=True,
    )
    expected = {
        HOME: group("staff"),
        TRAVEL: group("staff"),
        PAY: hr,
        BANDS: Access.nobody(),
        ROW: hr,  # a row of a database in Pay
        BOXED: hr,  # in a column of Pay
        STRAY: group("ops"),
        BENEATH: group("ops"),
    }
    assert {n: found[uuid(n)].access for n in expected} == expected


def test_a_place_that_cannot_be_followed_is_nobodys_once_parts_differ(world: NotionWorld) -> None:
    found = listing(notion(world, parts=[f"{uuid(PAY)}: hr"])).documents
    assert found[uuid(STRAY)].access == found[uuid(BENEATH)].access == Access.nobody()
    world.holders.clear()  # the column cannot be looked up either
    again = listing(notion(world, parts=[f"{uuid(PAY)}: hr"])).documents
    assert again[uuid(BOXED)].access == Access.nobody()
    assert listing(notion(world)).documents[uuid(STRAY)].access == group("staff")


def test_a_database_is_named_by_the_address_people_know(world: NotionWorld) -> None:
    found = listing(notion(world, parts=[f"{uuid(DATABASE)}: projects"])).documents
    assert found[uuid(ROW)].access == group("projects")
    assert found[uuid(PAY)].access == group("staff")


def test_a_moved_page_gets_the_readers_of_its_new_place_without_its_content(
    world: NotionWorld,
) -> None:
    settings = {"parts": [f"{uuid(PAY)}: hr"]}
    first = listing(notion(world, **settings))
    told = list(notion(world, **settings).access({}))
    world.pages[TRAVEL].parent = in_page(PAY)
    world.http.requests.clear()
    moved = {
        change.id: change.access
        for change in notion(world, **settings).access(told[-1].state)
        if isinstance(change, AccessChange)
    }
    assert moved[uuid(TRAVEL)] == group("hr")
    assert not [r for r in world.http.requests if "children" in r.path]
    again = listing(notion(world, **settings), known=first.versions).changes
    assert Unchanged(uuid(TRAVEL), group("hr")) in again


def test_one_statement_for_all_is_confirmed_without_a_request(world: NotionWorld) -> None:
    told = list(notion(world).access({}))
    world.http.requests.clear()
    assert [type(c).__name__ for c in notion(world).access(told[-1].state)] == ["Checkpoint"]
    assert not world.http.requests
    changed = list(notion(world, groups=["hr"]).access(told[-1].state))
    assert AccessChange(uuid(HOME), group("hr")) in changed


def test_only_what_lies_beneath_is_read(world: NotionWorld) -> None:
    found = listing(notion(world, only=[uuid(PAY)])).documents
    assert found.keys() == {uuid(n) for n in (PAY, BANDS, ROW, BOXED)}


@pytest.mark.parametrize(
    "line", ["no address: hr", f"{uuid(PAY)}", f"{uuid(PAY)}:", f"{uuid(PAY)}: nobody, hr"]
)
def test_a_line_that_does_not_say_who_may_read_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        NotionSettings(parts=(line,))


def test_ids_are_found_in_addresses() -> None:
    bare = uuid(PAY).replace("-", "")
    for form in (uuid(PAY), bare, f"https://www.notion.so/x/Title-{bare}?v=1#h", bare.upper()):
        assert notion_id(form) == uuid(PAY)
    assert notion_id("https://www.notion.so/acme") == ""


# --- What is read ---


def test_blocks_become_html_and_their_text_is_only_text(world: NotionWorld) -> None:
    page = world.pages[TRAVEL]
    page.blocks = [
        block(101, "heading_2", "Before <you> go"),
        block(102, "bulleted_list_item", "Ask"),
        block(103, "bulleted_list_item", "Book"),
        block(104, "to_do", "Pack", checked=True),
        block(105, "code", "a < b"),
        block(106, "table"),
        block(107, "bookmark", url="https://example.com/x"),
        block(108, "bookmark", url="javascript:alert(1)"),
        block(109, "callout", "Mind the gap"),
    ]
    world.children = {
        103: [block(131, "paragraph", "Seven days ahead")],
        106: [block(161, "table_row", cells=[rich("City"), rich("Lyon")])],
    }
    html = text(notion(world), TRAVEL)
    assert "<h2>Before &lt;you&gt; go</h2>" in html
    assert "<ul><li>Ask</li><li>Book<p>Seven days ahead</p></li><li>[x] Pack</li></ul>" in html
    assert "<pre>a &lt; b</pre>" in html
    assert "<table><tr><td>City</td><td>Lyon</td></tr></table>" in html
    assert '<a href="https://example.com/x">' in html
    assert "javascript" not in html


def test_what_may_have_other_readers_is_left_out(world: NotionWorld) -> None:
    mention = {"type": "mention", "mention": {"type": "page"}, "plain_text": "Secret plan"}
    world.pages[TRAVEL].blocks = [
        block(101, "child_page", title="Hidden child"),
        block(102, "synced_block", synced_from={"type": "block_id", "block_id": uuid(900)}),
        block(103, "paragraph", "", rich_text=[*rich("See "), mention]),
    ]
    world.children = {102: [block(121, "paragraph", "Copied from elsewhere")]}
    html = text(notion(world), TRAVEL)
    assert html == "<p>See (linked page)</p>"
    assert "999" not in text(notion(world), ROW)


def test_a_row_tells_its_properties(world: NotionWorld) -> None:
    html = text(notion(world), ROW)
    for name, value in {
        "State": "Running",
        "Team": "Hydro, Sales",
        "Due": "2026-05-01",
        "Budget": "12000",
    }.items():
        assert f"<tr><th>{name}</th><td>{value}</td></tr>" in html


def test_pages_know_their_place_and_address(world: NotionWorld) -> None:
    found = listing(notion(world)).documents
    assert found[uuid(ROW)].space == "Home"
    assert found[uuid(TRAVEL)].url.startswith("https://www.notion.so/Travel-")


def test_long_listings_come_in_pages(world: NotionWorld) -> None:
    whole = listing(notion(world))
    world.page_size = 2
    world.pages[HOME].blocks = [block(i, "paragraph", f"Line {i}") for i in range(100, 107)]
    found = listing(notion(world))
    assert found.documents.keys() == whole.documents.keys()
    assert all(f"Line {i}" in text(notion(world), HOME) for i in range(100, 107))


# --- What changed ---


def test_an_edit_in_the_minute_of_reading_is_not_missed(world: NotionWorld) -> None:
    edit(world, TRAVEL, "First words.")
    first = listing(notion(world))
    world.pages[TRAVEL].blocks = [block(1, "paragraph", "Second words.")]  # the same minute
    world.now += timedelta(minutes=5)
    second = listing(notion(world), known=first.versions)
    assert b"Second words." in second.documents[uuid(TRAVEL)].content
    assert not listing(notion(world), known={**first.versions, **second.versions}).documents


def test_a_page_that_search_leaves_out_is_asked_for_before_it_goes(world: NotionWorld) -> None:
    first = listing(notion(world))
    world.pages[TRAVEL].searched = False
    world.pages[BANDS].shared = False
    world.pages[PAY].trashed = True
    changes = listing(notion(world), known=first.versions).changes
    gone = {c.id for c in changes if isinstance(c, Deletion)}
    assert gone == {uuid(BANDS), uuid(PAY)}
    assert Unchanged(uuid(TRAVEL), group("staff")) in changes


def test_single_pages_are_fetched_again(world: NotionWorld) -> None:
    world.pages[BANDS].trashed = True
    found = list(notion(world).refetch([uuid(TRAVEL), uuid(BANDS), "nonsense"]))
    assert isinstance(found[0], Document)
    assert found[1:] == [Deletion(uuid(BANDS)), Deletion("nonsense")]


# --- What goes wrong ---


def test_a_busy_notion_is_waited_for_as_long_as_it_says(world: NotionWorld) -> None:
    waits: list[float] = []
    world.http.faults.append(Fault("/search", Reply({}, 429, {"Retry-After": "7"}), 2))
    assert listing(notion(world, waits=waits)).documents
    assert sum(waits) == 14


def test_a_token_that_expires_in_mid_sync_ends_it_with_its_cause(world: NotionWorld) -> None:
    world.http.faults.append(Fault(f"/blocks/{uuid(PAY)}/children", Reply({}, 401), 1))
    with pytest.raises(SourceFault, match="does not accept the credential") as fault:
        listing(notion(world))
    assert "swap it here" in fault.value.fix


def test_a_wrong_token_fails_the_check_and_a_broken_network_does_not_blame_it(
    world: NotionWorld,
) -> None:
    world.token = "another"
    assert notion(world).validate()[0].outcome is Outcome.FAILED
    world.token = TOKEN
    world.http.faults.append(Fault("/v1", Reply({}, 503), 99))
    assert notion(world).validate()[0].outcome is Outcome.INDETERMINATE


def test_one_page_that_is_refused_fails_alone(world: NotionWorld) -> None:
    world.http.faults.append(Fault(f"/blocks/{uuid(PAY)}/children", Reply({}, 403), 1))
    found = listing(notion(world))
    (failure,) = [c for c in found.changes if isinstance(c, Failure)]
    assert (failure.id, failure.name) == (uuid(PAY), "Pay")
    assert failure.fix
    assert uuid(TRAVEL) in found.documents


def test_a_page_that_nests_without_end_fails_alone(world: NotionWorld) -> None:
    world.pages[TRAVEL].blocks = [block(101, "toggle", "Down")]
    world.children = {101: [block(101, "toggle", "Down")]}
    found = listing(notion(world))
    (failure,) = [c for c in found.changes if isinstance(c, Failure)]
    assert "levels" in failure.cause
    assert uuid(HOME) in found.documents


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"results": "none"},
        {"results": [{"object": "page"}]},
        {"results": [], "has_more": True, "next_cursor": None},
        {"results": [{"id": 3, "last_edited_time": "yesterday", "parent": []}]},
    ],
)
def test_an_answer_that_is_none_of_notions_is_a_fault(world: NotionWorld, body: object) -> None:
    world.http.faults.append(Fault("/search", Reply(body), 1))
    with pytest.raises(SourceFault):
        listing(notion(world))


def test_nothing_shared_is_told_with_the_way_out(world: NotionWorld) -> None:
    for page in world.pages.values():
        page.shared = False
    check = notion(world).validate()[0]
    assert check.outcome is Outcome.FAILED
    assert "Connections" in check.fix
