"""One pass over a website, breadth first: which pages there are, which changed, which are gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connectors.contract import (
    Access,
    Change,
    Context,
    Deletion,
    Document,
    Failure,
    SourceFault,
    Unchanged,
)
from connectors.website.fetch import (
    Answer,
    Broken,
    Fetched,
    Fetcher,
    Gone,
    NotModified,
    Outside,
)
from connectors.website.memory import Memory, Seen
from connectors.website.page import Page, as_utf8, digest, read_page
from connectors.website.robots import PageRules
from connectors.website.settings import WebsiteSettings
from connectors.website.urls import host_of, normal

MOST_FAULTS_RUNNING = 4
LIMIT_ID = "page limit"
GOES_ON = "The last good text stays until it can be read again."


@dataclass(frozen=True, slots=True)
class Visit:
    """`named` by a start address or a sitemap; `as_is` ignores what the page calls its canonical address."""

    address: str
    depth: int = 0
    named: bool = False
    lastmod: str = ""
    as_is: bool = False


@dataclass
class Crawl:
    """`complete` tells afterwards whether everything was seen, `visited` which addresses were asked for."""

    settings: WebsiteSettings
    context: Context
    fetcher: Fetcher
    known: Mapping[str, str] = field(default_factory=dict)
    before: Memory = field(default_factory=Memory)
    memory: Memory = field(default_factory=Memory)
    visited: set[str] = field(default_factory=set)
    complete: bool = True

    def __post_init__(self) -> None:
        self._scope = self.settings.scope()
        self._access: Access = self.settings.access()
        self._queue: deque[Visit] = deque()
        self._queued: set[str] = set()
        self._instead: dict[str, Visit] = {}
        self._running_faults = 0
        self._worked = False

    def run(self, seeds: list[Visit]) -> Iterator[Change]:
        """Raises SourceFault when the site as a whole does not answer: then nothing is said to be gone."""
        for seed in seeds:
            self._add(seed)
        first_fault: Broken | Outside | None = None
        asked = 0
        while self._queue:
            if self.context.cancelled():
                self.complete = False
                return
            if asked >= self.settings.page_limit:
                yield _limit_reached(self.settings.page_limit)
                break
            visit = self._queue.popleft()
            if visit.address in self.visited and not visit.as_is:
                continue
            asked += 1
            known = len(self._queue) + asked
            self.context.progress(f"{asked} of {known} pages found so far", asked, known)
            answer = self._ask(visit)
            if isinstance(answer, Broken | Outside) and first_fault is None:
                first_fault = answer
            yield from self._take(visit, answer)
        if not self._worked and isinstance(first_fault, Broken):
            raise SourceFault(first_fault.cause, first_fault.fix, passing=first_fault.passing)
        if not self._worked and isinstance(first_fault, Outside):
            raise SourceFault(first_fault.reason, first_fault.fix)
        if not self._worked:
            raise SourceFault(
                "None of the start addresses exists (404).", "Correct the start addresses."
            )

    def read(self, answer: Fetched) -> tuple[Page, Document]:
        """The page and its document, whether or not it is wanted."""
        html = answer.mime == "text/html"
        content = answer.content
        if answer.mime != "application/pdf":
            content = as_utf8(content, answer.charset, html=html)
        page = (
            read_page(content, answer.address)
            if html
            else Page("", digest(content), (), None, PageRules())
        )
        header_rules = PageRules.read(answer.headers.get_list("X-Robots-Tag"))
        page = Page(
            page.title, page.text_hash, page.links, page.canonical, page.rules & header_rules
        )
        document = Document(
            id=answer.address,
            title=page.title,
            content=content,
            mime=answer.mime,
            version=page.text_hash,
            access=self._access,
            data_class=self.settings.data_class,
            url=answer.address,
            space=host_of(answer.address),
            modified_at=_date(answer.headers.get("Last-Modified", "")),
        )
        return page, document

    def _add(self, visit: Visit) -> None:
        if visit.address not in self._queued:
            self._queued.add(visit.address)
            self._queue.append(visit)

    def _ask(self, visit: Visit) -> Answer:
        seen = self._unchanged_candidate(visit.address)
        if seen and self.settings.trust_lastmod and visit.lastmod and visit.lastmod == seen.lastmod:
            answer: Answer = NotModified(visit.address)
        else:
            answer = self.fetcher.page(visit.address, seen.conditions if seen else None)
        self.visited |= {visit.address, answer.address}
        return answer

    def _unchanged_candidate(self, address: str) -> Seen | None:
        """What is remembered of a page whose answer may be "not modified": the platform has that very version."""
        seen = self.before.pages.get(address)
        if seen is None or (seen.document and self.known.get(address) != seen.version):
            return None
        return seen

    def _take(self, visit: Visit, answer: Answer) -> Iterator[Change]:
        if isinstance(answer, Broken) and answer.passing:
            yield from self._take_passing(visit, answer)
            return
        self._running_faults = 0
        match answer:
            case Fetched():
                self._worked = True
                yield from self._take_page(visit, answer)
            case NotModified():
                self._worked = True
                yield from self._take_same(visit)
            case Gone():
                yield from self._take_gone(visit, answer)
            case Outside():
                if visit.named:
                    yield Failure(visit.address, visit.address, answer.reason, answer.fix)
                self._without_canonical(visit.address)
            case Broken():
                self._worked |= answer.large
                if answer.closed and self._worked and visit.address in self.known:
                    yield Deletion(visit.address)  # what the site no longer shows is not shown here
                yield Failure(visit.address, visit.address, answer.cause, answer.fix)
                self._follow_old(visit)
                self._without_canonical(visit.address)

    def _take_passing(self, visit: Visit, answer: Broken) -> Iterator[Change]:
        self._running_faults += 1
        if self._running_faults >= MOST_FAULTS_RUNNING:
            raise SourceFault(answer.cause, answer.fix, passing=True)
        fix = f"{answer.fix} {GOES_ON}" if visit.address in self.known else answer.fix
        yield Failure(visit.address, visit.address, answer.cause, fix)
        if not self._follow_old(visit):
            self.complete = False  # nobody knows where this page would have led

    def _follow_old(self, visit: Visit) -> bool:
        """A page that cannot be read now still leads where it led: what lies behind it is not gone."""
        seen = self.before.pages.get(visit.address)
        if seen is not None:
            self.memory.pages[visit.address] = seen
            self._follow(visit, seen.links)
        return seen is not None

    def _take_same(self, visit: Visit) -> Iterator[Change]:
        seen = self.before.pages[visit.address]
        self.memory.pages[visit.address] = seen
        self._follow(visit, seen.links)
        if seen.document:
            yield Unchanged(visit.address, self._access, self.settings.data_class)

    def _take_gone(self, visit: Visit, answer: Gone) -> Iterator[Change]:
        if visit.address in self.known and self._worked:
            yield Deletion(visit.address)
        elif visit.named:
            cause = f"It does not exist ({answer.status})."
            yield Failure(
                visit.address, visit.address, cause, "Remove it from the list of addresses."
            )
        self._without_canonical(visit.address)

    def _take_page(self, visit: Visit, answer: Fetched) -> Iterator[Change]:
        address = answer.address
        if address != visit.address:
            if address in self.memory.pages:
                return  # reached before, without the redirect
            self._queued.add(address)
        page, document = self.read(answer)
        if page.rules.follow:
            self._follow(visit, page.links)
        canonical = page.canonical
        if (
            canonical
            and canonical != address
            and not visit.as_is
            and self._scope.selects(canonical)
        ):
            self._defer(Visit(address, visit.depth, as_is=True), canonical)
            return
        wanted = page.rules.index and self._scope.selects(address)
        self.memory.pages[address] = Seen(
            document.version,
            answer.headers.get("ETag", ""),
            answer.headers.get("Last-Modified", ""),
            visit.lastmod if address == visit.address else "",
            wanted,
            page.links,
        )
        if not wanted:
            return
        if self.known.get(address) == document.version:
            yield Unchanged(address, self._access, self.settings.data_class)
        else:
            yield document

    def _defer(self, visit: Visit, canonical: str) -> None:
        """The canonical page speaks for this one; where it turns out to be none, this one speaks for itself."""
        if canonical in self.memory.pages:
            return
        if canonical in self.visited:
            self._queue.append(visit)
            return
        self._instead.setdefault(canonical, visit)
        self._add(Visit(canonical, visit.depth))

    def _without_canonical(self, canonical: str) -> None:
        waiting = self._instead.pop(canonical, None)
        if waiting is not None:
            self._queue.append(waiting)

    def _follow(self, visit: Visit, links: tuple[str, ...]) -> None:
        if self.settings.find != "links" or visit.depth >= self.settings.depth:
            return
        for link in links:
            if self._scope.follows(link):
                self._add(Visit(link, visit.depth + 1))


def _limit_reached(limit: int) -> Failure:
    cause = f"The site has more than {limit} pages; the rest is not read."
    return Failure(LIMIT_ID, "Page limit", cause, "Raise the limit, or narrow what is read.")


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def wanted_address(settings: WebsiteSettings, address: str) -> bool:
    """Whether an id is an address in its one spelling that this source may hold."""
    return normal(address) == address and settings.scope().selects(address)
