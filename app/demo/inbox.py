"""The demo's receiver of webhooks: keeps what it was sent and shows it, so that the button can be tried without an account.

Mounted only with the demo issuer, which answers this machine alone. A message needs an `Idempotency-Key`, a header that no
foreign web page can send without asking first; the same key twice is the same message.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from app.domain import now
from app.identity.addresses import host_of, is_loopback
from app.identity.render import HEADERS, PAGES
from app.settings import Settings

PATH = "/demo/inbox"
KEPT = 50
LARGEST = 100_000


def with_inbox(settings: Settings) -> Settings:
    """The demo's settings: webhooks go to the inbox unless an address was set."""
    if not (settings.demo and settings.demo_issuer) or settings.webhook_url:
        return settings
    return settings.model_copy(
        update={"webhook_url": f"http://{settings.host}:{settings.port}{PATH}"}
    )


@dataclass(frozen=True, slots=True)
class Message:
    key: str
    subject: str
    at: str
    body: str


class Inbox:
    """The newest messages, in memory."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._templates = Environment(
            loader=FileSystemLoader([Path(__file__).parent, PAGES]),
            autoescape=True,
            undefined=StrictUndefined,
        )

    async def take(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        body = await request.body()
        if not _from_here(request) or not key or len(body) > LARGEST:
            return JSONResponse({"error": "not a message for this inbox"}, status_code=400)
        try:
            payload = json.loads(body)
        except ValueError:
            return JSONResponse({"error": "not JSON"}, status_code=400)
        subject = payload.get("subject", "") if isinstance(payload, dict) else ""
        self._messages[key[:200]] = Message(
            key=key[:200],
            subject=str(subject) or "Message",
            at=f"{now():%Y-%m-%d %H:%M:%S} UTC",
            body=json.dumps(payload, indent=2, ensure_ascii=False),
        )
        while len(self._messages) > KEPT:
            self._messages.popitem(last=False)
        return JSONResponse({"received": True})

    async def show(self, request: Request) -> Response:
        if not _from_here(request):
            return JSONResponse({"error": "this machine only"}, status_code=403)
        page = self._templates.get_template("inbox.html").render(
            title="The demo's inbox", messages=list(reversed(self._messages.values()))
        )
        return HTMLResponse(page, headers=HEADERS)


def inbox_routes() -> list[Route]:
    inbox = Inbox()
    return [
        Route(PATH, inbox.show, methods=["GET"]),
        Route(PATH, inbox.take, methods=["POST"]),
    ]


def _from_here(request: Request) -> bool:
    return is_loopback(host_of(f"http://{request.headers.get('host', '')}"))
