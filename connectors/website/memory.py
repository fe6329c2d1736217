"""What a crawl remembers of each page until the next one: its version, its validators and where it links to.

A page that answers "not modified" sends no links, so the old ones are followed. Stored as numbers into one list of
addresses, because every page of a site links to the same menu.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """`document` is False for a page that was only a way to others (noindex, not selected)."""

    version: str
    etag: str = ""
    modified: str = ""
    lastmod: str = ""
    document: bool = True
    links: tuple[str, ...] = ()

    @property
    def conditions(self) -> dict[str, str]:
        """Request headers (RFC 9110, 13.1); a strong or weak ETag outweighs a date."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}


@dataclass
class Memory:
    pages: dict[str, Seen] = field(default_factory=dict)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Memory:
        names = list(state.get("addresses", ()))
        return cls(
            {
                names[at]: Seen(
                    version, etag, modified, lastmod, document, tuple(names[i] for i in links)
                )
                for at, version, etag, modified, lastmod, document, links in state.get("pages", ())
            }
        )

    def dump(self) -> dict[str, Any]:
        numbers: dict[str, int] = {}

        def number(address: str) -> int:
            return numbers.setdefault(address, len(numbers))

        pages = [
            [
                number(a),
                s.version,
                s.etag,
                s.modified,
                s.lastmod,
                s.document,
                list(map(number, s.links)),
            ]
            for a, s in self.pages.items()
        ]
        return {"addresses": list(numbers), "pages": pages}
