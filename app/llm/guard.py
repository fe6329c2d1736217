"""Where a model's address may lead. An admin types it, and the company's key goes there, so that by default it must not lead
into a private network (server-side request forgery, OWASP's SSRF Prevention Cheat Sheet).

Each new connection resolves the name anew, checks every address it has and goes to those checked ones: a name that leads
elsewhere later (DNS rebinding) is refused when it does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from connectors.addresses import Address, is_forbidden, is_public, literal

Resolve = Callable[[str], Iterable[str]]
CONNECTIONS, KEPT_S = 1000, 5.0  # as the SDKs have it
TICK = "This address is in our own network"
_NAT64 = IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """A connection that is not made. No OSError: nothing may take it for a fault of the network."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause, self.fix = cause, fix


def system_resolver(host: str) -> list[str]:
    """Every address of a name. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """`inside` says that an admin ticked that the address may lie in the company's own network. `connector` makes the
    connections, to nothing but what was checked."""

    inside: bool
    resolve: Resolve = system_resolver
    connector: type[aiohttp.TCPConnector] = aiohttp.TCPConnector

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises Refused. One bad address spoils the name: which one is connected to would be the name server's choice."""
        for address in addresses:
            self._check_one(host, address)

    async def addresses(self, host: str) -> list[str]:
        """Those of a name, checked. Raises Refused, and OSError for a name that has none."""
        found = await asyncio.to_thread(lambda: list(self.resolve(host)))
        if not found:
            raise OSError(f"{host} has no address")
        self.check(host, found)
        return found

    def session(self, trust: ssl.SSLContext) -> aiohttp.ClientSession:
        """In a running loop. Without a cache of names: each connection asks again."""
        return aiohttp.ClientSession(
            connector=self.connector(
                resolver=_Resolver(self),
                socket_factory=self._socket,
                use_dns_cache=False,
                ssl=trust,
                limit=CONNECTIONS,
                keepalive_timeout=KEPT_S,
            )
        )

    def _check_one(self, host: str, address: str) -> None:
        found = _plain(literal(address))
        if found is None or is_forbidden(found):
            raise Refused(
                f"{_named(host, address)} is an address that no model answers at.",
                "Enter another one: such addresses hand out machines' credentials or lead nowhere.",
            )
        if not self.inside and not is_public(found):
            raise Refused(
                f"{_named(host, address)} lies inside a private network.",
                f"If it is your company's own model server, tick “{TICK}”.",
            )

    def _socket(self, found: tuple[object, ...]) -> socket.socket:
        """Addresses that are typed as numbers are not resolved, so they are checked here, as all others once more."""
        family, kind, protocol, _, where = found
        assert isinstance(where, tuple)
        self._check_one(str(where[0]), str(where[0]))
        return socket.socket(family, kind, protocol)  # type: ignore[arg-type]


class _Resolver(AbstractResolver):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises Refused and OSError."""
        made = [_result(host, port, address) for address in await self._guard.addresses(host)]
        return [one for one in made if family in (socket.AF_UNSPEC, one["family"])]

    async def close(self) -> None:
        return None


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=flags
    )


def _plain(address: Address | None) -> Address | None:
    """An IPv4 address that travels in an IPv6 one, as in a network that has IPv6 only, is judged as what it is."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _named(host: str, address: str) -> str:
    return host if host == address else f"{host} ({address})"
