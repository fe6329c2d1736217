"""The HTTP client of the MCP library: bearer token, a wait when the server asks for one, a limit on what is taken in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

LONGEST_WAIT_S = 20.0
ATTEMPTS = 3


@dataclass
class Refusal:
    """The status of the newest answer that was an error; 0 for none. The library tells its callers only that there was one."""

    status: int = 0


def http_client(
    token: str, timeout_s: float, max_bytes: int, refusal: Refusal
) -> httpx2.AsyncClient:
    """Follows no redirect of its own, so that the token stays at the server that it was entered for."""
    import anyio
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, inner: httpx2.AsyncByteStream) -> None:
            self.inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in self.inner:
                size += len(part)
                if size > max_bytes:
                    raise httpx2.StreamError(f"the answer is over {max_bytes} bytes")
                yield part

        async def aclose(self) -> None:
            await self.inner.aclose()

    class Patient(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            for attempt in range(1, ATTEMPTS + 1):
                response = await super().handle_async_request(request)
                refusal.status = response.status_code if response.status_code >= 400 else 0
                pause = _asked(response.headers.get("Retry-After", ""))
                if response.status_code not in {429, 503} or pause is None or attempt == ATTEMPTS:
                    break
                await response.aclose()
                await anyio.sleep(pause)
            if isinstance(response.stream, httpx2.AsyncByteStream):
                response.stream = Bounded(response.stream)
            return response

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0))
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout, transport=Patient(), follow_redirects=False
    )


def _asked(value: str) -> float | None:
    """Seconds that are short enough to wait for in the middle of a call."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= LONGEST_WAIT_S else None
