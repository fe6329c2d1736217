"""Over smart HTTP with a token, from git's own server; faults in words; push webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.contract import (
    BadEvent,
    Capability,
    Connector,
    Context,
    Event,
    Handled,
    Outcome,
    SourceFault,
)
from connectors.git import GitConnector
from connectors.git.settings import GitSecrets, GitSettings
from connectors.suite import ConnectorContract, listing
from tests.connectors.git_repository import Repository
from tests.servers.git_server import GitServer, git_server

TOKEN = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "served/handbook")
    repository.write("a.md")
    repository.write("b/c.md", "# C")
    repository.commit()
    return repository


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    del repository
    with git_server(tmp_path / "served") as server:
        server.token = TOKEN
        yield server


def git(server: GitServer, token: str = TOKEN, name: str = "handbook/.git") -> GitConnector:
    secrets = GitSecrets.model_validate({"token": token})
    return GitConnector(GitSettings(url=server.url(name), everyone=True), secrets)


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, server: GitServer) -> Connector:
        return git(server)

    @pytest.fixture
    def broken_connector(self, server: GitServer) -> Connector:
        return git(server, name="gone.git")

    @pytest.fixture
    def changed_connector(
        self, server: GitServer, repository: Repository
    ) -> Callable[[], Connector]:
        def change() -> Connector:
            repository.write("a.md", "# Other")
            repository.write("new.md")
            repository.git("rm", "-q", "b/c.md")
            repository.commit()
            return git(server)

        return change


def test_only_new_commits_are_fetched(server: GitServer, repository: Repository) -> None:
    repository.write("large.bin", random.Random(1).randbytes(300_000))
    repository.commit()
    first = listing(git(server))
    assert sum(server.sent) > 300_000
    state = first.checkpoints[-1].state
    server.sent.clear()
    assert listing(git(server), checkpoint=state, known=first.versions).present == set()
    assert sum(server.sent) < 2_000
    repository.write("a.md", "# Other")
    repository.commit()
    server.sent.clear()
    again = listing(git(server), checkpoint=state, known=first.versions)
    assert again.documents.keys() == {"a.md"}
    assert sum(server.sent) < 5_000


@pytest.mark.parametrize(
    ("token", "answer", "words", "outcome"),
    [
        ("", 0, "wants a token", Outcome.FAILED),
        ("expired-token", 0, "refuses the token", Outcome.FAILED),
        (TOKEN, 403, "refuses the token", Outcome.FAILED),
        (TOKEN, 404, "may not see it", Outcome.FAILED),
        (TOKEN, 429, "answered 429", Outcome.INDETERMINATE),
        (TOKEN, 503, "answered 503", Outcome.INDETERMINATE),
    ],
)
def test_faults_name_cause_and_way_out_and_no_secret(
    server: GitServer,
    caplog: pytest.LogCaptureFixture,
    token: str,
    answer: int,
    words: str,
    outcome: Outcome,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = answer
    check = git(server, token).validate()[0]
    assert words in check.message
    assert (check.outcome, bool(check.fix)) == (outcome, True)
    assert not token or token not in f"{check} {caplog.text}"
    with pytest.raises(SourceFault):
        listing(git(server, token))


def test_a_token_revoked_later_shows_nothing_of_the_copy(server: GitServer) -> None:
    listing(git(server))
    server.token = "another"
    connector = git(server)
    for ask in (lambda: connector.list_ids(), lambda: connector.access({})):
        with pytest.raises(SourceFault):
            list(ask())
    with pytest.raises(SourceFault):
        list(connector.refetch(["a.md"]))


def test_a_server_that_is_away_is_indeterminate(server: GitServer) -> None:
    settings = GitSettings(url="http://127.0.0.1:9/handbook", everyone=True)
    check = GitConnector(settings).validate()[0]
    assert check.outcome is Outcome.INDETERMINATE
    assert "cannot be reached" in check.message
    del server


def test_a_token_never_travels_unencrypted() -> None:
    settings = GitSettings(url="http://git.acme.test/handbook", everyone=True)
    connector = GitConnector(settings, GitSecrets.model_validate({"token": TOKEN}))
    check = connector.validate()[0]
    assert check.outcome is Outcome.FAILED
    assert "unencrypted" in check.message


def test_a_cancelled_fetch_ends_and_claims_nothing(server: GitServer) -> None:
    connector = git(server)
    connector.context = Context(cancelled=lambda: True)
    assert list(connector.changes({}, {})) == []
    assert len(listing(git(server)).documents) == 2


def hooked(branch: str = "") -> GitConnector:
    secrets = GitSecrets.model_validate({"webhook_secret": "hook"})
    return GitConnector(GitSettings(url="/srv/h", branch=branch), secrets)


def signed(body: bytes, secret: bytes = b"hook") -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


PUSH = json.dumps({"ref": "refs/heads/main"}).encode()
GENUINE = [
    {"x-hub-signature-256": f"sha256={signed(PUSH)}"},
    {"x-hub-signature": f"sha256={signed(PUSH)}"},
    {"x-gitea-signature": signed(PUSH)},
    {"x-gitlab-token": "hook"},
]


@pytest.mark.parametrize("headers", GENUINE)
def test_a_genuine_push_asks_for_a_sync(headers: dict[str, str]) -> None:
    asked = Handled(content=True, permissions=True)
    assert hooked().handle_event(Event(PUSH, headers)) == asked
    assert hooked("main").handle_event(Event(PUSH, headers)) == asked
    assert hooked("other").handle_event(Event(PUSH, headers)) == Handled()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": "sha256="},
        {"x-hub-signature-256": f"sha256={signed(PUSH, b'guess')}"},
        {"x-hub-signature-256": f"sha256={signed(b'other body')}"},
        {"x-hub-signature": "sha1=0000"},
        {"x-gitlab-token": ""},
        {"x-gitlab-token": "hooké"},
    ],
)
def test_a_forged_push_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadEvent):
        hooked().handle_event(Event(PUSH, headers))


def test_without_a_secret_no_event_counts() -> None:
    connector = GitConnector(GitSettings(url="/srv/h"))
    assert Capability.EVENTS not in connector.capabilities
    assert Capability.EVENTS in hooked().capabilities
    with pytest.raises(BadEvent):
        connector.handle_event(Event(PUSH, {"x-gitlab-token": ""}))
