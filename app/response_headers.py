"""Headers of every web page: whatever a text manages to say, the browser loads nothing from elsewhere for it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Scripts and styles are left to Streamlit, which needs inline ones; what a hostile text could load is closed.
POLICY = (
    b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'; "
    b"frame-src 'self'; connect-src 'self' ws: wss:"
)
HEADERS = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class PageHeaders:
    """ASGI middleware; adds the headers to HTML answers and passes everything else on untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name.lower(): value for name, value in given}
                if b"text/html" in names.get(b"content-type", b""):
                    added = [header for header in HEADERS if header[0] not in names]
                    message["headers"] = [*given, *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
