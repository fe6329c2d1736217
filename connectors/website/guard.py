"""Which addresses a crawl may connect to. A website decides where its links and redirects lead, so each of them could
lead into the company's own network (server-side request forgery, OWASP's SSRF Prevention Cheat Sheet).

A name is resolved once, every address it has must be permitted, and the connection goes to exactly those: a second answer
of the name server (DNS rebinding) is never asked for. What is public follows IANA's special-purpose registries (RFC 6890).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpx

from connectors.faults import SourceFault

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

INWARD = (
    "Only public addresses are read; for an intranet page, name its host under 'Internal hosts'."
)

# Never permitted, whatever an admin names: cloud machines hand out credentials at these addresses.
METADATA = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # AWS, Azure, Google, and all link-local
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS
        "fd20:ce::254/128",  # Google
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure
        "0.0.0.0/8",
        "255.255.255.255/32",
        "::/128",
    )
)
# An IPv4 address inside an IPv6 one would hide where a connection really goes.
TRANSLATED = tuple(
    ip_network(text)
    for text in (
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # SIIT
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
    )
)
# Special purposes that `is_global` of some Python versions lets through.
SPECIAL = tuple(
    ip_network(text)
    for text in (
        "::/8",
        "100::/64",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
# What naming an internal host opens; loopback must be named as a network.
PRIVATE_USE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
ENDS_IN_NUMBER = re.compile(r"(^|\.)(0[xX][0-9a-fA-F]*|[0-9]+)\.?$")


class Refused(SourceFault):
    """A connection that the guard does not make."""


def system_resolver(host: str, port: int) -> list[str]:
    """Every address of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """`hosts` are names whose private addresses are permitted, `networks` are permitted as they are."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})
    resolve: Resolve = system_resolver

    def check_url(self, url: httpx.URL) -> None:
        """Raises Refused for an address that no page of a website has."""
        if url.scheme not in {"http", "https"}:
            raise Refused(f"{_shown(url)} is no web address.", "Use http:// or https://.")
        if url.userinfo:
            raise Refused(
                f"The address at {url.host} carries a name or a password.",
                "Leave out what stands before the @.",
            )
        if not url.host:
            raise Refused(f"{_shown(url)} names no host.", "Correct the address.")
        port = url.port or (443 if url.scheme == "https" else 80)
        if port not in self.ports:
            raise Refused(
                f"{url.host} is asked for at port {port}, which is not permitted.",
                "Add the port under 'Ports' if the site is meant to be there.",
            )
        self._check_spelling(url.host)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, checked. Raises Refused, or OSError for a name that cannot be resolved."""
        self._check_spelling(host)
        literal = _literal(host)
        found = [str(literal)] if literal else list(self.resolve(host, port))
        if not found:
            raise OSError(f"{host} has no address")
        # One bad address spoils the name: which one a connection takes would be the name server's choice.
        for address in found:
            if not self.permits(host, address):
                raise Refused(f"{host} is an address inside a network ({address}).", INWARD)
        return found

    def permits(self, host: str, address: str) -> bool:
        found = _literal(address)
        if found is None or found.is_multicast or _within(found, (*METADATA, *TRANSLATED)):
            return False
        if _within(found, self.networks):
            return True
        if host.lower().rstrip(".") in self.hosts and _within(found, PRIVATE_USE):
            return True
        return found.is_global and not found.is_reserved and not _within(found, SPECIAL)

    def _check_spelling(self, host: str) -> None:
        """Decimal, hexadecimal, octal and short forms of an IPv4 address are only ever disguises."""
        if _literal(host) is None and ENDS_IN_NUMBER.search(host):
            raise Refused(f"{host} is an IP address in an unusual form.", INWARD)


def read_internal(entries: Sequence[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Host names and networks that an admin listed. Raises ValueError with words for the form."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for entry in (entry.strip().lower().rstrip(".") for entry in entries):
        if re.fullmatch(r"[0-9a-f:.]*[:.][0-9a-f:.]*(/\d+)?", entry) and not re.search(
            r"[g-z]", entry
        ):
            try:
                networks.append(ip_network(entry))
                continue
            except ValueError as error:
                if "/" in entry or ":" in entry or ENDS_IN_NUMBER.search(entry):
                    raise ValueError(f"'{entry}' is no network: {error}.") from None
        if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", entry):
            raise ValueError(f"'{entry}' is neither a host name nor a network such as 10.1.0.0/16.")
        hosts.add(entry)
    return frozenset(hosts), tuple(networks)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _shown(url: httpx.URL) -> str:
    return f"'{url.scheme}:{'//' if url.host else ''}{url.host}'"
