"""Confluence: the contract, who sees which page (against the server's own rule), increments, events, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.confluence import ConfluenceConnector
from connectors.confluence.settings import ConfluenceSecrets, ConfluenceSettings
from connectors.confluence.storage import plain_html
from connectors.contract import (
    Access,
    BadEvent,
    Connector,
    Context,
    Deletion,
    Event,
    Failure,
    Outcome,
    Reader,
    SourceFault,
)
from connectors.http import Http
from connectors.suite import ConnectorContract, listing
from tests.servers.atlassian_site import EMAIL, TOKEN, WEBHOOK_SECRET, admits, signed
from tests.servers.confluence_server import ConfluenceWorld
from tests.servers.json_server import Fault, Reply


@pytest.fixture
def world() -> Iterator[ConfluenceWorld]:
    world = ConfluenceWorld()
    world.person("ada", "staff", "hr")
    world.person("ben", "staff", hidden=False)
    world.person("cy", "staff", "board")
    world.person("gus", "guests", guest=True)
    world.person("old", "staff", "hr", status="inactive")
    world.person("bot", "staff", type="app")
    world.person("shy", "staff", hidden=True)
    world.person("lone")
    world.space("1", "OPS", groups=["staff"], users=["gus", "lone"])
    world.space("2", "PUB", anonymous=True)
    world.space("3", "HR", groups=["hr", "board"])
    world.space("4", "DARK", groups=["staff"], told=False)
    world.space("5", "ME", groups=["staff"], type="personal")
    world.add("10", "1", "Home")
    world.add("11", "1", "Plans", parent="10", users=["ada", "gus", "old"], groups=["board"])
    world.add("12", "1", "Plan B", parent="11")
    world.add("13", "1", "Plan C", parent="12", users=["ada", "ben"])
    world.add("14", "1", "Secret folder", kind="folder", parent="10", groups=["hr"])
    world.add("15", "1", "In the folder", parent="14")
    world.add("16", "1", "Many readers", parent="10", users=["ben", "cy", "lone", "gus", "ada"])
    world.add("17", "1", "Where?", parent="10", drop=("parentId",))
    world.add("20", "2", "Welcome")
    world.add("21", "2", "News", kind="blogpost", groups=["staff"])
    world.add("30", "3", "Pay")
    world.add("40", "4", "Untold")
    world.add("50", "5", "Diary")
    world.add("101", "", kind="comment", parent="12", body="<p>Looks <b>good</b>.</p>")
    world.add(
        "att1", title="plan.txt", kind="attachment", parent="12", media="text/plain", data=b"A"
    )
    world.add("att2", title="pic.png", kind="attachment", parent="12", media="image/png", data=b"x")
    with world.http:
        yield world


def confluence(
    world: ConfluenceWorld, *, waits: list[float] | None = None, **settings: Any
) -> ConfluenceConnector:
    pause = (waits if waits is not None else []).append
    return ConfluenceConnector(
        ConfluenceSettings.model_validate({"url": world.http.url, "email": EMAIL, **settings}),
        ConfluenceSecrets(api_token=SecretStr(TOKEN), webhook_secret=SecretStr(WEBHOOK_SECRET)),
        Context(http=Http(pause=pause, requests_per_minute=1_000_000), clock=lambda: world.now),
    )


def later(connector: Connector, before: Any) -> Any:
    return listing(connector, checkpoint=before.checkpoints[-1].state, known=before.versions)


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: ConfluenceWorld) -> Connector:
        return confluence(world)

    @pytest.fixture
    def broken_connector(self, world: ConfluenceWorld) -> Connector:
        world.http.faults.append(Fault("/wiki", Reply({}, 500), 99))
        return confluence(world)

    @pytest.fixture
    def changed_connector(self, world: ConfluenceWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            world.now += timedelta(hours=2)
            world.edit("20", "<p>New welcome.</p>")
            world.add("22", "2", "Second")
            world.items["30"].status = "trashed"
            return confluence(world)

        return change


def page_of(id: str) -> str:
    return id.partition("/")[0].partition(":")[2]


def test_everybody_finds_what_confluence_shows_them_and_nothing_else(
    world: ConfluenceWorld,
) -> None:
    def compare() -> None:
        connector = confluence(world)
        groups, documents = connector.groups(), listing(connector).documents
        assert len(documents) == 12
        for person in world.people.values():
            for id, document in documents.items():
                page = world.items[page_of(id)]
                told = page.id not in {"17", "40"}  # unknown place, untold permissions
                shown = world.sees(person.id, page.id) and not person.hidden
                email = person.email.lower()
                assert admits(document.access, groups, email) == (shown and told), (person, id)
                if not person.hidden and person.counts:
                    assert connector.may_read(id, Reader(email)) == shown, (person, id)

    compare()
    world.items["11"].users.remove("ada")
    world.items["10"].groups.append("staff")  # gus and lone lose all below
    world.groups["hr"].append("ben")
    world.spaces["2"].anonymous = False
    world.spaces["2"].users.append("cy")
    compare()
    world.people["cy"].status = "closed"
    world.items["14"].hidden = True  # what the account may not see: nobody finds what lies in it
    documents = listing(confluence(world)).documents
    assert documents["page:15"].access == Access.nobody()


def test_public_spaces_are_for_everyone_only_where_the_setting_says_so(
    world: ConfluenceWorld,
) -> None:
    found = listing(confluence(world, public_spaces="everyone")).documents
    assert found["page:20"].access.everyone
    assert not found["blog:21"].access.everyone
    assert not any(d.access.everyone for d in listing(confluence(world)).documents.values())


def test_a_page_that_places_itself_below_itself_is_for_nobody(world: ConfluenceWorld) -> None:
    world.items["12"].parent, world.items["13"].parent = "13", "12"
    found = listing(confluence(world)).documents
    assert found["page:12"].access == found["page:13"].access == Access.nobody()


def test_comments_belong_to_their_page_and_files_have_its_readers(world: ConfluenceWorld) -> None:
    found = listing(confluence(world)).documents
    page, file = found["page:12"], found["page:12/attachment:att1"]
    assert b"<h2>Comments</h2><h3>Ada, 2026-01-10</h3><p>Looks <b>good</b>.</p>" in page.content
    assert (file.content, file.mime, file.access) == (b"A", "text/plain", page.access)
    assert page.space == "Space OPS"
    assert page.url.endswith("/wiki/spaces/1/pages/12")
    assert (
        b"Comments" not in listing(confluence(world, comments=False)).documents["page:12"].content
    )
    assert not [id for id in listing(confluence(world, attachments=False)).documents if "att" in id]


def test_increments_read_what_changed_and_its_comments(world: ConfluenceWorld) -> None:
    before = listing(confluence(world))
    world.now += timedelta(hours=3)
    world.edit("13", "<p>C2</p>")
    world.add("102", "", kind="comment", parent="20", body="<p>Hello</p>")
    world.items["12"].status = "trashed"
    world.http.requests.clear()
    after = later(confluence(world), before)
    assert after.documents.keys() == {"page:13", "page:20"}
    gone = {c.id for c in after.changes if isinstance(c, Deletion)}
    assert gone == {"page:12", "page:12/attachment:att1"}
    assert not after.checkpoints[-1].complete


def test_a_full_reading_finds_deleted_comments_and_purged_pages(world: ConfluenceWorld) -> None:
    before = listing(confluence(world))
    world.now += timedelta(hours=25)
    del world.items["101"], world.items["30"]
    after = later(confluence(world), before)
    assert after.documents.keys() == {"page:12"}
    assert after.checkpoints[-1].complete
    assert "page:30" not in after.present


def test_a_full_reading_goes_on_where_it_was_cut_off(world: ConfluenceWorld) -> None:
    for number in range(300, 420):
        world.add(str(number), "3", f"Page {number}")
    world.cut = 100
    first = listing(confluence(world))
    cut = next(c for c in first.checkpoints if c.state.get("running", {}).get("last"))
    before = first.changes[: first.changes.index(cut)]
    known = {
        c.id: c.version for c in before if not isinstance(c, Failure) and hasattr(c, "version")
    }
    rest = listing(confluence(world), checkpoint=cut.state, known=known)
    assert known.keys() | rest.documents.keys() == first.documents.keys()
    assert not known.keys() & rest.documents.keys()
    assert not rest.checkpoints[-1].complete


def test_personal_archived_and_unknown_spaces(world: ConfluenceWorld) -> None:
    world.items["20"].status = "archived"
    assert "page:50" not in listing(confluence(world)).documents
    found = listing(confluence(world, personal_spaces=True, archived=True)).documents
    assert {"page:50", "page:20"} <= found.keys()
    named = listing(confluence(world, spaces=("HR", "NOPE")))
    assert named.documents.keys() == {"page:30"}
    assert [c.id for c in named.changes if isinstance(c, Failure)] == ["space:NOPE"]
    content = confluence(world, spaces=("HR", "NOPE")).validate()[0]
    assert (content.outcome, "NOPE" in content.message) == (Outcome.FAILED, True)
    assert "page:30" not in listing(confluence(world, exclude=("hr",))).documents


def test_a_busy_site_is_waited_for(world: ConfluenceWorld) -> None:
    waits: list[float] = []
    world.http.faults.append(Fault("/spaces", Reply({}, 429, {"Retry-After": "7"}), 2))
    assert listing(confluence(world, waits=waits)).documents
    assert sum(waits) == pytest.approx(14)


def test_a_token_that_ends_in_the_middle_is_a_fault_without_secrets(world: ConfluenceWorld) -> None:
    connector = confluence(world)
    changes = connector.changes({}, {})
    next(changes)
    world.token = "another"
    with pytest.raises(SourceFault) as fault:
        list(changes)
    checks = connector.validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    words = str(fault.value) + fault.value.fix + repr(checks) + repr(connector.secrets)
    assert "401" in words
    assert TOKEN not in words


def test_validate_says_what_it_saw(world: ConfluenceWorld) -> None:
    content, permissions, groups = confluence(world).validate()
    assert "4 spaces" in content.message
    assert (permissions.outcome, "DARK" in permissions.message) == (Outcome.FAILED, True)
    assert "1 hide their e-mail" in groups.message
    world.spaces["4"].told = True
    assert confluence(world).validate()[1].outcome is Outcome.PASSED
    for person in world.people.values():
        person.hidden = True
    assert confluence(world).validate()[2].outcome is Outcome.FAILED


def test_hostile_pages_do_no_harm(world: ConfluenceWorld) -> None:
    world.items[
        "10"
    ].body = "<script>steal()</script><p onclick='x()'>Hi <a href='javascript:x()'>there</a></p><p>\ud83d"
    world.items["20"].title = "x" * 2_000_000
    world.items["30"].drop = ("version",)
    world.items["21"].drop = ("body",)
    found = listing(confluence(world))
    content = found.documents["page:10"].content
    assert b'<p>Hi <a href="">there</a></p>' in content
    assert not any(word in content for word in (b"steal", b"onclick", b"javascript"))
    assert len(found.documents["page:20"].title) == 300
    assert {c.id for c in found.changes if isinstance(c, Failure)} == {"page:30", "blog:21"}


def test_storage_format_becomes_plain_html() -> None:
    assert (
        plain_html(
            '<ac:structured-macro ac:name="code"><ac:parameter ac:name="language">py</ac:parameter>'
            "<ac:plain-text-body><![CDATA[if a < b: print('</p>')]]></ac:plain-text-body>"
            "</ac:structured-macro>"
        )
        == "<pre>if a &lt; b: print(&#x27;&lt;/p&gt;&#x27;)</pre>"
    )
    assert (
        plain_html(
            "<ac:task-list><ac:task><ac:task-id>1</ac:task-id><ac:task-status>complete</ac:task-status>"
            "<ac:task-body>Buy&nbsp;it</ac:task-body></ac:task></ac:task-list>"
        )
        == "<ul><li>[x] Buy\xa0it</li></ul>"
    )
    assert plain_html('<p>See <ac:link><ri:page ri:content-title="Plans" /></ac:link></p>') == (
        "<p>See Plans</p>"
    )


def test_signed_webhooks_name_pages(world: ConfluenceWorld) -> None:
    connector = confluence(world)
    said = connector.handle_event(Event(*signed({"event": "page_updated", "page": {"id": 12}})))
    assert said.ids == ("page:12",)
    comment = {"parent": {"id": "20", "contentType": "page"}}
    said = connector.handle_event(Event(*signed({"event": "comment_created", "comment": comment})))
    assert said.ids == ("page:20",)
    said = connector.handle_event(Event(*signed({"event": "content_permissions_updated"})))
    assert said.permissions
    assert connector.handle_event(Event(*signed({"event": "group_created"}))).groups
    with pytest.raises(BadEvent):
        connector.handle_event(Event(*signed({"page": {"id": 12}}, "another secret")))


def test_refetched_pages_and_files_are_as_they_are_now(world: ConfluenceWorld) -> None:
    connector = confluence(world)
    world.items["30"].status = "trashed"
    del world.items["att1"]
    ids = ["page:12", "page:30", "page:12/attachment:att1", "page:x", "blog:21", "page:50"]
    found = {getattr(c, "id", ""): type(c).__name__ for c in connector.refetch(ids)}
    assert [id for id, kind in found.items() if kind == "Document"] == ["page:12", "blog:21"]
    assert sum(kind == "Deletion" for kind in found.values()) == 4


def test_only_cursors_of_the_next_link_are_followed(world: ConfluenceWorld) -> None:
    evil = {"results": [], "_links": {"next": "https://evil.invalid/wiki?cursor=c0"}}
    world.http.faults.append(Fault("/wiki/api/v2/spaces", Reply(evil), 1))
    assert listing(confluence(world)).documents
