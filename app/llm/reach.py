"""What a provider's server answers before any model is asked: is it there at all, and which models does it name?

Adapters stream through their SDK; looking goes through the same HTTP client, so that it takes the same way.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import aiohttp
import httpx2
from pydantic_core import from_json

from app.llm import transport
from app.llm.guard import Refused

LOOK_S = 6.0
_LONGEST = 4 * 1024 * 1024
_USUAL_PATH = "Check that the address ends where its API begins, usually with /v1."
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


@dataclass(frozen=True, slots=True)
class Looked:
    """An HTTP answer: `names` are the ids in a list of models, None when it is no list; `id` is that of a single model."""

    status: int
    id: str = ""
    names: tuple[str, ...] | None = None

    @property
    def told(self) -> bool:
        return bool(self.id) or self.names is not None


@dataclass(frozen=True, slots=True)
class Directory:
    """A provider's list of models at `url`; `key` are the headers that carry the key, `others` those it wants besides, `query`
    asks for all of them at once."""

    client: httpx2.AsyncClient
    url: str
    key: Mapping[str, str] = field(default_factory=dict, repr=False)
    others: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    @property
    def place(self) -> str:
        """Host and port, for people."""
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] or self.url

    async def all(self, *, with_key: bool = True) -> Looked:
        """Raises what the HTTP client raises."""
        return await self._look(f"{self.url}{self.query}", with_key)

    async def one(self, name: str) -> Looked:
        """Raises what the HTTP client raises."""
        return await self._look(f"{self.url}/{quote(name, safe='')}", True)

    async def _look(self, url: str, with_key: bool) -> Looked:
        headers = {**self.others, **(self.key if with_key else {}), "Accept": "application/json"}
        async with (
            asyncio.timeout(LOOK_S),
            self.client.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                return Looked(answer.status_code)
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _LONGEST:
                    return Looked(200)
            return _read(body)


def _read(body: bytes) -> Looked:
    """`{"data": [{"id"}…]}` or `{"id"}`; both wire formats have them."""
    try:
        value = from_json(body)
    except ValueError:
        return Looked(200)
    if not isinstance(value, dict):
        return Looked(200)
    found = value.get("data")
    if not isinstance(found, list):
        return Looked(200, id=str(value.get("id") or ""))
    names = (str(one["id"]) for one in found if isinstance(one, dict) and one.get("id"))
    return Looked(200, names=tuple(names))


def why_not(error: BaseException, place: str) -> tuple[str, str]:
    """Why nothing was heard from `place`, and what an admin can do: two sentences. Never raises."""
    for one in _causes(error):
        if told := _told(one, place):
            return told
    if transport.timed_out(error):
        return (
            f"{place} did not answer within {LOOK_S:g} seconds.",
            "Check host and port, and that no firewall lies between this machine and it.",
        )
    return (
        f"The connection to {place} was closed before an answer came.",
        "Check that a model server listens there, and whether it wants http or https.",
    )


def _told(error: BaseException, place: str) -> tuple[str, str] | None:
    host = place.rpartition(":")[0] or place
    if isinstance(error, Refused):
        return f"{error.cause} Nothing was sent.", error.fix
    if isinstance(error, socket.gaierror | aiohttp.ClientConnectorDNSError):
        return (
            f"The name {host} cannot be resolved from here.",
            "Correct it, or ask whoever looks after your network.",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {place} is not trusted here: {error.verify_message}.",
            "Give the server a certificate for this name that this machine trusts.",
        )
    if isinstance(error, ssl.SSLError):
        return f"{place} does not speak TLS.", "Check whether it wants http:// or https://."
    if isinstance(error, ConnectionRefusedError):
        return (
            f"Nobody listens at {place}.",
            "Start the server, or correct host and port; for other machines it must listen on more than 127.0.0.1.",
        )
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return (
            f"No way leads from here to {place}.",
            "Check the address and this machine's network.",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return f"What listens at {place} does not speak HTTP.", "Correct host and port."
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return f"{place} is no address that can be asked.", _USUAL_PATH
    if isinstance(error, UnicodeError):
        return "The key holds letters that no key has, so nothing was sent.", "Paste it again."
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost first: it knows best."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return reversed(chain)
