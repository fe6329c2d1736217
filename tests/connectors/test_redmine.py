"""The Redmine connector where the wire format matters: paging, faults, malformed and hostile answers. Who sees what is tested
against a real Redmine, in test_redmine_server.py."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from connectors.contract import (
    Access,
    Checkpoint,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
)
from connectors.http import Http
from connectors.redmine import RedmineConnector
from connectors.redmine.settings import RedmineSecrets, RedmineSettings
from connectors.redmine.textile import markdown
from connectors.suite import listing
from tests.servers.json_server import Fault, JsonServer, Reply
from tests.servers.redmine_wire import KEY, World, issue_row


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def server(world: World) -> Iterator[JsonServer]:
    with JsonServer(world.answer) as started:
        yield started


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connector(server: JsonServer, waits: list[float]) -> RedmineConnector:
    return connect(server.url, waits)


def connect(url: str, waits: list[float], key: str = KEY, **settings: object) -> RedmineConnector:
    http = Http(requests_per_minute=100_000, pause=waits.append)
    return RedmineConnector(
        RedmineSettings.model_validate({"url": url, **settings}),
        RedmineSecrets.model_validate({"api_key": key}),
        Context(http=http),
    )


def failures(connector: RedmineConnector) -> dict[str, Failure]:
    return {c.id: c for c in listing(connector).changes if isinstance(c, Failure)}


def test_many_pages_are_read_once_each(world: World, connector: RedmineConnector) -> None:
    world.put(*(issue_row(id, f"2026-01-01T00:{id % 60:02}:00Z") for id in range(1, 251)))
    found = listing(connector)
    assert len(found.documents) == 250
    assert len(found.checkpoints) == 4, "one a page, and the end"
    assert [c.complete for c in found.checkpoints] == [False, False, False, True]


def test_more_issues_of_one_second_than_a_page_holds(
    world: World, connector: RedmineConnector
) -> None:
    world.put(*(issue_row(id) for id in range(1, 231)))
    assert len(listing(connector).documents) == 230


def test_an_issue_that_changes_while_pages_are_read_pushes_no_other_out(
    world: World, connector: RedmineConnector
) -> None:
    world.put(
        *(issue_row(id, f"2026-01-01T{id // 60:02}:{id % 60:02}:00Z") for id in range(1, 251))
    )
    calls = iter(range(1, 100))

    def change() -> None:
        if (call := next(calls)) > 1:
            world.put(issue_row(call, f"2026-02-01T00:00:{call:02}Z", subject="Changed"))

    world.on_issues = change
    found = listing(connector)
    assert found.documents.keys() == {f"issue:{id}" for id in range(1, 251)}
    assert found.documents["issue:2"].title == "#2 Changed"


def test_one_deleted_while_ids_are_listed_takes_no_other_along(
    world: World, connector: RedmineConnector
) -> None:
    world.put(*(issue_row(id) for id in range(1, 251)))
    calls = iter(range(1, 100))
    world.on_issues = lambda: (world.issues.pop(next(calls)), None)[1]
    named = {line.id for line in connector.list_ids()}
    assert {f"issue:{id}" for id in range(4, 251)} <= named


def test_a_stopped_listing_goes_on_at_its_last_checkpoint(
    world: World, server: JsonServer, connector: RedmineConnector
) -> None:
    world.put(
        *(issue_row(id, f"2026-01-01T{id // 60:02}:{id % 60:02}:00Z") for id in range(1, 251))
    )
    changes, known = connector.changes({}, {}), {}
    for change in changes:
        if isinstance(change, Checkpoint):
            break
        assert isinstance(change, Document)
        known[change.id] = change.version
    changes.close()
    state = json.loads(json.dumps(change.state))
    server.requests.clear()
    rest = listing(connector, checkpoint=state, known=known)
    assert known.keys() | rest.documents.keys() == {f"issue:{id}" for id in range(1, 251)}
    assert not any(path == "/issues/50.json" for path in server.paths())
    assert not rest.checkpoints[-1].complete, "it did not see everything itself"


def test_a_busy_redmine_is_waited_for(
    world: World, server: JsonServer, connector: RedmineConnector, waits: list[float]
) -> None:
    world.put(issue_row(1))
    server.faults.append(Fault("/issues/1.json", Reply(status=429, headers={"Retry-After": "7"})))
    assert "issue:1" in listing(connector).documents
    assert sum(waits) == pytest.approx(7)


def test_one_broken_issue_fails_alone(
    world: World, server: JsonServer, connector: RedmineConnector
) -> None:
    world.put(*(issue_row(id) for id in range(1, 5)))
    server.faults.append(Fault("/issues/1.json", Reply(status=500)))
    server.faults.append(Fault("/issues/3.json", Reply(b"<html>Sign in</html>")))
    server.faults.append(Fault("/issues/4.json", Reply({"issue": {"id": "four"}})))
    found = listing(connector)
    failed = {c.id: c for c in found.changes if isinstance(c, Failure)}
    assert found.documents.keys() == {"issue:2"}
    assert failed.keys() == {"issue:1", "issue:3", "issue:4"}
    assert all(failure.cause and failure.fix for failure in failed.values())


def test_failures_in_a_row_are_the_sources(
    world: World, server: JsonServer, connector: RedmineConnector
) -> None:
    world.put(*(issue_row(id) for id in range(1, 9)))
    server.faults.append(Fault("/issues/", Reply(status=500), times=100))
    with pytest.raises(SourceFault):
        listing(connector)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"{"),
        Reply([]),
        Reply({"issues": [{"id": 1}]}),
        Reply({"issues": None}),
        Reply(status=500),
    ],
)
def test_a_list_that_is_broken_is_a_fault_and_never_an_empty_one(
    world: World, server: JsonServer, connector: RedmineConnector, reply: Reply
) -> None:
    world.put(issue_row(1))
    server.faults.append(Fault("/issues.json", reply))
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert fault.value.fix
    server.faults.append(Fault("/issues.json", reply))
    with pytest.raises(SourceFault):
        list(connector.list_ids())


def test_a_revoked_key_has_failed_and_a_redmine_that_is_away_is_not_known(
    server: JsonServer, waits: list[float]
) -> None:
    wrong = "f" * 40
    refused = connect(server.url, waits, key=wrong).validate()
    assert {check.outcome for check in refused} == {Outcome.FAILED}
    away = connect("http://127.0.0.1:9", waits).validate()
    assert {check.outcome for check in away} == {Outcome.INDETERMINATE}
    assert not any(wrong in f"{check}" or KEY in f"{check}" for check in [*refused, *away])


def test_an_unknown_project_is_named(server: JsonServer, waits: list[float]) -> None:
    with pytest.raises(SourceFault, match="apolo"):
        listing(connect(server.url, waits, projects=("apolo",)))


def test_what_is_not_said_to_be_public_is_private(
    world: World, connector: RedmineConnector
) -> None:
    silent = {key: value for key, value in issue_row(1).items() if key != "is_private"}
    world.put(silent)
    world.journals[1] = [
        {
            "id": 1,
            "user": {"name": "Ann"},
            "notes": "Hidden?",
            "created_on": "2026-01-01T00:00:00Z",
        },
        {"id": 2, "notes": "Open.", "created_on": "2026-01-01T00:00:00Z", "private_notes": False},
    ]
    document = listing(connector).documents["issue:1"]
    assert document.access.groups == {"project:1:issues:private"}
    assert b"Open." in document.content
    assert b"a former user" in document.content
    assert b"Hidden?" not in document.content


@pytest.mark.parametrize(("visibility", "sees"), [("all", True), ("", False), ("some", False)])
def test_a_role_that_says_nothing_known_sees_nothing(
    world: World, connector: RedmineConnector, visibility: str, sees: bool
) -> None:
    world.put(issue_row(1))
    world.visibility = visibility
    groups = connector.groups()
    everyone = set().union(*(groups[name] for name in groups if name.startswith("project:1:")))
    assert ("ann@example.test" in everyone) is sees
    assert "admin@example.test" in everyone


def test_files_come_from_redmine_itself_and_only_those_that_can_be_parsed(
    world: World, server: JsonServer, connector: RedmineConnector
) -> None:
    def file(id: int, name: str, size: int = 5) -> dict[str, object]:
        elsewhere = "http://attacker.invalid/steal"
        created = "2026-01-01T00:00:00Z"
        return {
            "id": id,
            "filename": name,
            "filesize": size,
            "content_url": elsewhere,
            "created_on": created,
        }

    large = file(3, "huge.pdf", 30_000_000)
    world.put(
        issue_row(1, attachments=[file(1, "a b.txt"), file(2, "a.exe"), large, file(4, "gone.md")])
    )
    world.files = {1: b"Hello", 2: b"MZ", 3: b"%PDF"}
    found = listing(connector)
    document = found.documents["issue:1/attachment:1"]
    assert (document.content, document.mime) == (b"Hello", "text/plain")
    assert document.access == found.documents["issue:1"].access
    assert "25,000,000" in failures(connector)["issue:1/attachment:3"].cause
    assert Deletion("issue:1/attachment:4") in found.changes
    fetched = {path for path in server.paths() if "download" in path}
    assert fetched == {"/attachments/download/1/a b.txt", "/attachments/download/4/gone.md"}
    (again,) = connector.refetch(["issue:1/attachment:1"])
    assert again == document


def test_refetch_tells_what_is_gone_and_what_never_was(
    world: World, connector: RedmineConnector
) -> None:
    world.put(issue_row(1))
    asked = [
        "issue:1",
        "issue:9",
        "issue:x",
        "wiki:1:Nope",
        "wiki:9:Nope",
        "news:1",
        "../users",
        "",
    ]
    first, *others = connector.refetch(asked)
    assert isinstance(first, Document)
    assert others == [Deletion(id) for id in asked[1:]]


def test_an_issue_of_a_project_that_is_not_read_is_nobodys(
    world: World, connector: RedmineConnector
) -> None:
    world.put(issue_row(1), issue_row(2, project={"id": 7, "name": "Elsewhere"}))
    assert listing(connector).documents.keys() == {"issue:1"}
    assert Access.nobody() not in {d.access for d in listing(connector).documents.values()}


@pytest.mark.parametrize(
    ("textile", "expected"),
    [
        ("h1. Title\r\n\r\nText", "## Title\n\nText"),
        ("# one\n# two\n## inner", "1. one\n1. two\n   1. inner"),
        ("* a\n** b", "- a\n   - b"),
        ('see "the page":https://x.test/a.', "see [the page](https://x.test/a.)"),
        ("*bold* and 2 * 3 * 4", "**bold** and 2 * 3 * 4"),
        ("run @make *all*@", "run `make *all*`"),
        (
            '<pre><code class="ruby">\n# no list\nh1. no\n</code></pre>',
            "```\n# no list\nh1. no\n```",
        ),
        ("[[Handbook|the book]], [[Start]]", "the book, Start"),
        ("bq. Said", "> Said"),
    ],
)
def test_textile_as_markdown(textile: str, expected: str) -> None:
    assert markdown(textile) == expected
