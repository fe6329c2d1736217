"""Which addresses a sign-in may lead to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

HOME = "/"
LONGEST_PATH = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}


def local_path(text: str | None) -> str:
    """The path to open after sign-in, or `/` for anything that could lead elsewhere.

    Refused: other sites (`https:…`, `//host`, `/\\host`), control characters (browsers drop tabs and line breaks inside an
    address), and `/auth/…`, which would start another sign-in or a sign-out.
    """
    if not text or len(text) > LONGEST_PATH or not text.startswith("/") or text.startswith("//"):
        return HOME
    if "\\" in text or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
        return HOME
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc or parts.path.lower().startswith("/auth/"):
        return HOME
    return text


def is_loopback(host: str) -> bool:
    """Whether a host name or address (no port) means this machine only."""
    host = host.strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str:
    """The host of an absolute address, lower case, without port or brackets; empty when it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def same_place(address: str, scheme: str, host_header: str) -> bool:
    """Whether a `Host` header names the host and port of `address` (scheme differences are a proxy's business)."""
    ours = urlsplit(address)
    try:
        theirs = urlsplit(f"{scheme}://{host_header}")
        their_port = theirs.port or DEFAULT_PORTS.get(scheme)
    except ValueError:
        return False
    our_port = ours.port or DEFAULT_PORTS.get(ours.scheme)
    behind_tls_proxy = ours.scheme != scheme and theirs.port is None
    return ours.hostname == theirs.hostname and (our_port == their_port or behind_tls_proxy)


def secure_or_loopback(address: str) -> bool:
    """Whether an address is https, or stays on this machine."""
    scheme = urlsplit(address).scheme
    return scheme == "https" or (scheme == "http" and is_loopback(host_of(address)))
