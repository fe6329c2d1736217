"""Tokens by client credentials (learn.microsoft.com, "Get access without a user"): bought before the old one ends, and once more
when it is refused."""

from __future__ import annotations

from collections.abc import Callable, Generator

import httpx

from connectors.contract import Context, SourceFault
from connectors.http_answers import body_json
from connectors.sharepoint.settings import SharePointSettings

MARGIN_S = 120


class GraphAuth(httpx.Auth):
    def __init__(self, context: Context, settings: SharePointSettings, secret: str) -> None:
        self._http = context.http.at(settings.login_url + "/")
        self._now: Callable[[], float] = lambda: context.clock().timestamp()
        graph = httpx.URL(settings.graph_url)
        self._path = f"{settings.tenant_id}/oauth2/v2.0/token"
        self._form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": secret,
            "scope": f"{graph.scheme}://{graph.netloc.decode()}/.default",
        }
        self._token, self._ends = "", 0.0

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._current()}"
        response = yield request
        if response.status_code == 401:
            self._token = ""
            request.headers["Authorization"] = f"Bearer {self._current()}"
            yield request

    def _current(self) -> str:
        if not self._token or self._now() >= self._ends - MARGIN_S:
            self._buy()
        return self._token

    def _buy(self) -> None:
        response = self._http.request(
            "POST", self._path, data=self._form, repeat=True, accept=(400, 401)
        )
        body = body_json(response)
        if response.status_code >= 400 or not isinstance(body, dict):
            raise _refused(body if isinstance(body, dict) else {})
        self._token = str(body["access_token"])
        self._ends = self._now() + float(body.get("expires_in") or 3599)


def _refused(body: dict[str, object]) -> SourceFault:
    """By Microsoft's number: 7000222 an expired secret, 7000215 a wrong one, 90002 an unknown tenant, 700016 an unknown app."""
    raw = body.get("error_codes")
    codes = {int(code) for code in raw} if isinstance(raw, list) else set()
    if 7000222 in codes:
        return SourceFault("The client secret has expired.", "Create a new one and swap it here.")
    if codes & {90002, 900023}:
        return SourceFault("Microsoft knows no such tenant.", "Check the directory (tenant) ID.")
    if 700016 in codes:
        return SourceFault("The tenant knows no such app.", "Check the application (client) ID.")
    return SourceFault(
        "Microsoft does not accept the client secret.",
        "Enter the secret's value, not its ID, or create a new one.",
    )
