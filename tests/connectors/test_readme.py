"""What connectors/README.md shows works: its example passes the contract's tests, and its table says what the code can do."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr

import connectors
from connectors.contract import Access, Capability, Connector, Event, Outcome, Reader
from connectors.suite import ConnectorContract, listing
from tests.servers.json_server import JsonServer, Reply, Request

README = (Path(connectors.__file__).parent / "README.md").read_text(encoding="utf-8")
TOKEN, WEBHOOK = "tok-4711", "hook-4711"


class NotesServer:
    """The small API that the example speaks of: pages of two, a token, who may read what."""

    def __init__(self) -> None:
        self.notes = {
            "1": note("Lunch", "At noon.", "staff"),
            "2": note("Pay", "Bands.", "staff", only=["ada@example.test"]),
            "3": note("Safe", "Behind the picture.", "hr"),
        }
        self.teams = {"staff": ["group:hr", "bob@example.test"], "hr": ["ada@example.test"]}

    def answer(self, request: Request) -> Reply:
        if request.bearer != TOKEN:
            return Reply({"error": "token"}, 401)
        if request.path == "/notes":
            return Reply(self._page(request.query.get("after", "")))
        if request.path == "/teams":
            return Reply(self.teams)
        _, _, id, *rest = request.path.split("/")
        if id not in self.notes:
            return Reply({"error": "no such note"}, 404)
        if rest:
            return Reply(self._reads(self.notes[id], request.query["person"]))
        return Reply({"id": id, **self.notes[id]})

    def _page(self, after: str) -> dict[str, Any]:
        ids = [id for id in sorted(self.notes) if id > after]
        rows = [{"id": id, **self.notes[id]} for id in ids[:2]]
        return {"notes": rows, "next": ids[1] if len(ids) > 2 else ""}

    def _reads(self, row: dict[str, Any], person: str) -> bool:
        return person in self._members(row["team"]) and person in row.get("only", [person])

    def _members(self, team: str) -> set[str]:
        names = self.teams[team]
        inner = [self._members(n.removeprefix("group:")) for n in names if n.startswith("group:")]
        return {name for name in names if "@" in name}.union(*inner)


def note(title: str, text: str, team: str, **more: Any) -> dict[str, Any]:
    version = hashlib.sha256(text.encode()).hexdigest()[:8]
    return {"title": title, "text": text, "team": team, "version": version, **more}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The README's example as a module of its own."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    folder = tmp_path_factory.mktemp("readme")
    (folder / "notes_connector.py").write_text(next(b for b in blocks if "class Notes(" in b))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("notes_connector")
    sys.path.remove(str(folder))


@pytest.fixture
def source() -> Iterator[tuple[NotesServer, str]]:
    world = NotesServer()
    with JsonServer(world.answer) as server:
        yield world, server.url


@pytest.fixture
def notes(example: ModuleType, source: tuple[NotesServer, str]) -> Callable[..., Connector]:
    def make(address: str = source[1], token: str = TOKEN) -> Connector:
        secrets = example.NotesSecrets(token=SecretStr(token), webhook=SecretStr(WEBHOOK))
        connector: Connector = example.Notes(example.NotesSettings(address=address), secrets)
        return connector

    return make


class TestTheExample(ConnectorContract):
    @pytest.fixture
    def connector(self, notes: Callable[..., Connector]) -> Connector:
        return notes()

    @pytest.fixture
    def broken_connector(self, notes: Callable[..., Connector]) -> Connector:
        return notes(token="wrong")

    @pytest.fixture
    def changed_connector(
        self, notes: Callable[..., Connector], source: tuple[NotesServer, str]
    ) -> Callable[[], Connector]:
        def change() -> Connector:
            world, _ = source
            world.notes["1"] = note("Lunch", "At one.", "staff")
            del world.notes["3"]
            world.notes["4"] = note("New", "Fresh.", "staff")
            return notes()

        return change


def test_the_example_narrows_readers_and_says_what_it_saw(notes: Callable[..., Connector]) -> None:
    documents = listing(notes()).documents
    assert documents["1"].access == Access.of(groups=["staff"])
    assert documents["2"].access == Access.of(["ada@example.test"]) & documents["1"].access
    checks = {check.name: check.message for check in notes().validate()}
    assert checks == {
        "content": "3 notes can be read.",
        "permissions": "3 notes name their readers.",
        "groups": "2 teams.",
    }
    assert {c.outcome for c in notes(token="wrong").validate()} == {Outcome.FAILED}


def test_the_example_asks_live_and_takes_signed_events(notes: Callable[..., Connector]) -> None:
    connector = notes()
    assert connector.may_read("2", Reader("ada@example.test"))
    assert not connector.may_read("2", Reader("bob@example.test"))
    body = json.dumps({"ids": ["1"]}).encode()
    signature = hmac.new(WEBHOOK.encode(), body, hashlib.sha256).hexdigest()
    assert connector.handle_event(Event(body, {"x-signature": signature})).ids == ("1",)


def _rows() -> list[list[str]]:
    table = README[README.index("| kind |") :].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_the_table_says_what_the_code_can_do(row: list[str]) -> None:
    kind, *_, groups, events, live = row
    found = {}
    for module in pkgutil.iter_modules(connectors.__path__):
        if module.ispkg and module.name in {kind, f"{kind}_resources"}:
            package = importlib.import_module(f"connectors.{module.name}")
            found[package.CONNECTOR.kind] = package.CONNECTOR
    told = {Capability.GROUPS: groups, Capability.EVENTS: events, Capability.LIVE_CHECK: live}
    for capability, cell in told.items():
        written = getattr(found[kind], capability) is not getattr(Connector, capability)
        assert written == (cell != "no"), f"{kind}: {capability.value}"
