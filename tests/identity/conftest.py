"""A provider, the app's sign-in routes in front of it on a real server, and a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.db import Database
from app.db.tables import SessionRow
from app.domain import now
from app.identity import SESSION_COOKIE, Identity, issuer_routes, sign_in_routes
from app.records import Ledger
from app.settings import Settings
from tests.servers.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OidcProvider,
    free_port,
    serving,
)


class Clock:
    """The real time, moved by `offset`."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return now() + self.offset

    def advance(self, **amount: float) -> None:
        self.offset += timedelta(**amount)


@dataclass
class Site:
    """The app's side: its address and what it is made of."""

    address: str
    settings: Settings
    database: Database
    ledger: Ledger
    identity: Identity
    clock: Clock

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, follow_redirects=True, timeout=20)

    def sign_in(self, browser: httpx.Client, next_path: str = "/") -> httpx.Response:
        return browser.get("/auth/login", params={"next": next_path})

    def callback_address(self, browser: httpx.Client) -> str:
        """Walks a sign-in up to the address that the provider sends the browser back to."""
        begun = browser.get("/auth/login", follow_redirects=False)
        back = browser.get(begun.headers["location"], follow_redirects=False)
        assert back.status_code == 302
        return str(back.headers["location"])

    def who(self, browser: httpx.Client) -> dict[str, Any] | None:
        found: dict[str, Any] | None = browser.get("/who").json()
        return found

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line)["event"] for line in self.ledger.export()]

    def sessions(self) -> list[SessionRow]:
        from sqlalchemy import select

        with self.database.read() as session:
            return list(session.execute(select(SessionRow)).scalars())


MakeSite = Callable[..., Site]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identity(settings: Settings, database: Database, ledger: Ledger, clock: Clock) -> Identity:
    return Identity.build(settings, database, ledger, clock)


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    provider = OidcProvider(free_port())
    with serving(provider.app(), provider.port):
        yield provider


@pytest.fixture
def make_site(
    settings: Settings, database: Database, ledger: Ledger, clock: Clock
) -> Iterator[MakeSite]:
    """Serves the sign-in routes with these settings changed."""
    running: list[Any] = []

    def make(people: Any = (), **changes: Any) -> Site:
        changes.setdefault("port", free_port())
        ours = settings.model_copy(update=changes)
        identity = Identity.build(ours, database, ledger, clock)

        async def who(request: Request) -> Response:
            person = identity.sessions.resolve(request.cookies.get(SESSION_COOKIE))
            if person is None:
                return JSONResponse(None)
            return JSONResponse(
                {
                    "email": person.email,
                    "name": person.name,
                    "role": person.role.value,
                    "team": person.team,
                    "principals": sorted(person.principals),
                }
            )

        async def page(request: Request) -> Response:
            return JSONResponse({"path": str(request.url).removeprefix(ours.address)})

        app = Starlette(
            routes=[
                *sign_in_routes(identity, ours),
                *issuer_routes(ours, database, people, clock),
                Route("/who", who),
                Route("/{path:path}", page),
            ]
        )
        context = serving(app, ours.port)
        context.__enter__()
        running.append(context)
        return Site(ours.address, ours, database, ledger, identity, clock)

    yield make
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def site(make_site: MakeSite, provider: OidcProvider) -> Site:
    return make_site(**at(provider))


def at(provider: OidcProvider) -> dict[str, Any]:
    """Settings that point at the test provider."""
    from pydantic import SecretStr

    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": SecretStr(CLIENT_SECRET),
    }
