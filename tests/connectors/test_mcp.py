"""The MCP connector against a real server in a process of its own, over streamable HTTP and over stdio."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.contract import (
    Access,
    AccessChange,
    Change,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.mcp_resources import McpResources
from connectors.mcp_resources.settings import McpSecrets, McpSettings
from connectors.suite import ConnectorContract, listing
from tests.servers import mcp_server

TOKEN = "tell-nobody-4711"
STAFF = Access(known=True, groups=frozenset({"staff"}), company_groups=True)
WORLD: dict[str, Any] = {
    "resources": [
        {"uri": "note://travel", "name": "Travel", "mime": "text/markdown", "text": "# By train"},
        {"uri": "note://lunch", "mime": "text/plain; charset=utf-8", "text": "At noon."},
        {
            "uri": "https://wiki.example.test/3",
            "name": "Pay",
            "mime": "text/html",
            "text": "<p>Bands</p>",
            "modified": "2026-01-02T03:04:05Z",
        },
        {"uri": "note://logo", "mime": "image/png", "blob": "AAAA"},
        {"uri": "file:///a/plan.pdf", "blob": base64.b64encode(b"%PDF-1.4").decode()},
    ]
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server's address and its world."""
    file = tmp_path_factory.mktemp("mcp") / "world.json"
    file.write_text(json.dumps(WORLD))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, mcp_server.__file__, str(file), "--port", str(port)]
    process = subprocess.Popen([*command, "--token", TOKEN])
    try:
        _until_it_listens(port)
        yield f"http://127.0.0.1:{port}/mcp", file
    finally:
        process.terminate()
        process.wait(10)


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


class World:
    """The server's file, and connectors to it by either transport."""

    def __init__(self, file: Path, url: str) -> None:
        self.file, self.url = file, url
        self.write(WORLD)

    def write(self, world: dict[str, Any]) -> None:
        partial = self.file.with_suffix(".new")
        partial.write_text(json.dumps(world))
        partial.replace(self.file)

    def resources(self, *rows: dict[str, Any], **more: object) -> None:
        self.write({"resources": list(rows), **more})

    def web(self, token: str = TOKEN, context: Context | None = None, **more: Any) -> McpResources:
        values = {"url": self.url, "groups": ["staff"], "call_timeout_s": 10, **more}
        secrets = McpSecrets(token=SecretStr(token))
        return McpResources(McpSettings.model_validate(values), secrets, context)

    def program(self, context: Context | None = None, **more: Any) -> McpResources:
        command = shlex.join([sys.executable, mcp_server.__file__, str(self.file)])
        own = {"transport": "program", "command": command, "secret_variable": "API_TOKEN"}
        return self.web(context=context, **{**own, **more})


@pytest.fixture
def world(address: tuple[str, Path]) -> World:
    return World(address[1], address[0])


def note(name: str, text: str = "Text.", **more: object) -> dict[str, Any]:
    return {"uri": f"note://{name}", "name": name, "mime": "text/plain", "text": text, **more}


def failures(changes: list[Change]) -> dict[str, Failure]:
    return {change.id: change for change in changes if isinstance(change, Failure)}


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: World) -> Connector:
        return world.web()

    @pytest.fixture
    def broken_connector(self, world: World) -> Connector:
        return world.web(url="http://127.0.0.1:1/mcp")

    @pytest.fixture
    def changed_connector(self, world: World) -> Callable[[], Connector]:
        def change() -> Connector:
            world.resources(note("lunch", "At one."), note("new"))
            return world.web()

        return change


# --- What a resource becomes --------------------------------------------------------------------------------------------


def test_resources_of_all_pages_become_documents(world: World) -> None:
    documents = listing(world.web()).documents
    assert {id: (d.mime, d.content) for id, d in documents.items()} == {
        "note://travel": ("text/markdown", b"# By train"),
        "note://lunch": ("text/plain", b"At noon."),
        "https://wiki.example.test/3": ("text/html", b"<p>Bands</p>"),
        "file:///a/plan.pdf": ("application/pdf", b"%PDF-1.4"),
    }
    assert {d.access for d in documents.values()} == {STAFF}
    assert {d.space for d in documents.values()} == {"Notes"}


def test_a_program_over_stdio_gives_the_same(world: World) -> None:
    found, web = listing(world.program()), listing(world.web())
    assert found.documents == web.documents
    assert len(found.documents) == 4


def test_a_time_of_change_is_the_version_and_saves_the_reading(world: World) -> None:
    world.resources(note("a", modified="2026-01-02T03:04:05Z"))
    first = listing(world.web())
    (document,) = first.documents.values()
    assert document.modified_at is not None
    assert document.modified_at.isoformat() == "2026-01-02T03:04:05+00:00"
    world.resources(note("a", modified="2026-01-02T03:04:05Z", fault="error"))
    again = listing(world.web(), known=first.versions)
    assert again.changes[0] == Unchanged("note://a", STAFF)
    world.resources(note("a", "Newer.", modified="2026-01-03T00:00:00Z"))
    assert listing(world.web(), known=first.versions).documents["note://a"].content == b"Newer."


def test_parts_of_text_are_one_document_and_mixed_parts_fail(world: World) -> None:
    parts = [{"text": "One."}, {"text": "Two."}]
    world.resources(
        note("texts", parts=parts), note("mixed", parts=[{"text": "a"}, {"blob": "AAAA"}])
    )
    found = listing(world.web())
    assert found.documents["note://texts"].content == b"One.\n\nTwo."
    assert "2 parts" in failures(found.changes)["note://mixed"].cause


def test_links(world: World) -> None:
    documents = listing(world.web()).documents
    assert documents["https://wiki.example.test/3"].url == "https://wiki.example.test/3"
    assert documents["note://lunch"].url == ""
    linked = listing(world.web(link="https://x.test/?u={uri}")).documents["note://lunch"]
    assert linked.url == "https://x.test/?u=note%3A%2F%2Flunch"


def test_patterns_choose(world: World) -> None:
    found = listing(world.web(include=["note://*"], exclude=["*lunch"]))
    assert found.documents.keys() == {"note://travel"}


def test_deleted_resources_are_deletions(world: World) -> None:
    world.resources(note("a"))
    first, second = world.web().refetch(["note://a", "note://gone"])
    assert isinstance(first, Document)
    assert second == Deletion("note://gone")
    assert [line.id for line in world.web().list_ids()] == ["note://a"]


# --- Readers ------------------------------------------------------------------------------------------------------------


def test_without_stated_readers_nobody_reads(world: World) -> None:
    connector = world.web(groups=[])
    assert {d.access for d in listing(connector).documents.values()} == {Access.nobody()}
    content, permissions = connector.validate()
    assert (content.outcome, permissions.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert permissions.fix


def test_people_and_everyone_as_stated(world: World) -> None:
    (first, *_) = listing(world.web(groups=[], users=["Ada@Example.test"])).documents.values()
    assert first.access.users == {"ada@example.test"}
    assert not first.access.everyone
    (first, *_) = listing(world.web(groups=[], everyone=True)).documents.values()
    assert first.access.everyone


def test_readers_are_confirmed_without_asking_until_they_change(world: World) -> None:
    *_, last = world.web().access({})
    assert isinstance(last, Checkpoint)
    away = world.web(url="http://127.0.0.1:1/mcp")
    assert list(away.access(last.state)) == [last]
    told = list(world.web(groups=["hr"]).access(last.state))
    readers = [c.access.groups for c in told if isinstance(c, AccessChange)]
    assert readers == [frozenset({"hr"})] * 4


# --- Faults -------------------------------------------------------------------------------------------------------------


def test_a_wrong_or_missing_token_is_the_credential_s_fault(world: World) -> None:
    for token in ("wrong-one-9", ""):
        check, _ = world.web(token).validate()
        assert check.outcome is Outcome.FAILED
        assert "401" in check.message
        assert "wrong-one-9" not in check.message + check.fix
        with pytest.raises(SourceFault) as fault:
            listing(world.web(token))
        assert not fault.value.passing


def test_another_address_of_the_server_fails_with_words(world: World) -> None:
    check, _ = world.web(url=world.url.replace("/mcp", "/other")).validate()
    assert (check.outcome, "404" in check.message) == (Outcome.FAILED, True)


def test_a_server_that_is_away_is_indeterminate(world: World) -> None:
    check, _ = world.web(url="http://127.0.0.1:1/mcp").validate()
    assert check.outcome is Outcome.INDETERMINATE


def test_one_resource_that_cannot_be_read_fails_alone(world: World) -> None:
    world.resources(note("bad", fault="error"), note("good"), note("slow", fault="hang"))
    found = listing(world.web(call_timeout_s=1))
    assert found.documents.keys() == {"note://good"}
    causes = failures(found.changes)
    assert "Resource not found" in causes["note://bad"].cause
    assert "within 1 seconds" in causes["note://slow"].cause
    assert found.checkpoints[-1].complete


def test_oversized_blobs_and_broken_ones_fail_alone(world: World) -> None:
    blob = base64.b64encode(b"x" * 50_000).decode()
    world.resources(
        note("told", size=10**9),
        {"uri": "file:///big.pdf", "blob": blob},
        {"uri": "file:///odd.pdf", "blob": "no base64!"},
        {"uri": "file:///data", "blob": "AAAA"},
        note("good"),
    )
    found = listing(world.web(), max_bytes=20_000)
    causes = {id: failure.cause for id, failure in failures(found.changes).items()}
    assert "1,000,000,000 bytes; the limit is 20,000" in causes["note://told"]
    assert "50,000 bytes" in causes["file:///big.pdf"]
    assert "base64" in causes["file:///odd.pdf"]
    assert "cannot be searched" in causes["file:///data"]
    assert found.documents.keys() == {"note://good"}


def test_an_answer_over_all_limits_is_cut_off(world: World) -> None:
    world.resources(note("flood", "y" * 4_000_000), note("good"))
    found = listing(world.web(call_timeout_s=2), max_bytes=1000)
    assert "note://flood" in failures(found.changes)
    assert found.documents.keys() == {"note://good"}


def test_a_listing_that_never_ends_is_refused(world: World) -> None:
    world.write({**WORLD, "listing": "round"})
    with pytest.raises(SourceFault, match="again and again"):
        listing(world.web())
    world.write(WORLD)
    with pytest.raises(SourceFault, match="more than 2 resources"):
        list(world.web(most_resources=2).list_ids())


def test_a_program_that_dies_in_the_middle_claims_nothing(world: World) -> None:
    world.resources(note("a"), note("b", fault="die"), note("c"))
    sent: list[Change] = []
    with pytest.raises(SourceFault, match="ended unexpectedly") as fault:
        sent.extend(world.program().changes({}, {}))
    assert fault.value.passing
    assert not any(isinstance(change, Checkpoint) for change in sent)


def test_a_program_that_hangs_is_ended(world: World) -> None:
    world.write({**WORLD, "listing": "hang"})
    with pytest.raises(SourceFault, match="within 3 seconds"):
        listing(world.program(call_timeout_s=3))
    assert not _running(str(world.file), "mcp_server.py")


def test_a_cancel_ends_a_hanging_read_and_the_program(world: World) -> None:
    world.resources(note("a", fault="hang"))
    began = time.monotonic()

    def cancelled() -> bool:
        """Once the program has been running for a while, as when a person clicks."""
        return time.monotonic() - began > 2.5

    changes = list(world.program(Context(cancelled=cancelled), call_timeout_s=60).changes({}, {}))
    assert changes == []
    assert time.monotonic() - began < 60
    assert not _running(str(world.file), "mcp_server.py")


def test_a_program_s_environment_is_limited_and_its_words_hide_the_secret(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHBOARD_KEY", "must-not-travel")
    world.resources(note("env", fault="environment"), note("bad", fault="error"))
    found = listing(world.program(environment=["MODE=read only"]))
    given = json.loads(found.documents["note://env"].content)
    assert (given["MODE"], given["API_TOKEN"]) == ("read only", TOKEN)
    assert "SWITCHBOARD_KEY" not in given
    cause = failures(found.changes)["note://bad"].cause
    assert "•••" in cause
    assert TOKEN not in cause


def test_a_program_that_cannot_start_says_why(world: World) -> None:
    check, _ = world.program(command="/no/such/program --x").validate()
    assert (check.outcome, "cannot be run" in check.message) == (Outcome.FAILED, True)
    complaint = shlex.join([sys.executable, "-c", f"raise SystemExit('no licence for {TOKEN}')"])
    check, _ = world.program(command=complaint).validate()
    assert "Its last words: no licence for •••" in check.message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "web address"),
        ({"transport": "program"}, "command line"),
        ({"url": "ftp://x.test"}, "https://"),
        ({"url": "https://me:pw@x.test/mcp"}, "credential"),
        ({"transport": "program", "command": "npx 'open"}, "split"),
        ({"url": "https://x.test", "environment": ["1X=2"]}, "NAME=value"),
        ({"url": "https://x.test", "users": ["ada"]}, "e-mail"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        McpSettings.model_validate(values)


def test_a_secret_never_travels_unencrypted() -> None:
    settings = McpSettings(url="http://mcp.example.test/mcp")
    check, _ = McpResources(settings, McpSecrets(token=SecretStr(TOKEN))).validate()
    assert (check.outcome, "unencrypted" in check.message) == (Outcome.FAILED, True)


def _running(*words: str) -> bool:
    """Whether a process with all these words in its command line runs over stdio."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if all(word in command for word in words) and "--port" not in command:
                return True
    return False


# --- A server of others -------------------------------------------------------------------------------------------------


def test_a_server_from_npm(tmp_path: Path) -> None:
    """The protocol's own reference server, where npm is there and can install it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
    package = "@modelcontextprotocol/server-everything"
    try:
        subprocess.run(
            [*command, str(tmp_path), package], check=True, capture_output=True, timeout=30
        )
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm cannot install it here ({type(error).__name__})")
    program = tmp_path / "node_modules" / package / "dist" / "index.js"
    settings = McpSettings(
        transport="program", command=shlex.join(["node", str(program)]), groups=("staff",)
    )
    connector = McpResources(settings)
    assert connector.validate()[0].outcome is Outcome.PASSED
    found = listing(connector)
    assert len(found.documents) >= 2
    assert all(d.content and d.access == STAFF for d in found.documents.values())
    assert found.checkpoints[-1].complete
    assert os.path.exists(program)
