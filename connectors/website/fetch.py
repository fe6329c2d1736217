"""One address asked for: robots first, redirects one hop at a time, each hop checked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from connectors.faults import SourceFault
from connectors.http import Cancelled, Http, TooLarge
from connectors.website.guard import Refused
from connectors.website.robots import MAX_BYTES as ROBOTS_MAX_BYTES
from connectors.website.robots import Robots
from connectors.website.transport import LEADS_TO, media_type
from connectors.website.urls import Scope, host_of, normal, origin

HTML = frozenset({"text/html", "application/xhtml+xml"})
MARKDOWN = frozenset({"text/markdown", "text/x-markdown"})
PAGE_TYPES = HTML | MARKDOWN | {"application/pdf", "text/plain"}
MAP_TYPES = frozenset(
    {
        "application/xml",
        "text/xml",
        "text/plain",
        "application/gzip",
        "application/x-gzip",
        "application/octet-stream",
        "",
    }
)
MOST_HOPS = 5
REDIRECTS = {301, 302, 303, 307, 308}
# Every refusal is an answer here; 429 and 5xx are waited for and repeated by the client.
ANSWERS = tuple(status for status in range(400, 500) if status != 429)
SLICE_S = 0.5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page: `mime` as the platform knows it, `address` after redirects."""

    address: str
    content: bytes
    mime: str
    charset: str
    headers: httpx.Headers


@dataclass(frozen=True, slots=True)
class NotModified:
    address: str


@dataclass(frozen=True, slots=True)
class Gone:
    address: str
    status: int


@dataclass(frozen=True, slots=True)
class Outside:
    """Not ours to read: robots.txt, another host, another kind of file. `reason` is a sentence."""

    address: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Broken:
    """`passing` may be over by itself; `closed` is a page that the site does not show to us; `large`
    is one that it shows and that is over the limit."""

    address: str
    cause: str
    fix: str
    passing: bool = False
    closed: bool = False
    large: bool = False


Answer = Fetched | NotModified | Gone | Outside | Broken


@dataclass
class Fetcher:
    """For one run. `pause` and `clock` exist for tests."""

    http: Http
    scope: Scope
    cancelled: Callable[[], bool]
    max_bytes: int
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _robots: dict[str, Robots] = field(default_factory=dict)
    _asked_at: dict[str, float] = field(default_factory=dict)

    def page(self, address: str, conditions: Mapping[str, str] | None = None) -> Answer:
        """Never raises for a website that fails; Cancelled when the run is."""
        return self._ask(address, conditions or {}, PAGE_TYPES, self.max_bytes)

    def sitemap(self, address: str, max_bytes: int) -> Answer:
        return self._ask(address, {}, MAP_TYPES, max_bytes)

    def robots(self, address: str) -> Robots:
        """Those of the address's origin, asked for once."""
        at = origin(address)
        if at not in self._robots:
            self._robots[at] = self._read_robots(f"{at}/robots.txt")
        return self._robots[at]

    def _ask(
        self, address: str, conditions: Mapping[str, str], types: frozenset[str], max_bytes: int
    ) -> Answer:
        at = address
        try:
            for _ in range(MOST_HOPS + 1):
                if outside := self._outside(at):
                    return outside
                self._wait_turn(at)
                response = self.http.get(
                    at,
                    headers=dict(conditions),
                    accept=ANSWERS,
                    max_bytes=max_bytes,
                    extensions={"types": types},
                )
                if response.status_code not in REDIRECTS:
                    return _answer(at, response, types)
                conditions = {}  # they were about another page
                target = normal(response.headers.get(LEADS_TO, ""), at)
                if target is None:
                    return Broken(at, "It leads to no web address.", "Correct the redirect.")
                at = target
        except TooLarge as error:
            limit = f"It has more than {error.limit / 1e6:.3g} MB, which is the limit."
            return Broken(at, limit, "Split it, or exclude it.", large=True)
        except SourceFault as fault:
            return Broken(at, fault.message, fault.fix, fault.passing)
        return Broken(at, f"It leads on more than {MOST_HOPS} times.", "Correct the redirects.")

    def _outside(self, address: str) -> Outside | None:
        if not self.scope.holds(address):
            host = host_of(address)
            reason = f"It leads to {host}, which is not listed."
            return Outside(address, reason, f"Add {host} under 'Further hosts' if it belongs here.")
        robots = self.robots(address)
        if robots.fault is not None:
            raise robots.fault
        if not robots.allows(address):
            return Outside(
                address,
                "The site's robots.txt forbids reading it.",
                "Allow it there for 'User-agent: Switchboard', or leave it out here.",
            )
        return None

    def _read_robots(self, address: str) -> Robots:
        at = address
        try:
            for _ in range(MOST_HOPS + 1):
                response = self.http.get(at, accept=ANSWERS, max_bytes=ROBOTS_MAX_BYTES)
                if response.status_code in REDIRECTS:
                    target = normal(response.headers.get(LEADS_TO, ""), at)
                    if target is None:
                        return Robots()
                    at = target
                elif response.status_code >= 400:
                    return Robots()
                else:
                    return Robots.read(response.content.decode("utf-8-sig", "replace"))
        except Refused as fault:
            return Robots(fault=fault)
        except TooLarge:
            why = "it is too large"
        except SourceFault as fault:
            why = fault.message.rstrip(".")
        else:
            return Robots()  # RFC 9309, 2.3.1.2: too many redirects count as no robots.txt
        words = f"{address} cannot be read ({why}), so nothing of this site may be."
        return Robots(
            fault=SourceFault(words, "Have the site answer it, or say 404.", passing=True)
        )

    def _wait_turn(self, address: str) -> None:
        """Keeps the site's crawl delay. Raises Cancelled."""
        host = host_of(address)
        left = self._asked_at.get(host, -1e9) + self.robots(address).delay_s - self.clock()
        while left > 0:
            if self.cancelled():
                raise Cancelled
            self.pause(min(left, SLICE_S))
            left -= SLICE_S
        self._asked_at[host] = self.clock()


def _answer(address: str, response: httpx.Response, types: frozenset[str]) -> Answer:
    status = response.status_code
    if status == 304:
        return NotModified(address)
    if status in {404, 410}:
        return Gone(address, status)
    if status >= 300:
        return _refused(address, status)
    mime = media_type(response.headers)
    if mime not in types:
        reason = f"It is of a kind that is not read ({mime or 'none named'})."
        return Outside(
            address, reason, "Pages, PDF, plain text and markdown are read; exclude others."
        )
    known = "text/html" if mime in HTML else "text/markdown" if mime in MARKDOWN else mime
    charset = response.charset_encoding or ""
    return Fetched(address, response.content, known, charset, response.headers)


def _refused(address: str, status: int) -> Broken:
    if status in {401, 403, 407}:
        fix = "Only pages that need no sign-in can be read: open it for this server, or exclude it."
        cause = f"The website asks for a sign-in or forbids it ({status})."
        return Broken(address, cause, fix, closed=True)
    return Broken(
        address, f"The website refused it ({status}).", "Open it in a browser to see why."
    )
