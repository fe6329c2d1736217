"""An httpx transport that connects where the guard says, decodes bodies in small pieces and keeps one deadline per request.

A request's extension `types` (a set of media types) leaves the body of any other type unread. The name stays in the Host
header and in TLS: httpcore takes both from the address, only the connection goes to the checked IP address.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from connectors.faults import SourceFault
from connectors.website.guard import Guard

PIECE = 65_536
LEADS_TO = "Leads-To"
"""What Location becomes: httpx would build the next request from it, and call a bad one a network fault."""
SocketOptions = Iterable[Any]


class TooSlow(SourceFault):
    """One answer took longer than the deadline; it is not asked for again in this run."""


class BadBody(SourceFault):
    """A body in an encoding that was not asked for, or broken."""


class Deadline:
    """Of the request that this thread is making."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._own = threading.local()

    def start(self) -> None:
        self._own.at = self._clock() + self._seconds

    def shorten(self, timeout: float | None) -> float:
        """A timeout that does not outlast the deadline. Raises TooSlow."""
        left = float(getattr(self._own, "at", self._clock() + self._seconds)) - self._clock()
        if left <= 0:
            raise TooSlow(
                f"The server took more than {self._seconds:.0f} seconds for one answer.",
                "The next sync tries again; exclude the address if this goes on.",
                passing=True,
            )
        return left if timeout is None else min(timeout, left)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.shorten(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.shorten(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.shorten(timeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves once, checks, and connects to the checked address: the one place where a connection is opened."""

    def __init__(self, guard: Guard, deadline: Deadline, inner: httpcore.NetworkBackend) -> None:
        self._guard = guard
        self._deadline = deadline
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._guard.addresses(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        failed: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.shorten(timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} has no address")


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterator[bytes], close: Callable[[], None]) -> None:
        self._parts = parts
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._parts

    def close(self) -> None:
        self._close()


class GuardedTransport(httpx.BaseTransport):
    """`deadline_s` is for one whole answer, from the connection to the last byte."""

    def __init__(
        self,
        guard: Guard,
        *,
        deadline_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        inner: httpcore.NetworkBackend | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._deadline = Deadline(deadline_s, clock)
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust or httpx.create_ssl_context(),
            max_connections=10,
            max_keepalive_connections=2,
            keepalive_expiry=5.0,
            network_backend=GuardedBackend(guard, self._deadline, inner or httpcore.SyncBackend()),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused, TooSlow, BadBody, and httpx.TransportError."""
        self._guard.check_url(request.url)
        self._deadline.start()
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"accept-encoding"]
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=[*headers, (b"Accept-Encoding", b"gzip")],
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        with _httpx_errors():
            answer = self._pool.handle_request(asked)
        return _response(answer, request.extensions.get("types"))

    def close(self) -> None:
        self._pool.close()


def media_type(headers: httpx.Headers) -> str:
    kind: str = headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower()


def _response(answer: httpcore.Response, types: frozenset[str] | None) -> httpx.Response:
    headers = httpx.Headers(answer.headers)
    if location := headers.pop("Location", ""):
        headers[LEADS_TO] = location
    parts: Iterator[bytes] = iter(answer.iter_stream())
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if types is not None and answer.status == 200 and media_type(headers) not in types:
        parts, encoding = iter(()), ""
        headers.pop("Content-Length", None)
    if encoding not in {"", "identity"}:
        if encoding not in {"gzip", "x-gzip", "deflate"}:  # one layer only: two multiply a bomb
            answer.close()
            raise BadBody(
                "The answer is compressed in a way that was not asked for.",
                "Have the website send gzip or nothing.",
            )
        parts = _decoded(parts)
        headers.pop("Content-Length", None)
    headers.pop("Content-Encoding", None)
    return httpx.Response(answer.status, headers=headers, stream=_Body(parts, answer.close))


def _decoded(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Never more than `PIECE` bytes at once, so that who counts them can stop a decompression bomb."""
    decoder = zlib.decompressobj(32 + zlib.MAX_WBITS)  # gzip and zlib, told apart by their header
    try:
        for part in parts:
            rest = part
            while rest and not decoder.eof:
                yield decoder.decompress(rest, PIECE)
                rest = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise BadBody(
            "The answer is compressed wrongly.", "Try again; check the website's server."
        ) from None


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """httpcore's faults as httpx names them: both libraries use the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        httpcore.ProxyError,
    ) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
