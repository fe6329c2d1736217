"""A desk over a real database with durable work running, and a receiver for webhooks on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.access import Policy
from app.actions import ActionDesk
from app.db import Database
from app.db.tables import ActionRequestRow
from app.domain import Person, Role
from app.durable import Durable
from app.identity.accounts import Accounts
from app.identity.groups import Directory
from app.records import Ledger
from app.settings import Settings
from tests.conftest import MakePerson

DEADLINE_S = 90.0
TICKET = {"title": "No VPN", "body": "It says 403.", "queue": "IT", "priority": "normal"}
MESSAGE = {"subject": "New laptop", "message": "Please order one.", "requested_for": "Kim"}


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with the next status of `answers`, then with 200. `hang` is how long it waits before, until released."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self.requests.append(Received(request.url.path, dict(request.headers), body))
        if self.hangs:
            import asyncio

            while not self.released.is_set():
                await asyncio.sleep(0.02)
        status = self.answers.pop(0) if self.answers else 200
        return Response(status_code=status, headers={"location": f"{self.url}/elsewhere"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["POST", "GET"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}/hook/token-in-the-path"
    yield receiver
    receiver.released.set()
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return settings.model_copy(update={"webhook_url": receiver.url, "webhook_timeout_s": 0.5})


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy()


@pytest.fixture
def durable(settings: Settings, database: Database) -> Iterator[Durable]:
    durable = Durable(settings, database)
    yield durable
    durable.shutdown()


@pytest.fixture
def accounts(database: Database, ledger: Ledger) -> Accounts:
    return Accounts(database, ledger, Directory(database))


@pytest.fixture
def desk(
    database: Database,
    ledger: Ledger,
    policy: Policy,
    durable: Durable,
    accounts: Accounts,
    settings: Settings,
) -> ActionDesk:
    desk = ActionDesk(database, ledger, policy, durable, accounts, settings)
    durable.launch()
    return desk


@pytest.fixture
def mara(make_person: MakePerson) -> Person:
    return make_person("Mara")


@pytest.fixture
def tom(make_person: MakePerson) -> Person:
    """Mara's team lead."""
    return make_person("Tom", role=Role.TEAM_LEAD)


@pytest.fixture
def ada(make_person: MakePerson) -> Person:
    return make_person("Ada", role=Role.ADMIN, team="IT")


@pytest.fixture
def ended(database: Database) -> Callable[[str], ActionRequestRow]:
    """Waits until a request is done or failed and returns it."""

    def wait(request_id: str) -> ActionRequestRow:
        def row() -> ActionRequestRow:
            with database.read() as session:
                found = session.get(ActionRequestRow, request_id)
            assert found is not None
            return found

        until(lambda: row().status in {"done", "failed"})
        return row()

    return wait


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
