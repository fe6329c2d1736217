"""A real web server whose sites a test writes: virtual hosts by the Host header, validators, redirects, robots, and faults.

`web.site("docs.test")` is a site; its pages are set by path. Conditional requests are answered as RFC 9110, 13 has it, with
304 and no body. `asked` keeps every request as `host path`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Resource:
    """`etag` is made from the body unless it is None; `packed` sends gzip to those who accept it."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    validator: bool = True
    modified: str = ""
    packed: bool = False
    answers: Callable[[Any], None] | None = None

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:12]}"' if self.validator else ""


@dataclass
class Site:
    resources: dict[str, Resource] = field(default_factory=dict)

    def put(self, path: str, body: str | bytes, kind: str = "", **more: Any) -> Resource:
        data = body.encode() if isinstance(body, str) else body
        resource = Resource(data, kind or "text/html; charset=utf-8", **more)
        self.resources[path] = resource
        return resource

    def page(self, path: str, text: str, *links: str, head: str = "", **more: Any) -> Resource:
        anchors = " ".join(f'<a href="{link}">{link}</a>' for link in links)
        title = text.split(".")[0]
        html = f"<html><head><title>{title}</title>{head}</head><body><nav>{anchors}</nav><h1>{title}</h1><p>{text}</p></body></html>"
        return self.put(path, html, **more)

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        self.resources[path] = Resource(b"", status=status, headers={"Location": target})

    def remove(self, path: str) -> None:
        del self.resources[path]


@dataclass
class Web:
    port: int
    sites: dict[str, Site] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    not_modified: list[str] = field(default_factory=list)

    def site(self, host: str) -> Site:
        return self.sites.setdefault(host, Site())

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    web: Web

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        self.web.asked.append(f"{host} {self.path}")
        site = self.web.sites.get(host)
        found = site.resources.get(self.path) if site else None
        if found is None:
            self._send(404, b"Not found", "text/plain", {})
        elif found.answers is not None:
            found.answers(self)
        elif found.status == 200 and self._same(found):
            self.web.not_modified.append(self.path)
            self._send(304, b"", found.kind, self._validators(found))
        else:
            self._send_resource(found)

    def _send_resource(self, found: Resource) -> None:
        headers = {**self._validators(found), **found.headers}
        body = found.body
        if found.packed and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        self._send(found.status, body, found.kind, headers)

    def _same(self, found: Resource) -> bool:
        if tag := self.headers.get("If-None-Match"):
            return bool(found.etag) and found.etag in tag
        since = self.headers.get("If-Modified-Since")
        return bool(since) and since == found.modified

    def _validators(self, found: Resource) -> dict[str, str]:
        headers = {"ETag": found.etag} if found.etag and found.status == 200 else {}
        return {**headers, **({"Last-Modified": found.modified} if found.modified else {})}

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        if kind and status != 304:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 304:
            with contextlib.suppress(ConnectionError):  # the client had enough
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def endless(piece: bytes, kind: str = "text/html", encoding: str = "", pause_s: float = 0.0) -> Any:
    """Sends pieces until the client hangs up, or two hundred thousand of them."""

    def answer(handler: _Handler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if encoding:
            handler.send_header("Content-Encoding", encoding)
        handler.send_header("Connection", "close")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200_000):
                handler.wfile.write(piece)
                if pause_s:
                    time.sleep(pause_s)

    return answer


@contextlib.contextmanager
def website(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    web = Web(0)
    handler = type("Handler", (_Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
