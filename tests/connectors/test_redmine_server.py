"""The Redmine connector against a real Redmine, which is itself the oracle: for every person and document, what the
connector says must be what Redmine shows that person (`X-Redmine-Switch-User`).

Marked `realserver`: needs Debian's `redmine` and `redmine-sqlite`, and is skipped where they are not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import (
    Access,
    AccessChange,
    Checkpoint,
    Connector,
    Context,
    Document,
    Outcome,
    Reader,
    Unchanged,
)
from connectors.http import Http
from connectors.redmine import RedmineConnector
from connectors.redmine.settings import RedmineSecrets, RedmineSettings
from connectors.suite import ConnectorContract, Listing, listing
from tests.servers.redmine import Redmine, redmine

pytestmark = [pytest.mark.realserver, pytest.mark.timeout(300)]
PEOPLE = (
    "admin hal ann bob cid dan fay ivy jon kim lou max ned oda".split()
)  # active accounts; eve is locked and gus never confirmed
Groups = Mapping[str, frozenset[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Redmine]:
    with redmine() as started:
        yield started


def connect(server: Redmine, **settings: object) -> RedmineConnector:
    given = {"url": server.url, **settings}
    context = Context(http=Http(requests_per_minute=100_000))
    secrets = RedmineSecrets.model_validate({"api_key": server.key})
    return RedmineConnector(RedmineSettings.model_validate(given), secrets, context)


def mail(login: str) -> str:
    return "root@example.test" if login == "admin" else f"{login}@example.test"


def members(name: str, groups: Groups) -> set[str]:
    """Nested groups unfolded; a group that is not listed admits nobody."""
    found: set[str] = set()
    for member in groups.get(name, frozenset()):
        inner = member.removeprefix("group:")
        found |= members(inner, groups) if inner != member else {member}
    return found


def admits(access: Access, email: str, groups: Groups) -> bool:
    inside = any(email in members(group, groups) for group in access.groups)
    return (
        access.known
        and (access.everyone or email in access.users or inside)
        and all(admits(part, email, groups) for part in access.also)
    )


def disagreements(
    shown: Mapping[str, set[str]], documents: Mapping[str, Access], groups: Groups
) -> list[str]:
    """Where connector and Redmine differ about a person and a document, those the connector does not have included."""
    found = []
    for login, visible in shown.items():
        told = {id for id, access in documents.items() if admits(access, mail(login), groups)}
        found += [f"{login} sees {id} here, not in Redmine" for id in told - visible]
        found += [f"{login} sees {id} in Redmine, not here" for id in visible - told]
    return sorted(found)


def shown_by(server: Redmine, people: Sequence[str] = PEOPLE) -> dict[str, set[str]]:
    return {login: visible_to(server, login) for login in people}


def visible_to(server: Redmine, login: str, projects: Sequence[int] = ()) -> set[str]:
    """What Redmine lists for the person, files that can be parsed included; wiki and files of these projects, or of all."""
    shown = set()
    path = "/issues.json?status_id=*&limit=100&include=attachments"
    for issue in server.call("GET", path, user=login).json()["issues"]:
        shown.add(f"issue:{issue['id']}")
        for attachment in issue["attachments"]:
            readable = server.shows(f"/attachments/{attachment['id']}.json", login)
            if readable and attachment["filename"].endswith((".txt", ".md")):
                shown.add(f"issue:{issue['id']}/attachment:{attachment['id']}")
    for item in server.call("GET", "/news.json?limit=100", user=login).json()["news"]:
        shown.add(f"news:{item['id']}")
    for project in projects or [id for (id,) in server.sql("select id from projects")]:
        pages = server.call("GET", f"/projects/{project}/wiki/index.json", user=login)
        rows = pages.json()["wiki_pages"] if pages.status_code == 200 else ()
        shown |= {f"wiki:{project}:{page['title']}" for page in rows}
        files = server.call("GET", f"/projects/{project}/files.json", user=login)
        rows = files.json()["files"] if files.status_code == 200 else ()
        shown |= {f"files:{project}/attachment:{file['id']}" for file in rows}
    return shown


def accesses(found: Listing) -> dict[str, Access]:
    return {id: document.access for id, document in found.documents.items()}


def text(document: Document) -> str:
    return document.content.decode()


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, server: Redmine) -> Connector:
        return connect(server, projects=("open",))

    @pytest.fixture
    def broken_connector(self, server: Redmine) -> Connector:
        settings = RedmineSettings(url=server.url)
        return RedmineConnector(settings, RedmineSecrets.model_validate({"api_key": "revoked"}))

    @pytest.fixture
    def changed_connector(self, server: Redmine) -> Callable[[], Connector]:
        def change() -> Connector:
            issue = server.sql("select id from issues where project_id = 4 order by id")[0][0]
            body = {"issue": {"subject": "Changed", "notes": "Seen."}}
            assert server.call("PUT", f"/issues/{issue}.json", body).status_code == 204
            new = {"issue": {"project_id": 4, "subject": "New", "tracker_id": 1}}
            assert server.call("POST", "/issues.json", new).status_code == 201
            page = {"wiki_page": {"text": "For a moment."}}
            assert server.call("DELETE", "/projects/4/wiki/Handbook.json").status_code == 204
            assert server.call("PUT", "/projects/4/wiki/Fresh.json", page).status_code == 201
            return connect(server, projects=("open",))

        return change


def test_for_every_person_and_document_it_says_what_redmine_shows(server: Redmine) -> None:
    connector = connect(server)
    documents, shown = accesses(listing(connector)), shown_by(server)
    assert len(documents) > 60
    assert len(set(map(frozenset, shown.values()))) > 8, "the world tells people apart"
    assert disagreements(shown, documents, connector.groups()) == []


def test_live_it_says_what_redmine_shows(server: Redmine) -> None:
    connector = connect(server)
    ids = ["issue:2", "issue:1", "wiki:1:Handbook", "news:1", "wiki:4:Über_uns_&_Co"]
    for login in ("ann", "cid", "ivy", "oda", "dan"):
        shown = visible_to(server, login, projects=(1, 4))
        told = {id for id in ids if connector.may_read(id, Reader(mail(login).upper()))}
        assert told == shown & set(ids), login
    assert not connector.may_read("issue:1", Reader("eve@example.test")), "a locked account"
    assert not connector.may_read("issue:1", Reader("example.test")), "part of an address"
    assert not connector.may_read("../users/1", Reader("ann@example.test"))


def test_private_comments_are_left_out(server: Redmine) -> None:
    (document,) = connect(server).refetch(["issue:1"])
    assert isinstance(document, Document)
    assert "## Comment by Bob Test" in text(document)
    assert "A comment for all." in text(document)
    assert "hidden remark" not in text(document)


def test_a_comment_made_private_later_leaves_with_the_next_reading_of_all(server: Redmine) -> None:
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    connector = connect(server, projects=("apollo",), wiki=False, news=False, reread_hours=2)
    connector.context = replace(connector.context, clock=lambda: now[0])
    first = listing(connector)
    server.sql("update journals set private_notes = 1 where notes = 'A comment for all.'")
    try:
        state = first.checkpoints[-1].state
        soon = listing(connector, checkpoint=state, known=first.versions)
        assert soon.documents.keys() == set(), "Redmine does not tell"
        now[0] += timedelta(hours=3)
        later = listing(connector, checkpoint=state, known=first.versions)
        assert later.documents.keys() == {"issue:1"}
        assert "A comment for all." not in text(later.documents["issue:1"])
    finally:
        server.sql("update journals set private_notes = 0 where notes = 'A comment for all.'")


def test_textile_becomes_markdown(server: Redmine) -> None:
    (document,) = connect(server).refetch(["issue:3"])
    assert isinstance(document, Document)
    assert "### Details" in text(document)
    assert "The **valve** of Apollo sticks." in text(document)
    assert "1. first\n1. second" in text(document)


def test_later_listings_read_only_what_changed(server: Redmine) -> None:
    connector = connect(server, projects=("open",))
    first = listing(connector)
    again = listing(connector, checkpoint=first.checkpoints[-1].state, known=first.versions)
    issues = [c.id for c in again.changes if isinstance(c, Unchanged) and c.id.startswith("issue")]
    assert len(issues) <= 3, "issues from before the last change are not even listed"
    assert not again.checkpoints[-1].complete


def test_groups_follow_memberships_roles_and_locks(server: Redmine) -> None:
    """Content stays as it was read; only the groups are asked for anew, and they follow Redmine at once."""
    connector = connect(server)
    documents = accesses(listing(connector))
    people = ("bob", "fay", "cid", "dan")
    row = server.call(
        "POST", "/projects/1/memberships.json", {"membership": {"user_id": 8, "role_ids": [7]}}
    )
    assert row.status_code == 201, "dan becomes a member of Apollo"
    assert server.call("DELETE", "/groups/20/users/9.json").status_code == 204, "fay leaves Staff"
    server.sql(
        "update roles set permissions = replace(permissions, '- :view_wiki_pages', '') where id = 8"
    )
    try:
        shown = shown_by(server, people)
        assert "issue:1" in shown["dan"]
        assert "issue:1" not in shown["fay"]
        assert not any(id.startswith("wiki:1") for id in shown["cid"])
        assert disagreements(shown, documents, connector.groups()) == []
        locked = {"user": {"status": 3}}
        assert server.call("PUT", "/users/6.json", locked).status_code == 204
        assert not any("bob" in mail for mails in connector.groups().values() for mail in mails)
    finally:
        server.call("PUT", "/users/6.json", {"user": {"status": 1}})
        server.call("DELETE", f"/memberships/{row.json()['membership']['id']}.json")
        server.call("POST", "/groups/20/users.json", {"user_id": 9})
        server.sql(
            "update roles set permissions = permissions || '- :view_wiki_pages\n' where id = 8"
        )


def test_readers_of_an_issue_change_with_it_without_its_content(server: Redmine) -> None:
    connector = connect(server)
    *before, end = connector.access({})
    assert isinstance(end, Checkpoint)
    body = {"issue": {"is_private": True, "assigned_to_id": 10}}
    assert server.call("PUT", "/issues/3.json", body).status_code == 204
    changed = [c for c in connector.access(end.state) if isinstance(c, AccessChange)]
    assert "issue:3" in {c.id for c in changed}
    assert len(changed) < len(before)
    now = {c.id: c.access for c in [*before, *changed] if isinstance(c, AccessChange)}
    people = [login for login in PEOPLE if server.shows("/issues/3.json", login)]
    groups = connector.groups()
    assert people == [name for name in PEOPLE if admits(now["issue:3"], mail(name), groups)]
    assert 2 < len(people) < len(PEOPLE)


def test_a_tracker_that_a_role_may_see_no_more(server: Redmine) -> None:
    """The groups that issues name change, so everything's readers are told anew."""
    connector = connect(server)
    *_, end = connector.access({})
    assert isinstance(end, Checkpoint)
    (settings,) = server.sql("select settings from roles where id = 9")[0]
    server.sql(
        "update roles set settings = (select settings from roles where id = 10) where id = 9"
    )
    try:
        told = {c.id: c.access for c in connector.access(end.state) if isinstance(c, AccessChange)}
        assert (
            disagreements(shown_by(server, ("jon", "lou", "ned")), told, connector.groups()) == []
        )
    finally:
        server.sql("update roles set settings = ? where id = 9", settings)


def test_an_archived_project_vanishes(server: Redmine) -> None:
    connector = connect(server)
    before = {line.id for line in connector.list_ids()}
    server.sql("update projects set status = 9 where id = 6")
    try:
        left = {line.id for line in connector.list_ids()}
        assert {"wiki:6:Handbook"} <= before - left
        assert not any("project:6:" in name for name in connector.groups())
    finally:
        server.sql("update projects set status = 1 where id = 6")


def test_a_key_that_is_no_administrators_is_told_apart_from_a_wrong_one(server: Redmine) -> None:
    server.sql(
        "insert into tokens (user_id, action, value, created_on) values (5, 'api', ?, '2026-01-01')",
        "a" * 40,
    )
    for key, word in (("a" * 40, "administrator"), ("wrong", "revoked")):
        secrets = RedmineSecrets.model_validate({"api_key": key})
        checks = RedmineConnector(RedmineSettings(url=server.url), secrets).validate()
        failed = {check.name: check for check in checks if check.outcome is Outcome.FAILED}
        assert {"permissions", "groups"} <= failed.keys()
        assert word in failed["permissions"].fix
        assert all(key not in check.message + check.fix for check in checks)
