"""The HTTP client that connectors are given: one place for retries, rate limits, `Retry-After` and words for faults.

A request is repeated on 429, 502, 503, 504 and network faults when its method is safe to repeat, with exponential back-off
and jitter (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/); `Retry-After` in seconds or
as a date (RFC 9110, 10.2.3) and the vendors' `X-RateLimit-Reset` win over it. What still fails becomes a `SourceFault` that
says whether the credential or the network is to blame.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from connectors.http_answers import away, body_json, busy, refused, retry_after

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_WAIT_S = 900.0
"""A source that asks for more patience than this is reported instead."""
REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT"}
USER_AGENT = "Switchboard connector"


class TooLarge(Exception):
    """A body over the limit that the caller set. `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Cancelled(Exception):
    """The work was cancelled while a request waited."""


class Http:
    """Safe to use from several threads. `pause` and `clock` (Unix seconds) exist for tests."""

    def __init__(
        self,
        *,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | tuple[str, str] | None = None,
        requests_per_minute: int = 600,
        timeout_s: float = 30.0,
        cancelled: Callable[[], bool] = lambda: False,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | None = None,
        shares: Http | None = None,
    ) -> None:
        self._client = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": USER_AGENT, **(headers or {})},
            auth=auth,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            follow_redirects=False,
            transport=transport,
        )
        self._cancelled = cancelled
        self._pause = pause
        self._clock = clock
        self._transport = transport
        self._per_minute = requests_per_minute
        self._limit: _Bucket = shares._limit if shares else _Bucket(requests_per_minute, clock)

    def at(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | tuple[str, str] | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> Http:
        """A client for one API: its address and credential, under the same rate limit and cancellation."""
        return Http(
            base_url=base_url,
            headers=headers,
            auth=auth,
            timeout_s=timeout_s,
            requests_per_minute=self._per_minute,
            cancelled=self._cancelled,
            pause=self._pause,
            clock=self._clock,
            transport=transport or self._transport,
            shares=self,
        )

    def close(self) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        repeat: bool | None = None,
        accept: tuple[int, ...] = (),
        max_bytes: int | None = None,
        **options: Any,
    ) -> httpx.Response:
        """A response below 400, or of a status in `accept`; its body is read.

        `repeat` says that the request may be sent again (default: by its method; True for a POST that only reads).
        Raises SourceFault for anything else, TooLarge for a body over `max_bytes`, Cancelled.
        """
        may_repeat = method.upper() in REPEATABLE if repeat is None else repeat
        waited, attempt = 0.0, 0
        while True:
            attempt += 1
            self._wait_turn()
            try:
                response = self._send(method, url, max_bytes, options)
            except httpx.TransportError as error:
                pause = _back_off(attempt)
                if not may_repeat or attempt >= ATTEMPTS or waited + pause > LONGEST_WAIT_S:
                    raise away(self._name(url), error) from error
            else:
                if response.status_code < 400 or response.status_code in accept:
                    return response
                if not busy(response) or not may_repeat:
                    raise refused(response)
                asked = retry_after(response, self._clock())
                pause = _back_off(attempt) if asked is None else asked
                # A server that names its time is waited for; one that only fails gets a few tries.
                if (asked is None and attempt >= ATTEMPTS) or waited + pause > LONGEST_WAIT_S:
                    raise refused(response)
            waited += pause
            self._sleep(pause)

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def json(self, url: str, **options: Any) -> Any:
        """The parsed body of a GET. Raises SourceFault for a body that is no JSON."""
        return body_json(self.request("GET", url, **options))

    def post_json(self, url: str, **options: Any) -> Any:
        """The parsed body of a POST that only reads (a query): it is repeated as a GET is."""
        return body_json(self.request("POST", url, repeat=True, **options))

    def wait(self, seconds: float) -> None:
        """A pause that a source asks for in the body of an answer (MediaWiki's maxlag); a cancel ends it."""
        self._sleep(seconds)

    def _send(
        self, method: str, url: str, max_bytes: int | None, options: Mapping[str, Any]
    ) -> httpx.Response:
        if max_bytes is None:
            return self._client.request(method, url, **options)
        follow = options.get("follow_redirects", httpx.USE_CLIENT_DEFAULT)
        auth = options.get("auth", httpx.USE_CLIENT_DEFAULT)
        rest = {k: v for k, v in options.items() if k not in {"follow_redirects", "auth"}}
        request = self._client.build_request(method, url, **rest)
        response = self._client.send(request, stream=True, follow_redirects=follow, auth=auth)
        try:
            if int(response.headers.get("Content-Length") or 0) > max_bytes:
                raise TooLarge(max_bytes)
            parts, size = [], 0
            for part in response.iter_bytes():
                size += len(part)
                if size > max_bytes:
                    raise TooLarge(max_bytes)
                parts.append(part)
        finally:
            response.close()
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in {"content-encoding", "content-length", "transfer-encoding"}
        ]
        return httpx.Response(
            response.status_code,
            headers=headers,
            content=b"".join(parts),
            request=response.request,
            history=response.history,
        )

    def _wait_turn(self) -> None:
        while (pause := self._limit.take()) > 0:
            self._sleep(pause)

    def _sleep(self, seconds: float) -> None:
        """In slices, so that a cancel is honoured within a second."""
        if self._cancelled():
            raise Cancelled
        while seconds > 0:
            part = min(seconds, 0.5)
            self._pause(part)
            seconds -= part
            if self._cancelled():
                raise Cancelled

    def _name(self, url: str) -> str:
        host = httpx.URL(url).host or self._client.base_url.host
        return host or url


class _Bucket:
    """A token bucket: at most `per_minute` requests a minute, a tenth of them at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60
        self._size = max(1.0, per_minute / 10)
        self._clock = clock
        self._tokens = self._size
        self._at = clock()
        self._one = threading.Lock()

    def take(self) -> float:
        """0 when a token was taken, else the seconds until there is one."""
        with self._one:
            now = self._clock()
            self._tokens = min(self._size, self._tokens + max(0.0, now - self._at) * self._rate)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._rate


def _back_off(attempt: int) -> float:
    """Full jitter over a doubling ceiling."""
    ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
    return float(random.uniform(ceiling / 2, ceiling))
