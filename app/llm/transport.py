"""What happens below the SDKs: the HTTP errors that surface through them, timeouts, and the end of a stream.

Both SDKs sit on httpx2 with aiohttp as its transport (the SDKs' own `DefaultAioHttpClient`): its C parser halves the cost
of a streamed token. Reading the raw body bypasses the SDKs' stream classes and with them their translation of errors, so
httpx2's own are translated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx2

from app.errors import ModelError
from app.llm import faults
from app.llm.guard import Guard, Refused
from app.llm.sse import MalformedEvent, events

CONNECT_S = 5.0
WRITE_S = 15.0
POOL_S = 5.0
DRAIN_S = (
    0.1  # after the last event the body should end at once; then its connection can be used again
)

_UNUSABLE_ADDRESS = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.LocalProtocolError,
    httpx2.TooManyRedirects,
    UnicodeError,
)
_UNREACHABLE = (
    httpx2.RequestError,
    httpx2.StreamError,
    aiohttp.ClientError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    ssl.SSLError,
    OSError,
)


def timeouts(read_s: float) -> httpx2.Timeout:
    """`read_s` bounds the silence of a socket; the tighter deadlines of a chat are in app.llm.deadline."""
    return httpx2.Timeout(read_s, connect=CONNECT_S, write=WRITE_S, pool=POOL_S)


class Bridge(Protocol):
    """The SDKs' transport over aiohttp; `client` may be what opens a session."""

    client: Any
    ssl_context: ssl.SSLContext

    def __init__(self, *, proxy: httpx2.Proxy | None = None) -> None: ...

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response: ...

    async def aclose(self) -> None: ...


def guarded(
    bridge: type[Bridge], guard: Guard | None, address: str
) -> httpx2.AsyncBaseTransport | None:
    """For an address that an admin gave; None, the SDK's own way, where there is no guard. A proxy that the environment names
    for the address is used."""
    if guard is None:
        return None
    if proxy := _proxy(address):
        return _Proxied(guard, bridge(proxy=httpx2.Proxy(proxy)))
    direct = bridge()
    direct.client = lambda: guard.session(direct.ssl_context)
    return cast(httpx2.AsyncBaseTransport, direct)


def _proxy(address: str) -> str | None:
    parts = urlsplit(address)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    known = urllib.request.getproxies()
    return known.get(parts.scheme) or known.get("all")


class _Proxied(httpx2.AsyncBaseTransport):
    """The proxy makes the connection, so that the name is judged before; one that only the proxy can resolve is its to judge."""

    def __init__(self, guard: Guard, inner: Bridge) -> None:
        self._guard = guard
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        with contextlib.suppress(OSError):
            await self._guard.addresses(request.url.host)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def translate(label: str, error: Exception) -> ModelError:
    """The error that a failure below or beside the SDK is to us. Never raises; the unknown counts as a broken answer."""
    name = type(error).__name__
    if isinstance(error, Refused):
        return faults.led_inside(label, error.cause)
    if isinstance(error, MalformedEvent):
        return faults.broken(label, str(error))
    if isinstance(error, _UNUSABLE_ADDRESS):
        return faults.misconfigured(label, name)
    if timed_out(error):
        return faults.timed_out(label, name)
    if isinstance(error, _UNREACHABLE):
        return faults.unreachable(label, name)
    return faults.broken(label, name)


def timed_out(error: BaseException) -> bool:
    """Whether it was time, not a lost connection. The aiohttp bridge calls a dropped connection a ConnectTimeout, so the
    innermost known cause decides."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectionError):
            return isinstance(cause, aiohttp.ServerTimeoutError)
        cause = cause.__cause__
    return isinstance(error, httpx2.TimeoutException | TimeoutError)


def transport_error(error: BaseException) -> str:
    """The innermost cause's class name, for the log."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def require_event_stream(label: str, headers: Mapping[str, str]) -> None:
    """Raises ModelUnavailable when a 200 is no event stream: a login page, a proxy's apology, a server without streaming."""
    kind = headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        raise faults.broken(
            label, f"{faults.CONTENT_TYPE} {kind.partition(';')[0][:60] or 'missing'}"
        )


def event_lists(response: httpx2.Response) -> AsyncGenerator[list[dict[str, Any]], None]:
    """The JSON events of a response, those of one network read together."""
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    body: AsyncIterator[bytes] = response.aiter_bytes() if encoded else response.aiter_raw()
    return events(body)


async def drain(lists: AsyncGenerator[list[dict[str, Any]], None]) -> None:
    """Reads the (empty) rest of a finished stream, for a moment only."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError, MalformedEvent):
        async with asyncio.timeout(DRAIN_S):
            async for _ in lists:
                continue
