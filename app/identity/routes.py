"""`/auth/login`, `/auth/callback` and `/auth/logout`. Async; SQL runs in a thread.

Signing out by GET is safe enough: with SameSite=Lax an image or form of another site carries no session cookie, and a link
from another site (told by Sec-Fetch-Site) is asked to confirm. Without a session `/auth/logout` is the page that says so,
which is where the provider's own sign-out returns to.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.errors import SignInError
from app.identity import render
from app.identity.addresses import local_path, same_place
from app.identity.faults import fault
from app.identity.identity import Identity
from app.identity.opaque import LONGEST, new_token
from app.identity.sessions import SESSION_COOKIE
from app.identity.signin import ATTEMPT_LIFE, CALLBACK_PATH, LOGOUT_PATH, Answer
from app.settings import Settings

log = logging.getLogger(__name__)

LOGIN_PATH = "/auth/login"
LOGIN_COOKIE = "switchboard_login"
MOVED = "moved"

Endpoint = Callable[[Request], Awaitable[Response]]


def sign_in_routes(identity: Identity, settings: Settings) -> list[Route]:
    """The routes to mount at the root of the app."""
    desk = _Desk(identity, settings)
    return [
        Route(LOGIN_PATH, desk.guarded(desk.login), methods=["GET"]),
        Route(CALLBACK_PATH, desk.guarded(desk.callback), methods=["GET"]),
        Route(LOGOUT_PATH, desk.guarded(desk.logout), methods=["GET", "POST"]),
    ]


class _Desk:
    def __init__(self, identity: Identity, settings: Settings) -> None:
        self._sign_in = identity.sign_in
        self._sessions = identity.sessions
        self._settings = settings
        self._address = settings.address

    async def login(self, request: Request) -> Response:
        next_path = local_path(request.query_params.get("next"))
        if not request.query_params.get(MOVED) and not same_place(
            self._address, request.url.scheme, request.headers.get("host", "")
        ):
            # A cookie set for 127.0.0.1 never reaches localhost, where the provider sends the browser back to.
            query = urlencode({"next": next_path, MOVED: "1"})
            return _redirect(f"{self._address}{LOGIN_PATH}?{query}")
        # One value for all tabs of a browser, so that a second sign-in does not spoil the first.
        browser = _cookie(request, LOGIN_COOKIE) or new_token()
        response = _redirect(await self._sign_in.begin(next_path, browser))
        self._set_cookie(
            request, response, LOGIN_COOKIE, browser, int(ATTEMPT_LIFE.total_seconds()), "/auth"
        )
        return response

    async def callback(self, request: Request) -> Response:
        query = request.query_params
        answer = Answer(
            state=query.get("state", ""),
            code=query.get("code", ""),
            error=query.get("error", ""),
            issuer=query.get("iss", ""),
        )
        token, next_path = await self._sign_in.complete(
            answer, _cookie(request, LOGIN_COOKIE), request.headers.get("user-agent", "")
        )
        earlier = _cookie(request, SESSION_COOKIE)
        if earlier:  # signing in anew replaces this browser's session
            await self._sign_in.end(earlier)
        response = _redirect(self._address + next_path)
        self._set_cookie(
            request, response, SESSION_COOKIE, token, self._settings.session_hours * 3600, "/"
        )
        return response

    async def logout(self, request: Request) -> Response:
        token = _cookie(request, SESSION_COOKIE)
        if not token:
            return render.notice(
                title="You are signed out",
                message="The session has ended in this browser, in all its tabs.",
                button="Sign in again",
                href=LOGIN_PATH,
            )
        if request.headers.get("sec-fetch-site") == "cross-site":
            return render.notice(
                title="Sign out of Switchboard?",
                message="A link on another site brought you here.",
                button="Sign out",
                href=LOGOUT_PATH,
            )
        response = _redirect(await self._sign_in.end(token) or LOGOUT_PATH)
        self._set_cookie(request, response, SESSION_COOKIE, "", 0, "/")
        return response

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """Turns every failure into a page: no stack trace, no session."""

        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except SignInError as error:
                return render.failure(error)
            except Exception:
                log.exception("the sign-in broke at %s", request.url.path)
                broken = fault("internal_error")
                await self._try_to_record(broken)
                return render.failure(broken)

        return answer

    async def _try_to_record(self, error: SignInError) -> None:
        try:
            await self._sign_in.record_failure(error)
        except Exception:  # the database itself may be what broke: the page must still come
            log.exception("the failure could not be recorded")

    def _set_cookie(
        self, request: Request, response: Response, name: str, value: str, max_age: int, path: str
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            secure=self._address.startswith("https:") or request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )


def _redirect(address: str) -> RedirectResponse:
    """303, never stored: a cached answer would repeat a used state."""
    return RedirectResponse(
        address,
        status_code=303,
        headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
    )


def _cookie(request: Request, name: str) -> str:
    value = request.cookies.get(name, "")
    return value if len(value) <= LONGEST else ""
