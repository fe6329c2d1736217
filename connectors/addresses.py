"""Which IP addresses are public, and which are never to be connected to; for whatever follows an address that somebody gave.

What is public follows IANA's special-purpose registries (RFC 6890).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

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
_ENDS_IN_NUMBER = re.compile(r"(^|\.)(0[xX][0-9a-fA-F]*|[0-9]+)\.?$")


def is_forbidden(address: Address) -> bool:
    """Whether no admin can permit it."""
    return address.is_multicast or within(address, (*METADATA, *TRANSLATED))


def is_public(address: Address) -> bool:
    return (
        not is_forbidden(address)
        and address.is_global
        and not address.is_reserved
        and not within(address, SPECIAL)
    )


def is_disguised(host: str) -> bool:
    """Decimal, hexadecimal, octal and short forms of an IPv4 address are only ever disguises."""
    return literal(host) is None and bool(_ENDS_IN_NUMBER.search(host))


def literal(host: str) -> Address | None:
    """The address that a host is, None for a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
