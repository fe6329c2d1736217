"""Where a crawl begins: the start addresses, and the pages that sitemaps name."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from connectors.contract import Failure, SourceFault
from connectors.website.crawl import Visit
from connectors.website.fetch import Broken, Fetched, Fetcher, Gone, NotModified, Outside
from connectors.website.settings import WebsiteSettings
from connectors.website.sitemap import MAX_BYTES, BadSitemap, Sitemap, read_sitemap
from connectors.website.urls import normal, origin

IS_SITEMAP = re.compile(r"\.xml(\.gz)?(\?|$)", re.IGNORECASE)
MOST_SITEMAPS = 500
FIX = "Correct the sitemap, or find pages by links."


@dataclass
class Seeds:
    """`complete` is False where a part of a sitemap could not be read."""

    visits: list[Visit] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    complete: bool = True


def find_seeds(settings: WebsiteSettings, fetcher: Fetcher) -> Seeds:
    """Raises SourceFault when a sitemap that was named cannot be read."""
    maps, pages = [], []
    for address in settings.seeds():
        if IS_SITEMAP.search(address):
            maps.append(address)
        elif settings.find == "sitemap":
            maps.extend(_announced(address, fetcher))
        else:
            pages.append(Visit(address, named=True))
    seeds = Seeds(pages)
    if maps:
        _read(list(dict.fromkeys(maps)), settings, fetcher, seeds)
        if not seeds.visits:
            raise SourceFault("The sitemap names no page of this site.", FIX)
    return seeds


def _announced(address: str, fetcher: Fetcher) -> list[str]:
    named = (normal(text, address) for text in fetcher.robots(address).sitemaps)
    return [text for text in named if text] or [f"{origin(address)}/sitemap.xml"]


def _read(maps: list[str], settings: WebsiteSettings, fetcher: Fetcher, seeds: Seeds) -> None:
    scope, roots = settings.scope(), set(maps)
    waiting, read = deque(maps), set(maps)
    pages: dict[str, Visit] = {}
    while waiting:
        address = waiting.popleft()
        try:
            found = _one(address, fetcher)
        except SourceFault as fault:
            if address in roots:
                raise
            seeds.failures.append(Failure(address, address, fault.message, fault.fix))
            seeds.complete = False
            continue
        for entry in found.pages:
            page = normal(entry.address, address)
            if page and scope.selects(page):
                pages.setdefault(page, Visit(page, named=True, lastmod=entry.lastmod))
        for entry in found.sitemaps:
            child = normal(entry.address, address)
            if child and child not in read and len(read) < MOST_SITEMAPS:
                read.add(child)
                waiting.append(child)
    seeds.visits.extend(pages.values())


def _one(address: str, fetcher: Fetcher) -> Sitemap:
    answer = fetcher.sitemap(address, MAX_BYTES)
    match answer:
        case Fetched():
            try:
                return read_sitemap(answer.content, address)
            except BadSitemap as error:
                raise SourceFault(f"The sitemap {address} cannot be used. {error}", FIX) from None
        case Gone():
            raise SourceFault(f"There is no sitemap at {address} ({answer.status}).", FIX)
        case Outside():
            raise SourceFault(f"The sitemap {address}: {answer.reason}", answer.fix)
        case Broken():
            words = f"The sitemap {address}: {answer.cause}"
            raise SourceFault(words, answer.fix, passing=answer.passing)
        case NotModified():
            raise SourceFault(f"The sitemap {address} was answered without content (304).", FIX)
