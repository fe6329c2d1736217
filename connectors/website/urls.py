"""Addresses in one spelling, and which of them belong to the crawl."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from connectors.folder.globs import matches

LONGEST = 2000
TRACKING = re.compile(r"(utm_[a-z]+|fbclid|gclid|msclkid|mc_[ce]id)(=|$)", re.IGNORECASE)
# Never documents: asking for them would only cost the website.
NO_PAGES = re.compile(
    r"\.(png|jpe?g|gif|webp|avif|svg|ico|bmp|css|js|mjs|json|map|woff2?|ttf|eot|mp[34]|m4[av]|webm|og[gv]|wav|avi|mov|"
    r"zip|gz|tgz|bz2|xz|7z|rar|tar|exe|msi|dmg|deb|rpm|iso|rss|atom)$",
    re.IGNORECASE,
)


def normal(address: str, base: str = "") -> str | None:
    """The address without fragment, default port and tracking parameters; None for one that is no web address.

    RFC 3986, 6.2: scheme and host in lower case and dot segments resolved (httpx does), an empty path becomes "/".
    """
    address = address.strip()
    try:
        url = httpx.URL(base).join(address) if base else httpx.URL(address)
        if url.scheme not in {"http", "https"} or not url.host:
            return None
        if url.host.endswith("."):  # the same name, fully qualified
            url = url.copy_with(host=url.host.rstrip("."))
        path, mark, query = url.raw_path.partition(b"?")
        kept = [part for part in query.split(b"&") if part and not TRACKING.match(part.decode())]
        raw = (path or b"/") + (b"?" + b"&".join(kept) if mark and kept else b"")
        text = str(url.copy_with(raw_path=raw, fragment=None))
    except (httpx.InvalidURL, ValueError):  # hostile links: bad ports, control characters, bad IDNA
        return None
    return text if len(text) <= LONGEST else None


def host_of(address: str) -> str:
    return httpx.URL(address).host


def origin(address: str) -> str:
    """Scheme, host and port: robots.txt belongs to one of these (RFC 9309, 2.3)."""
    url = httpx.URL(address)
    return f"{url.scheme}://{url.netloc.decode()}"


@dataclass(frozen=True)
class Scope:
    """`hosts` in lower case; `include` and `exclude` are patterns over the path without its first slash."""

    hosts: frozenset[str]
    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()

    def holds(self, address: str) -> bool:
        return host_of(address) in self.hosts

    def selects(self, address: str) -> bool:
        """Whether a page at this address may become a document."""
        path = httpx.URL(address).path.removeprefix("/")
        return (
            self.holds(address)
            and any(matches(path, pattern) for pattern in self.include)
            and not self.excludes(address)
        )

    def excludes(self, address: str) -> bool:
        path = httpx.URL(address).path.removeprefix("/")
        return any(
            matches(path, pattern) or matches(path, f"{pattern.rstrip('/')}/**")
            for pattern in self.exclude
        )

    def follows(self, address: str) -> bool:
        """Whether a link is worth following: one to a page outside `include` may lead to pages inside."""
        return (
            self.holds(address)
            and not self.excludes(address)
            and not NO_PAGES.search(httpx.URL(address).path)
        )
