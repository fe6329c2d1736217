"""The demo issuer: a real OpenID provider inside the app, for the invented people, on this machine only.

It asks for no password, so it refuses to exist when Switchboard listens beyond loopback, and refuses every request whose
`Host` is not this machine (a proxy in front, or a rebound name).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from anyio.to_thread import run_sync
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.db import Database
from app.domain import Role, now
from app.identity import render
from app.identity.addresses import host_of, is_loopback
from app.identity.identity import DEMO_CLIENT, ISSUER_PATH, refuse_beyond_loopback
from app.identity.issuer_grants import SCOPES, DemoClient, Received, make_server
from app.identity.issuer_store import ALGORITHM, CodeStore, KeyStore
from app.identity.signin import CALLBACK_PATH, LOGOUT_PATH
from app.settings import Settings

LOGIN = "/auth/login"
Endpoint = Callable[[Request], Awaitable[Response]]


class IssuerPerson(Protocol):
    """Who can sign in (app.demo.people.DemoPerson is one)."""

    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def role(self) -> Role: ...
    @property
    def team(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...


def issuer_routes(
    settings: Settings,
    database: Database,
    people: Sequence[IssuerPerson],
    clock: Callable[[], datetime] = now,
) -> list[Route]:
    """Routes under `/demo/issuer`; none when a provider is configured. Raises ConfigurationError beyond loopback."""
    if not settings.demo_issuer:
        return []
    refuse_beyond_loopback(settings)
    issuer = DemoIssuer(settings, database, people, clock)
    return [
        Route(ISSUER_PATH + path, this_machine_only(endpoint), methods=methods)
        for path, endpoint, methods in (
            ("/.well-known/openid-configuration", issuer.metadata, ["GET"]),
            ("/jwks", issuer.jwks, ["GET"]),
            ("/authorize", issuer.authorize, ["GET", "POST"]),
            ("/token", issuer.token, ["POST"]),
            ("/end-session", issuer.end_session, ["GET", "POST"]),
        )
    ]


class DemoIssuer:
    """One client, one sign-in page, no sessions of its own."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        people: Sequence[IssuerPerson],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._issuer = settings.address + ISSUER_PATH
        self._people = {person_key(person): person for person in people}
        self.keys = KeyStore(database, clock)
        self._server = make_server(
            self._issuer,
            DemoClient(
                DEMO_CLIENT, settings.address + CALLBACK_PATH, settings.address + LOGOUT_PATH
            ),
            CodeStore(database, clock),
            self.keys,
            {key: _claims(key, person) for key, person in self._people.items()},
        )

    async def metadata(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{self._issuer}/authorize",
                "token_endpoint": f"{self._issuer}/token",
                "jwks_uri": f"{self._issuer}/jwks",
                "end_session_endpoint": f"{self._issuer}/end-session",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "scopes_supported": list(SCOPES),
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def jwks(self, _request: Request) -> Response:
        keys = await run_sync(self.keys.keys)
        return JSONResponse(keys.as_dict(private=False))

    async def authorize(self, request: Request) -> Response:
        return await run_sync(self._authorize, await self._receive(request), request.url.query)

    async def token(self, request: Request) -> Response:
        received = await self._receive(request)
        response: Response = await run_sync(self._server.create_token_response, received)
        return response

    async def end_session(self, request: Request) -> Response:
        return await run_sync(self._end_session, await self._receive(request))

    async def _receive(self, request: Request) -> Received:
        form = await request.form() if request.method == "POST" else None
        return Received(
            method=request.method,
            uri=self._issuer + request.url.path.removeprefix(ISSUER_PATH),
            headers=request.headers,
            query=request.query_params.multi_items(),
            form=[(k, v) for k, v in form.multi_items() if isinstance(v, str)] if form else (),
        )

    def _authorize(self, received: Received, query: str) -> Response:
        """GET shows who can sign in; POST with a person's key sends the browser back with a code."""
        try:
            grant = self._server.get_consent_grant(received)
        except OAuth2Error as error:
            return self._refuse(error)
        chosen = dict(received.form).get("person", "")
        if received.method == "GET" or (chosen and chosen not in self._people):
            return render.page(
                "issuer.html", title="Choose who to sign in as", query=query, teams=self._teams()
            )
        response: Response = self._server.create_authorization_response(
            grant.request, grant_user=chosen or None, grant=grant
        )
        return self._named(response)

    def _refuse(self, error: OAuth2Error) -> Response:
        """Back to the client where its address is known to be right, else a page."""
        if getattr(error, "redirect_uri", None):
            response: Response = self._server.handle_error_response(None, error)
            return self._named(response)
        return render.notice(
            title="The demo sign-in cannot answer this request",
            message=str(error.description or error.error),
            button="Start sign-in again",
            href=LOGIN,
            code=str(error.error),
            status=400,
        )

    def _named(self, response: Response) -> Response:
        """Adds `iss` (RFC 9207) to an answer that goes back to the client."""
        location = response.headers.get("location")
        if location:
            response.headers["location"] = add_params_to_uri(location, [("iss", self._issuer)])
        return response

    def _end_session(self, received: Received) -> Response:
        try:
            response: Response | None = self._server.create_endpoint_response(
                "end_session", received
            )
        except OAuth2Error as error:
            return self._refuse(error)
        return response or render.notice(
            title="You are signed out",
            message="The demo sign-in keeps nobody signed in.",
            button="Sign in again",
            href=LOGIN,
        )

    def _teams(self) -> list[tuple[str, list[dict[str, str]]]]:
        """People in the order given, by team in the order of first appearance."""
        order = {
            team: place
            for place, team in enumerate(dict.fromkeys(p.team for p in self._people.values()))
        }
        ranked = sorted(self._people.items(), key=lambda item: order[item[1].team])
        return [
            (team, [_card(key, person) for key, person in members])
            for team, members in itertools.groupby(ranked, key=lambda item: item[1].team)
        ]


def this_machine_only(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        if is_loopback(host_of(f"http://{request.headers.get('host', '')}")):
            return await endpoint(request)
        return render.notice(
            title="The demo sign-in works on this machine only",
            message="It asks for no password, so it answers to localhost and to nobody else.",
            fix="Connect your identity provider to use Switchboard from other machines.",
            button="Start sign-in again",
            href=LOGIN,
            status=403,
        )

    return answer


def person_key(person: IssuerPerson) -> str:
    """The subject: stable across restarts, and not the address itself."""
    return hashlib.sha256(f"demo:{person.email.lower()}".encode()).hexdigest()[:24]


def _claims(key: str, person: IssuerPerson) -> dict[str, Any]:
    return {
        "sub": key,
        "email": person.email,
        "email_verified": True,
        "name": person.name,
        "role": Role(person.role).value,
        "team": person.team,
        "groups": list(person.groups),
    }


def _card(key: str, person: IssuerPerson) -> dict[str, str]:
    role = Role(person.role)
    words = person.name.split()
    return {
        "key": key,
        "email": person.email,
        "name": person.name,
        "title": person.title,
        "initials": "".join(word[0] for word in (words[0], words[-1]))[:2].upper()
        if words
        else "?",
        "role": "" if role is Role.EMPLOYEE else role.label.capitalize(),
    }
