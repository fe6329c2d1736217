"""A web API on a free port of 127.0.0.1: what the test servers of hosted services share.

A service is a function from `Request` to `Reply`; it keeps its own world and its own rules. `faults` come before it: a fault
answers the next calls whose path holds its text, which is how a test makes a source busy, broken or hostile.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """`path` is decoded, `headers` are in lower case, a parameter that comes twice keeps its last value."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    @property
    def bearer(self) -> str:
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind.lower() in {"bearer", "token"} else ""


@dataclass(frozen=True)
class Reply:
    """A `body` of bytes goes as it is, anything else as JSON."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """Answers the next `times` calls whose path holds `path`."""

    path: str
    reply: Reply
    times: int = 1


class JsonServer:
    """Use with `with`. `requests` are the calls that reached it, faults included."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self._one = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    unquote(parts.path),
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(size),
                )
                self._send(server._reply(request))

            def _send(self, reply: Reply) -> None:
                is_bytes = isinstance(reply.body, bytes)
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
                data = body if isinstance(body, bytes) else body.encode()
                if reply.body is None or reply.status in {204, 304}:
                    data = b""
                self.send_response(reply.status)
                if data and not is_bytes:
                    self.send_header("Content-Type", "application/json; charset=utf-8")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def __enter__(self) -> JsonServer:
        threading.Thread(target=self._httpd.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def _reply(self, request: Request) -> Reply:
        with self._one:  # one call at a time: the worlds are plain objects
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and fault.path in request.path:
                    fault.times -= 1
                    return fault.reply
            return self.answer(request)
