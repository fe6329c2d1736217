"""A website: its pages as documents, with the readers that the admin states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpcore

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Failure,
    Limits,
    SourceFault,
)
from connectors.http import Http
from connectors.website.crawl import Crawl, wanted_address
from connectors.website.fetch import Broken, Fetched, Fetcher, Gone
from connectors.website.guard import Resolve, system_resolver
from connectors.website.memory import Memory
from connectors.website.seeds import find_seeds
from connectors.website.settings import WebsiteSettings
from connectors.website.transport import GuardedTransport

CHECKPOINT_EVERY = 100
ACCEPT = "text/html,application/xhtml+xml,application/pdf,text/markdown,text/plain;q=0.9"


class WebsiteConnector(Connector):
    kind = "website"
    title = "Website"
    description = "Pages, PDF files and texts of a website, found by its links or its sitemap."
    category = "Web"
    setup_help: ClassVar[str] = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = WebsiteSettings
    settings: WebsiteSettings
    limits = Limits(content_every_s=6 * 3600, requests_per_minute=120)
    deadline_s = 60.0
    # Tests give their own name server, network and clock.
    resolve: Resolve = staticmethod(system_resolver)
    network: httpcore.NetworkBackend | None = None
    pause: Callable[[float], None] = staticmethod(time.sleep)
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def validate(self) -> list[Check]:
        content = Check.attempt("content", self._look)
        return [content, self.settings.readers_check("A website")]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Passes over the whole site each time; pages that answer "not modified" send no content."""
        before = Memory.load(checkpoint)
        with self._fetcher() as fetcher:
            seeds = find_seeds(self.settings, fetcher)
            crawl = self._crawl(fetcher, known, before)
            yield from seeds.failures
            for sent, change in enumerate(crawl.run(seeds.visits), start=1):
                yield change
                if sent % CHECKPOINT_EVERY == 0:
                    so_far = Memory({**before.pages, **crawl.memory.pages})
                    yield Checkpoint(so_far.dump())
        if self.context.cancelled():
            return
        complete = crawl.complete and seeds.complete
        pages = crawl.memory.pages if complete else {**before.pages, **crawl.memory.pages}
        yield Checkpoint(Memory(pages).dump(), complete=complete)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Readers are stated in the settings: while those stay, every document's readers are confirmed without a request.
        Otherwise the site is passed over, so that no page keeps readers that were taken back."""
        stated = self.settings.readers_mark()
        if since.get("readers") != stated:
            with self._fetcher() as fetcher:
                seeds = find_seeds(self.settings, fetcher)
                crawl = self._crawl(fetcher, {}, Memory())
                for _ in crawl.run(seeds.visits):
                    pass
            if not (crawl.complete and seeds.complete):
                raise SourceFault(
                    "The website could not be passed over completely.",
                    "The next run tries again; the failures say which pages did not answer.",
                    passing=True,
                )
            access, data_class = self.settings.access(), self.settings.data_class
            for address in sorted(crawl.visited):
                yield AccessChange(address, access, data_class)
        yield Checkpoint({"readers": stated})

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        with self._fetcher() as fetcher:
            crawl = self._crawl(fetcher, {}, Memory())
            for id in ids:
                yield self._again(id, crawl, fetcher)

    def _again(self, id: str, crawl: Crawl, fetcher: Fetcher) -> Change:
        if not wanted_address(self.settings, id):
            return Deletion(id)
        answer = fetcher.page(id)
        if isinstance(answer, Broken) and not answer.closed:
            return Failure(id, id, answer.cause, answer.fix)
        if not isinstance(answer, Fetched) or answer.address != id:
            return Deletion(id)  # gone, forbidden, closed, or it leads to another page now
        page, document = crawl.read(answer)
        return document if page.rules.index else Deletion(id)

    def _look(self) -> str:
        with self._fetcher() as fetcher:
            seeds = find_seeds(self.settings, fetcher)
            first = fetcher.page(seeds.visits[0].address)
            if isinstance(first, Broken):
                raise SourceFault(
                    f"{first.address}: {first.cause}", first.fix, passing=first.passing
                )
            if isinstance(first, Gone):
                raise SourceFault(
                    f"{first.address} does not exist ({first.status}).", "Correct the address."
                )
            if not isinstance(first, Fetched):
                raise SourceFault(
                    f"{first.address}: {getattr(first, 'reason', 'It sent nothing.')}",
                    getattr(first, "fix", "Correct the address."),
                )
            page, _ = self._crawl(fetcher, {}, Memory()).read(first)
        if self.settings.find == "links":
            scope = self.settings.scope()
            links = sum(scope.follows(link) for link in page.links)
            return f"{first.address} can be read and links to {links} pages of this site."
        return f"{len(seeds.visits)} pages are named; {first.address} can be read."

    def _crawl(self, fetcher: Fetcher, known: Mapping[str, str], before: Memory) -> Crawl:
        return Crawl(self.settings, self.context, fetcher, known, before)

    @contextmanager
    def _fetcher(self) -> Iterator[Fetcher]:
        http = self._http()
        try:
            yield Fetcher(
                http,
                self.settings.scope(),
                self.context.cancelled,
                self.context.max_bytes,
                self.pause,
                self.clock,
            )
        finally:
            http.close()

    def _http(self) -> Http:
        guard = self.settings.guard(self.resolve)
        transport = GuardedTransport(
            guard, deadline_s=self.deadline_s, clock=self.clock, inner=self.network
        )
        return self.context.http.at("", headers={"Accept": ACCEPT}, transport=transport)
