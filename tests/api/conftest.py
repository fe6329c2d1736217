"""A whole Switchboard behind a real server: documents with different readers, people with keys, a model that is scripted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from openai import OpenAI
from starlette.applications import Starlette

from app import wiring
from app.api import api_routes
from app.domain import DataClass, ModelCall, ModelChunk, ModelDone, Person, Role, TextDelta, Usage
from app.errors import ModelError
from app.llm.model import Continues
from app.routing.cards import ModelCard
from app.settings import Settings
from app.wiring import Services
from tests.servers.oidc_provider import free_port

FOLDERS = {
    "everyone": ("everyone = true", "Travel policy", "Book every trip at the travel desk."),
    "sales": ('groups = ["sales"]', "Escalation list", "Zirkon Ltd escalates to Tom Okafor."),
    "hr": ('groups = ["hr"]\ndata_class = "restricted"', "Salary bands", "Band zeta pays 91000."),
    "nobody": ("", "Board minutes", "The board discussed a merger with Quasar."),
}
PEOPLE = {
    "ann": ("employee", "Sales", ("sales",)),
    "ben": ("employee", "Support", ()),
    "hana": ("employee", "People", ("hr",)),
    "ada": ("admin", "IT", ()),
}


@dataclass
class Script:
    """What the model says next; `holds` keeps it silent after its first word until the test or the turn ends it."""

    pieces: list[str] = field(default_factory=lambda: ["Book ", "early ", "[1]."])
    faults: list[ModelError] = field(default_factory=list)
    breaks: ModelError | None = None
    holds: bool = False


class Scripted:
    """A model in its own right: says what the test's script says, and counts the calls that ended."""

    id, label, provider = "scripted", "Scripted model", "scripted"
    continues: Continues = ""

    def __init__(self) -> None:
        self.script = Script()
        self.calls: list[ModelCall] = []
        self.cancelled = threading.Event()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        script = self.script
        self.calls.append(call)
        if script.faults:
            raise script.faults.pop(0)
        try:
            for piece in script.pieces:
                yield TextDelta(piece)
                if script.holds:
                    await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise
        if script.breaks:
            raise script.breaks
        yield ModelDone(Usage(100, 20))

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None


@dataclass
class House:
    """`keys` and `people` by first name."""

    services: Services
    address: str
    keys: dict[str, str]
    people: dict[str, Person]
    model: Scripted

    def client(self, name: str = "ann") -> OpenAI:
        return OpenAI(base_url=f"{self.address}/v1", api_key=self.keys[name], max_retries=0)

    def http(self, name: str | None = "ann") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[name]}"} if name else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def events(self, kind: str = "") -> list[dict[str, object]]:
        found = [json.loads(line)["event"] for line in self.services.ledger.export()]
        return [event for event in found if kind in ("", event["type"])]


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    settings = Settings(
        data_dir=folder / "data",
        port=free_port(),
        demo=False,
        local_model=False,
        openai_api_key="",
        anthropic_api_key="",
        api_requests_per_minute=100_000,
    )
    services = wiring.build(settings)
    model = Scripted()
    services.catalogue.add(card(), model, "compatible")
    keys, people = add_people(services)
    add_documents(services, people["ada"], folder / "docs")
    with serving(services) as address:
        yield House(services, address, keys, people, model)
    services.close()


@pytest.fixture(autouse=True)
def fresh_script(request: pytest.FixtureRequest) -> None:
    """Each test starts with the plain script."""
    if "house" in request.fixturenames:
        model = request.getfixturevalue("house").model
        model.script = Script()
        model.calls.clear()
        model.cancelled.clear()


def card() -> ModelCard:
    return ModelCard(
        id="scripted",
        label="Scripted model",
        provider="scripted",
        model_name="scripted",
        context_tokens=32_000,
        price_in=1.0,
        price_out=2.0,
        clearance=DataClass.RESTRICTED,
        local=False,
    )


def add_people(services: Services) -> tuple[dict[str, str], dict[str, Person]]:
    keys: dict[str, str] = {}
    people: dict[str, Person] = {}
    accounts = services.identity.accounts
    for name, (role, team, groups) in PEOPLE.items():
        with services.database.write() as session:
            row = accounts.upsert(
                session,
                issuer="test",
                subject=name,
                email=f"{name}@example.test",
                name=name.title(),
                role=Role(role),
                team=team,
                groups=groups,
            )
            person_id = row.id
        person = accounts.person(person_id)
        assert person is not None
        people[name] = person
        keys[name] = services.identity.keys.create(person_id, "tests", 30, person_id)[0]
    return keys, people


def add_documents(services: Services, admin: Person, root: Path) -> str:
    for name, (access, title, text) in FOLDERS.items():
        (root / name).mkdir(parents=True)
        if access:
            (root / name / "access.toml").write_text(f"[access]\n{access}\n")
        (root / name / "note.md").write_text(f"# {title}\n\n{text}\n")
    connector = services.sync.add(admin, "folder", "Notes", {"path": str(root)}, 3600)
    run = services.sync.run_once(connector)
    assert run.status == "finished", run.error
    return connector


@contextmanager
def serving(services: Services, *, start: bool = True) -> Iterator[str]:
    """The API on a real server whose lifespan starts and stops the services, as app.server's does."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if start:
            services.start(asyncio.get_running_loop())
        yield
        if start:
            await services.stop()

    port = services.settings.port
    app = Starlette(routes=api_routes(services), lifespan=lifespan)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 90
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
