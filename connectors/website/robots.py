"""robots.txt as RFC 9309 has it: 4xx means that everything may be read, a server that fails means nothing may.

Also `Crawl-delay` and `Request-rate`, which the RFC leaves out and many sites use, and the robots rules of a page
(meta element and X-Robots-Tag header).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protego import Protego

from connectors.faults import SourceFault

TOKEN = "Switchboard"
"""What a website writes behind `User-agent:` to speak to this crawler."""
LONGEST_DELAY_S = 30.0
WITH_VALUES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
MAX_BYTES = 1_000_000  # the RFC asks for at least 500 KiB


@dataclass(frozen=True, slots=True)
class Robots:
    """`fault` says why they cannot be read; then nothing may be."""

    rules: Protego | None = None
    fault: SourceFault | None = None

    @classmethod
    def read(cls, text: str) -> Robots:
        return cls(Protego.parse(text))

    def allows(self, address: str) -> bool:
        if self.fault is not None:
            return False
        return self.rules is None or bool(self.rules.can_fetch(address, TOKEN))

    @property
    def delay_s(self) -> float:
        """Seconds between two requests; a site that asks for hours is asked every half minute."""
        if self.rules is None:
            return 0.0
        delay = float(self.rules.crawl_delay(TOKEN) or 0.0)
        rate = self.rules.request_rate(TOKEN)
        if rate is not None and rate.requests:
            delay = max(delay, rate.seconds / rate.requests)
        return min(max(delay, 0.0), LONGEST_DELAY_S)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        return tuple(self.rules.sitemaps) if self.rules is not None else ()


@dataclass(frozen=True, slots=True)
class PageRules:
    index: bool = True
    follow: bool = True

    @classmethod
    def read(cls, values: Iterable[str]) -> PageRules:
        """`values` such as `noindex, nofollow`, or `othercrawler: noindex`, which is not for us."""
        words: set[str] = set()
        for value in values:
            ours = True
            for part in value.lower().split(","):
                head, colon, rest = (piece.strip() for piece in part.partition(":"))
                if colon and head not in WITH_VALUES:
                    ours, head = head in {TOKEN.lower(), "*"}, rest
                if ours:
                    words.add(head)
        nothing = "none" in words
        return cls("noindex" not in words and not nothing, "nofollow" not in words and not nothing)

    def __and__(self, other: PageRules) -> PageRules:
        return PageRules(self.index and other.index, self.follow and other.follow)
