"""Which addresses a crawl may connect to. A website decides where its links and redirects lead, so each of them could
lead into the company's own network (server-side request forgery, OWASP's SSRF Prevention Cheat Sheet).

A name is resolved once, every address it has must be permitted, and the connection goes to exactly those: a second answer
of the name server (DNS rebinding) is never asked for. Which addresses are public is in connectors.addresses.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

import httpx

from connectors.addresses import (
    PRIVATE_USE,
    Network,
    is_disguised,
    is_forbidden,
    is_public,
    literal,
    within,
)
from connectors.faults import SourceFault

Resolve = Callable[[str, int], Sequence[str]]

INWARD = (
    "Only public addresses are read; for an intranet page, name its host under 'Internal hosts'."
)


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
        address = literal(host)
        found = [str(address)] if address else list(self.resolve(host, port))
        if not found:
            raise OSError(f"{host} has no address")
        # One bad address spoils the name: which one a connection takes would be the name server's choice.
        for one in found:
            if not self.permits(host, one):
                raise Refused(f"{host} is an address inside a network ({one}).", INWARD)
        return found

    def permits(self, host: str, address: str) -> bool:
        found = literal(address)
        if found is None or is_forbidden(found):
            return False
        if within(found, self.networks):
            return True
        if host.lower().rstrip(".") in self.hosts and within(found, PRIVATE_USE):
            return True
        return is_public(found)

    def _check_spelling(self, host: str) -> None:
        if is_disguised(host):
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
                if "/" in entry or ":" in entry or is_disguised(entry):
                    raise ValueError(f"'{entry}' is no network: {error}.") from None
        if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", entry):
            raise ValueError(f"'{entry}' is neither a host name nor a network such as 10.1.0.0/16.")
        hosts.add(entry)
    return frozenset(hosts), tuple(networks)


def _shown(url: httpx.URL) -> str:
    return f"'{url.scheme}:{'//' if url.host else ''}{url.host}'"
