"""GitHub: the contract, who reads which repository (against the server's own rules), increments, deletions, events, faults."""

from __future__ import annotations

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
    Outcome,
    Reader,
    SourceFault,
)
from connectors.github import GitHubConnector
from connectors.github.settings import GitHubSecrets, GitHubSettings
from connectors.github.texts import inside
from connectors.http import Http
from connectors.suite import ConnectorContract, listing
from tests.servers.github_server import NOW, TOKEN, WEBHOOK_SECRET, GitHubWorld, Team, signed
from tests.servers.json_server import Fault, Reply

CARLA = "carla = carla@partner.test"


@pytest.fixture
def world() -> Iterator[GitHubWorld]:
    world = GitHubWorld()
    world.person("olive", "olive@acme.test", role="owner")
    world.person("ada", "Ada@acme.test")
    world.person("ben", "ben@acme.test")
    world.person("kid", "kid@acme.test")
    world.person("gone", "gone@acme.test", suspended=True)
    world.person("shy")
    world.person("carla", "carla@partner.test", role="outside")
    world.person("stranger", "stranger@partner.test", role="outside")
    world.teams["eng"] = Team("eng", {"ada"})
    world.teams["eng-web"] = Team("eng-web", {"kid", "gone"}, parent="eng")
    world.teams["sales"] = Team("sales", {"ben", "shy"})
    api = world.repo(1, "api", teams={"eng"}, direct={"carla"})
    site = world.repo(2, "site", visibility="public")
    world.repo(3, "handbook", visibility="internal", direct={"carla"}).ticket(
        1, "Holidays", "28 days"
    )
    world.repo(4, "board", writable=False).ticket(1, "Merger", "Secret")
    world.repo(5, "deals", teams={"sales"}, archived=True).ticket(1, "Initech", "4 million")
    api.ticket(1, "Login fails", "It says no.", comments=[("ben", "Me too"), ("kid", "Fixed")])
    api.ticket(
        2,
        "Fix login",
        "Closes #1",
        pull=True,
        updated="2026-01-11T09:00:00Z",
        review_comments=[("ada", "Why here?")],
    )
    api.ticket(3, "Old one", updated="2025-06-01T09:00:00Z")
    api.files = {
        "README.md": b"# API\n\nStart here.",
        "docs/setup.md": b"# Setup",
        "main.py": b"print()",
        "docs/link.md": b"../secret",
    }
    api.links = {"docs/link.md"}
    site.files = {"index.md": b"# Site"}
    with world.http:
        yield world


def github(
    world: GitHubWorld, *, waits: list[float] | None = None, hours: float = 0, **settings: Any
) -> GitHubConnector:
    pause = (waits if waits is not None else []).append
    return GitHubConnector(
        GitHubSettings.model_validate(
            {"organization": "acme", "api_url": world.http.url, "people": [CARLA], **settings}
        ),
        GitHubSecrets(token=SecretStr(world.token), webhook_secret=SecretStr(WEBHOOK_SECRET)),
        Context(
            http=Http(pause=pause, requests_per_minute=100_000, clock=lambda: NOW.timestamp()),
            clock=lambda: NOW + timedelta(hours=hours),
        ),
    )


def state(before: Any) -> Mapping[str, Any]:
    told: Mapping[str, Any] = before.checkpoints[-1].state
    return told


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: GitHubWorld) -> Connector:
        return github(world)

    @pytest.fixture
    def broken_connector(self, world: GitHubWorld) -> Connector:
        world.http.faults.append(Fault("/", Reply({"message": "oops"}, 500), 99))
        return github(world)

    @pytest.fixture
    def changed_connector(self, world: GitHubWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            api = world.repos[1]
            api.tickets[1].comments.append(("ada", "Closed for good."))
            api.tickets[1].updated = "2026-01-19T09:00:00Z"
            api.ticket(9, "New one", updated="2026-01-19T10:00:00Z")
            del api.files["docs/setup.md"]
            return github(world)

        return change


def can_read(access: Access, groups: Mapping[str, frozenset[str]], email: str) -> bool:
    held: set[str] = set()
    for _ in groups:
        held |= {n for n, m in groups.items() if email in m or m & {f"group:{h}" for h in held}}
    inside = access.known and (email in access.users or bool(access.groups & held))
    return inside and all(can_read(part, groups, email) for part in access.also)


def compare(world: GitHubWorld) -> int:
    connector = github(world)
    groups, documents = connector.groups(), listing(connector).documents
    for person in world.people.values():
        told = bool(person.email) and person.login != "stranger"  # whose address nobody told
        for id, document in documents.items():
            repo = world.repos[int(id.partition("/")[0])]
            expected = (
                world.sees(person, repo)
                and told
                and (repo.writable or repo.visibility != "private")
            )
            assert can_read(document.access, groups, person.email.lower()) == expected, (person, id)
        for repo in world.repos.values():
            if told and repo.writable:
                live = connector.may_read(f"{repo.id}/issues/1", Reader(person.email))
                assert live == world.sees(person, repo), (person, repo.name)
    return len(documents)


def test_everybody_finds_what_github_shows_them_and_nothing_else(world: GitHubWorld) -> None:
    assert compare(world) == 9
    world.base_permission = "read"
    compare(world)
    world.base_permission = "none"
    world.teams["eng-web"].parent = ""
    world.repos[2].visibility = "private"
    world.repos[1].direct.clear()
    world.people["olive"].role = "member"
    compare(world)


def test_readers_that_github_does_not_tell_are_nobody_and_validate_says_so(
    world: GitHubWorld,
) -> None:
    assert github(world).groups()["repo:4"] == frozenset()
    checks = {check.name: check for check in github(world).validate()}
    assert checks["permissions"].outcome is Outcome.FAILED
    assert "board" in checks["permissions"].message
    assert checks["content"].message == "5 repositories can be read."
    assert "1 have no known e-mail" in checks["groups"].message


def test_addresses_can_come_from_single_sign_on(world: GitHubWorld) -> None:
    world.saml = {
        "ada": "ada@sso.test",
        "kid": "kid@sso.test",
        "": "unclaimed@sso.test",
        "ben": "no address",
    }
    groups = github(world, emails="saml").groups()
    assert groups["members"] == {"ada@sso.test", "kid@sso.test"}
    assert groups["repo:1"] == {"ada@sso.test", "kid@sso.test", "carla@partner.test"}
    world.saml = {}
    with pytest.raises(SourceFault, match="single sign-on"):
        github(world, emails="saml").groups()


def test_a_line_of_people_needs_an_address() -> None:
    with pytest.raises(ValidationError):
        GitHubSettings(organization="acme", people=("octocat",))


def test_issues_carry_their_comments(world: GitHubWorld) -> None:
    documents = listing(github(world)).documents
    issue, pull = documents["1/issues/1"], documents["1/issues/2"]
    assert issue.title == "Login fails (#1)"
    assert issue.url == "https://github.com/acme/api/issues/1"
    assert b"## Comment by kid, 2026-01-02\n\nFixed" in issue.content
    assert b"## Review comment by ada" in pull.content


def test_only_documents_are_read_and_links_are_not_followed(world: GitHubWorld) -> None:
    whole = {id for id in listing(github(world)).documents if "/files/" in id}
    assert whole == {"1/files/README.md", "1/files/docs/setup.md", "2/files/index.md"}
    world.truncate_trees = True
    assert {id for id in listing(github(world)).documents if "/files/" in id} == whole
    chosen = {id for id in listing(github(world, files=["docs/*.md"])).documents if "/files/" in id}
    assert chosen == {"1/files/docs/setup.md"}


def test_a_second_reading_asks_by_etag_and_reads_nothing(world: GitHubWorld) -> None:
    before = listing(github(world))
    middle = listing(github(world, hours=1), checkpoint=state(before), known=before.versions)
    world.http.requests.clear()
    after = listing(github(world, hours=2), checkpoint=state(middle), known=before.versions)
    assert not after.documents
    paths = world.http.paths()
    assert not [p for p in paths if "blobs" in p or "comments" in p]
    asked = [r for r in world.http.requests if r.path.endswith(("/issues", "/trees/main"))]
    assert [r.path for r in asked if "if-none-match" not in r.headers] == [
        *("/repos/acme/handbook/git/trees/main", "/repos/acme/board/git/trees/main"),
        "/repos/acme/deals/git/trees/main",
    ]  # empty repositories have no tree to have a tag


def test_deleted_issues_go_with_the_full_reading_and_others_stay(world: GitHubWorld) -> None:
    before = listing(github(world))
    del world.repos[1].tickets[3]
    after = listing(github(world, hours=25), checkpoint=state(before), known=before.versions)
    assert [c.id for c in after.changes if isinstance(c, Deletion)] == ["1/issues/3"]
    assert before.documents.keys() - after.present == {"1/issues/3"}


def test_a_renamed_repository_keeps_its_documents_and_one_that_left_takes_them_along(
    world: GitHubWorld,
) -> None:
    before = listing(github(world))
    world.repos[1].name = "backend"
    del world.repos[5]
    after = listing(github(world), checkpoint=state(before), known=before.versions)
    assert [c.id for c in after.changes if isinstance(c, Deletion)] == ["5/issues/1"]
    assert "repo:5" not in github(world).groups()


def test_other_settings_read_everything_again(world: GitHubWorld) -> None:
    before = listing(github(world, pull_requests=False))
    assert "1/issues/2" not in before.documents
    after = listing(github(world), checkpoint=state(before), known=before.versions)
    assert after.documents.keys() == {"1/issues/2"}


def test_a_reading_that_was_cut_off_goes_on(world: GitHubWorld) -> None:
    whole, taken = listing(github(world)), []
    for change in github(world).changes({}, {}):
        taken.append(change)
        if len([c for c in taken if type(c).__name__ == "Checkpoint"]) == 1:
            break
    first = {c.id: c.version for c in taken if isinstance(c, Document)}
    rest = listing(github(world), checkpoint=taken[-1].state, known=first)
    assert first
    assert rest.documents.keys() == whole.documents.keys() - first.keys()


def test_hostile_markdown_cannot_pose_as_a_comment() -> None:
    text = "Hello\n# Big\nTitle\n===\n## Comment by boss\n<!-- hidden\n-->\n```\n# code\n"
    assert inside(text) == "Hello\n**Big**\nTitle\n\n**Comment by boss**\n\n```\n# code\n\n```"
    assert inside("a <!-- never closed") == "a"


def test_a_next_page_elsewhere_never_gets_the_token(world: GitHubWorld) -> None:
    link = {"Link": '<https://evil.test/repos>; rel="next"'}
    world.http.faults.append(Fault("/orgs/acme/repos", Reply([], 200, link)))
    with pytest.raises(SourceFault, match="another host"):
        listing(github(world))


def test_an_incomplete_issue_fails_alone(world: GitHubWorld) -> None:
    rows = [{"number": 1, "title": "no time"}]
    world.http.faults.append(Fault("/repos/acme/api/issues", Reply(rows)))
    found = listing(github(world))
    assert [c.id for c in found.changes if type(c).__name__ == "Failure"] == ["1/issues/1"]
    assert "2/files/index.md" in found.documents


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (403, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": "7"}, 7),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 9)},
            9,
        ),
    ],
)
def test_rate_limits_are_waited_for_and_never_taken_for_a_refusal(
    world: GitHubWorld, status: int, headers: dict[str, str], expected: int
) -> None:
    for path in ("/repos/acme/api/issues", "/repos/acme/api/collaborators"):
        waits: list[float] = []
        world.http.faults = [
            Fault(
                path,
                Reply({"message": "limit"}, status, headers),
                2 if "coll" in path and status == 403 else 1,
            )
        ]
        connector = github(world, waits=waits)
        listing(connector)
        assert "ada@acme.test" in connector.groups()["repo:1"]
        assert sum(waits) == pytest.approx(expected, abs=0.01)


def test_an_expired_token_is_named_and_never_shown(world: GitHubWorld) -> None:
    connector = github(world)
    world.token = "another"
    checks = connector.validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert "401" in fault.value.message
    shown = f"{checks}{fault.value.message}{fault.value.fix}{connector.secrets}"
    assert TOKEN not in shown
    assert WEBHOOK_SECRET not in shown


class TestEvents:
    def call(self, world: GitHubWorld, kind: str, body: Any, secret: str = WEBHOOK_SECRET) -> Any:
        data, headers = signed(kind, body, secret)
        return github(world).handle_event(Event(data, headers))

    def test_a_wrong_signature_is_refused(self, world: GitHubWorld) -> None:
        body = {"repository": {"id": 1}, "issue": {"number": 1}}
        with pytest.raises(BadEvent):
            self.call(world, "issues", body, secret="guess")
        with pytest.raises(BadEvent):
            self.call(world, "issues", {"action": "opened"})

    def test_issues_are_read_again_and_deleted_ones_go(self, world: GitHubWorld) -> None:
        handled = self.call(
            world, "issue_comment", {"repository": {"id": 1}, "issue": {"number": 1}}
        )
        assert handled.ids == ("1/issues/1",)
        world.repos[1].tickets[1].comments.append(("ada", "Seen."))
        (document,) = github(world).refetch(handled.ids)
        assert isinstance(document, Document)
        assert b"Seen." in document.content
        del world.repos[1].tickets[1]
        assert list(github(world).refetch(handled.ids)) == [Deletion("1/issues/1")]

    def test_a_push_names_the_files_of_the_default_branch(self, world: GitHubWorld) -> None:
        repository = {"id": 1, "default_branch": "main"}
        commits = [{"added": ["new.md"], "modified": ["README.md"], "removed": ["docs/setup.md"]}]
        handled = self.call(
            world, "push", {"ref": "refs/heads/main", "repository": repository, "commits": commits}
        )
        assert handled.ids == ("1/files/README.md", "1/files/docs/setup.md", "1/files/new.md")
        assert not self.call(
            world, "push", {"ref": "refs/heads/x", "repository": repository, "commits": commits}
        ).ids
        forced = {"ref": "refs/heads/main", "repository": repository, "forced": True}
        assert self.call(world, "push", forced).content

    @pytest.mark.parametrize("kind", ["member", "membership", "team", "organization", "repository"])
    def test_changes_of_readers_ask_for_the_groups(self, world: GitHubWorld, kind: str) -> None:
        assert self.call(world, kind, {"action": "removed"}).groups
