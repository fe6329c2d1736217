"""Jira: the contract, who sees which issue (against the server's own rule), narrowed comments, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

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
from connectors.jira import JiraConnector
from connectors.jira.adf import html
from connectors.jira.settings import JiraSecrets, JiraSettings
from connectors.suite import ConnectorContract, listing
from tests.servers.atlassian_site import EMAIL, TOKEN, WEBHOOK_SECRET, admits, signed
from tests.servers.jira_server import JiraWorld, adf
from tests.servers.json_server import Fault, Reply


@pytest.fixture
def world() -> Iterator[JiraWorld]:
    world = JiraWorld()
    world.person("ada", "staff", "hr")
    world.person("ben", "staff")
    world.person("cy", "board", "soft")
    world.person("old", "staff", "hr", status="inactive")
    world.person("bot", "staff", type="app")
    world.person("shy", "staff", hidden=True)
    world.person("lone")
    world.person("cust", type="customer")
    world.applications["jira-software"] = ["soft"]
    world.levels = {"7": [("projectRole", "r1"), ("reporter", "")], "8": [("user", "ben")]}
    world.project("1", "OPS", ("group", "staff"), ("projectLead", ""), lead="lone")
    world.project("2", "PUB", ("anyone", ""))
    roles = {"r1": (["cy"], ["hr"])}
    world.project("3", "HR", ("projectRole", "r1"), ("reporter", ""), ("assignee", ""), roles=roles)
    world.project("4", "DARK", ("group", "staff"), told=False)
    world.project("5", "SW", ("applicationRole", "jira-software"), ("sd.customer.portal.only", ""))
    world.project("6", "GONE", ("group", "staff"), archived=True)
    world.projects["1"].roles["r1"] = (["ben"], [])
    world.issue("10", "1", "Open", description=adf("Fix the pump"))
    world.issue("11", "1", "Secret", level="7", reporter="ada")
    world.issue(
        "12", "1", "For one", level="8", files={"90": ("n.txt", b"N"), "91": ("p.png", b"x")}
    )
    world.issue("13", "1", "Level untold", drop=("security",))
    world.issue("20", "2", "Public")
    world.issue("30", "3", "Pay", reporter="ben", assignee="lone")
    world.issue("31", "3", "Portal", reporter="cust", level="7")
    world.issue("40", "4", "Untold", reporter="ada")
    world.issue("50", "5", "Code")
    world.issue("60", "6", "Archived")
    with world.http:
        yield world


def jira(world: JiraWorld, *, waits: list[float] | None = None, **settings: Any) -> JiraConnector:
    pause = (waits if waits is not None else []).append
    return JiraConnector(
        JiraSettings.model_validate({"url": world.http.url, "email": EMAIL, **settings}),
        JiraSecrets(api_token=SecretStr(TOKEN), webhook_secret=SecretStr(WEBHOOK_SECRET)),
        Context(http=Http(pause=pause, requests_per_minute=1_000_000), clock=lambda: world.now),
    )


def later(connector: Connector, before: Any) -> Any:
    return listing(connector, checkpoint=before.checkpoints[-1].state, known=before.versions)


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: JiraWorld) -> Connector:
        return jira(world)

    @pytest.fixture
    def broken_connector(self, world: JiraWorld) -> Connector:
        world.http.faults.append(Fault("/rest", Reply({}, 500), 99))
        return jira(world)

    @pytest.fixture
    def changed_connector(self, world: JiraWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            world.now += timedelta(hours=25)
            world.issues["20"].updated = world.now
            world.issue("21", "2", "Second")
            del world.issues["30"]
            return jira(world)

        return change


def test_everybody_finds_what_jira_shows_them_and_nothing_else(world: JiraWorld) -> None:
    def compare() -> None:
        connector = jira(world)
        groups, documents = connector.groups(), listing(connector).documents
        assert len(documents) == 10
        for person in world.people.values():
            for id, document in documents.items():
                issue = id.removeprefix("issue:").partition("/")[0]
                shown = world.sees(person.id, issue) and not person.hidden
                told = issue not in {"13", "40"}  # untold level, untold permission scheme
                email = person.email.lower()
                assert admits(document.access, groups, email) == (shown and told), (person, id)
                assert connector.may_read(id, Reader(email)) == shown, (person, id)

    compare()
    world.groups["hr"].append("ben")
    world.projects["3"].roles["r1"] = ([], ["hr"])
    world.projects["1"].lead = "cy"
    world.issues["11"].reporter = "lone"
    world.levels["8"] = [("group", "board"), ("assignee", "")]
    world.issues["12"].assignee = "ada"
    world.projects["2"].browse = [("applicationRole", "")]
    compare()
    world.levels["8"] = []
    world.people["ada"].status = "inactive"
    assert listing(jira(world)).documents["issue:12"].access == Access.nobody()


def test_public_projects_are_for_everyone_only_where_the_setting_says_so(world: JiraWorld) -> None:
    world.issue("22", "2", "Public but secret", level="8")
    found = listing(jira(world, public_projects="everyone")).documents
    assert found["issue:20"].access.everyone
    assert not found["issue:22"].access.everyone
    assert not any(d.access.everyone for d in listing(jira(world)).documents.values())


def test_narrowed_and_internal_comments_are_never_read(world: JiraWorld) -> None:
    said = {"id": "1", "author": {"displayName": "Ada"}, "created": "2026-01-09T10:00:00.000+0000"}
    world.issues["10"].comments = [
        {**said, "body": adf("Seen by all")},
        {
            **said,
            "body": adf("for admins"),
            "visibility": {"type": "role", "value": "Administrators"},
        },
        {**said, "body": adf("for group"), "visibility": {"type": "group", "identifier": "hr"}},
        {**said, "body": adf("internal"), "jsdPublic": False},
        {**said, "body": adf("Last words")},
    ]
    content = listing(jira(world)).documents["issue:10"].content
    assert b"<h2>Comment by Ada, 2026-01-09</h2><p>Seen by all</p>" in content
    assert b"Last words" in content
    assert not any(word in content for word in (b"admins", b"for group", b"internal"))


def test_issues_say_what_they_are_and_files_have_their_readers(world: JiraWorld) -> None:
    found = listing(jira(world)).documents
    issue, file = found["issue:12"], found["issue:12/attachment:90"]
    assert issue.title == "OPS-12 For one"
    assert (issue.space, issue.url) == ("Project OPS", f"{world.http.url}/browse/OPS-12")
    assert (file.content, file.mime, file.access) == (b"N", "text/plain", issue.access)
    assert b"<p>Fix the pump</p>" in found["issue:10"].content
    assert not [id for id in listing(jira(world, attachments=False)).documents if "att" in id]


def test_increments_read_only_what_was_updated(world: JiraWorld) -> None:
    world.now += timedelta(hours=1)
    before = listing(jira(world))
    world.now += timedelta(hours=3)
    world.issues["20"].updated = world.now
    world.issues["20"].description = adf("New")
    after = later(jira(world), before)
    assert after.documents.keys() == after.present == {"issue:20"}
    assert not after.checkpoints[-1].complete
    assert {line.id for line in jira(world).list_ids()} == before.documents.keys()


def test_a_full_reading_goes_on_where_it_was_cut_off(world: JiraWorld) -> None:
    first = listing(jira(world))
    cut = first.checkpoints[1]
    before = [c for c in first.changes[: first.changes.index(cut)] if hasattr(c, "version")]
    known = {c.id: c.version for c in before}
    rest = listing(jira(world), checkpoint=cut.state, known=known)
    assert known.keys() | rest.documents.keys() == first.documents.keys()
    assert not known.keys() & rest.documents.keys()
    assert not rest.checkpoints[-1].complete
    world.now += timedelta(days=8)  # the token of the page has ended
    assert listing(jira(world), checkpoint=cut.state, known=known).checkpoints[-1].complete


def test_archived_and_unknown_projects_are_told(world: JiraWorld) -> None:
    named = listing(jira(world, projects=("hr", "GONE")))
    assert named.documents.keys() == {"issue:30", "issue:31"}
    assert [c.id for c in named.changes if isinstance(c, Failure)] == ["project:GONE"]
    assert jira(world, projects=("hr", "GONE")).validate()[0].outcome is Outcome.FAILED
    assert "issue:30" not in listing(jira(world, exclude=("HR",))).documents


def test_a_busy_site_is_waited_for(world: JiraWorld) -> None:
    waits: list[float] = []
    world.http.faults.append(Fault("/search/jql", Reply({}, 429, {"Retry-After": "7"}), 2))
    assert listing(jira(world, waits=waits)).documents
    assert sum(waits) == pytest.approx(14)


def test_a_token_that_ends_in_the_middle_is_a_fault_without_secrets(world: JiraWorld) -> None:
    connector = jira(world)
    changes = connector.changes({}, {})
    next(changes)
    world.token = "another"
    with pytest.raises(SourceFault) as fault:
        list(changes)
    checks = connector.validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    assert TOKEN not in str(fault.value) + fault.value.fix + repr(checks) + repr(connector.secrets)


def test_validate_says_what_it_saw(world: JiraWorld) -> None:
    content, permissions, groups = jira(world).validate()
    assert "5 projects" in content.message
    assert (permissions.outcome, "DARK" in permissions.message) == (Outcome.FAILED, True)
    assert "1 hide their e-mail" in groups.message


def test_hostile_issues_do_no_harm(world: JiraWorld) -> None:
    deep: Any = {"type": "text", "text": "bottom"}
    for _ in range(150):
        deep = {"type": "blockquote", "content": [deep]}
    world.issues["10"].description = adf("<script>steal()</script>")
    world.issues["11"].description = deep
    world.issues["20"].summary = "x" * 2_000_000
    world.issues["50"].drop = ("updated",)
    found = listing(jira(world))
    assert b"&lt;script&gt;" in found.documents["issue:10"].content
    assert b"bottom" not in found.documents["issue:11"].content
    assert len(found.documents["issue:20"].title) < 320
    assert [c.id for c in found.changes if isinstance(c, Failure)] == ["issue:50"]


def test_the_document_format_becomes_html() -> None:
    text = {"type": "text", "text": "a<b"}
    task = {"type": "taskItem", "attrs": {"state": "DONE"}, "content": [text]}
    assert html({"type": "taskList", "content": [task]}) == "<ul><li>[x] a&lt;b</li></ul>"
    assert html({"type": "codeBlock", "content": [text]}) == "<pre>a&lt;b</pre>"
    assert html({"type": "heading", "attrs": {"level": 1}, "content": [text]}) == "<h3>a&lt;b</h3>"
    link = {**text, "marks": [{"type": "link", "attrs": {"href": "javascript:x()"}}]}
    assert html(link) == "a&lt;b"


def test_signed_webhooks_name_issues(world: JiraWorld) -> None:
    connector = jira(world)
    event = {"webhookEvent": "jira:issue_updated", "issue": {"id": "10"}}
    assert connector.handle_event(Event(*signed(event))).ids == ("issue:10",)
    assert connector.handle_event(Event(*signed({"webhookEvent": "project_updated"}))).permissions
    with pytest.raises(BadEvent):
        connector.handle_event(Event(*signed(event, "another secret")))


def test_refetched_issues_are_as_they_are_now(world: JiraWorld) -> None:
    del world.issues["30"]
    found = list(
        jira(world).refetch(["issue:12", "issue:30", "issue:12/attachment:90", "issue:60"])
    )
    assert [isinstance(change, Deletion) for change in found] == [False, True, False, True]
