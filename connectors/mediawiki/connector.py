"""The connector: all pages at first, then what the list of recent changes names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Listed,
    SourceFault,
    Unchanged,
)
from connectors.mediawiki.api import BATCH, MediaWikiApi, Page, Recent, Site
from connectors.mediawiki.people import People, may_read, namespace_ids
from connectors.mediawiki.readers import Readers
from connectors.mediawiki.render import document, page_id, page_number
from connectors.mediawiki.settings import MediaWikiSecrets, MediaWikiSettings

OVERLAP = timedelta(minutes=5)
"""Changes from this long before the last look are looked at again: some are listed late."""
REMEMBERED = timedelta(days=25)
"""A wiki forgets recent changes after 90 days by default, some after 30 ($wgRCMaxAge)."""
T = TypeVar("T")
FAULTS_IN_A_ROW = 3
"""So many pages that cannot be read, one after the other, are the wiki's fault and not theirs."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a piece of work needs to know of the wiki, found at its start."""

    site: Site
    namespaces: list[int]
    readers: Readers


class MediaWikiConnector(Connector):
    kind = "mediawiki"
    title = "MediaWiki"
    description = "Pages of a MediaWiki, for the accounts that may read it."
    category = "Wikis"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = MediaWikiSettings
    secrets_model = MediaWikiSecrets
    settings: MediaWikiSettings
    secrets: MediaWikiSecrets
    _faults: int = 0

    @cached_property
    def _api(self) -> MediaWikiApi:
        """One for the connector's life, because it holds the session."""
        password = self.secrets.bot_password.get_secret_value()
        return MediaWikiApi(self.context, self.settings.url, self.settings.bot_user, password)

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", self._see_content),
            Check.attempt("permissions", self._see_permissions),
            Check.attempt("groups", self._see_groups),
        ]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        look = self._look()
        self._faults = 0
        if self._must_list_all(checkpoint, look):
            yield from self._all(look, checkpoint.get("listing") or {}, known)
        else:
            yield from self._recent(look, str(checkpoint["since"]), known)

    def list_ids(self) -> Iterator[Listed]:
        """A page that is moved while the list is made may be passed over; recent changes name it."""
        look = self._look()
        named: set[int] = set()
        for namespace in look.namespaces:
            for pages, _ in self._api.listed(namespace, ""):
                for page in self._readable(look, pages):
                    named.add(page.id)
                    yield self._listed(look, page)
        for page in self._touched(self._api.recent(look.site.now)):
            if page.id not in named and self._readable(look, [page]):
                named.add(page.id)
                yield self._listed(look, page)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Pages have no readers of their own: only the settings and the wiki's openness change them."""
        look = self._look()
        shape = look.readers.shape()
        if dict(since) != shape:
            for line in self.list_ids():
                yield AccessChange(line.id, line.access, line.data_class)
        yield Checkpoint(shape)

    def groups(self) -> Mapping[str, frozenset[str]]:
        look = self._look()
        return look.readers.groups(self._api.accounts(), People(self.settings))

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        look = self._look()
        self._faults = 0
        yield from (Deletion(id) for id in ids if not page_number(id))
        numbers = [number for id in ids if (number := page_number(id))]
        yield from self._read_ids(look, numbers, dict.fromkeys(ids, ""))

    def _look(self) -> Look:
        site = self._api.site()
        namespaces = namespace_ids(self.settings.namespaces, site.namespaces)
        return Look(site, namespaces, Readers(self.settings, site))

    def _must_list_all(self, checkpoint: Mapping[str, Any], look: Look) -> bool:
        since = str(checkpoint.get("since", ""))
        if not since or checkpoint.get("namespaces") != look.namespaces:
            return True
        age = datetime.fromisoformat(look.site.now) - datetime.fromisoformat(since)
        return age > REMEMBERED

    def _all(
        self, look: Look, progress: Mapping[str, Any], known: Mapping[str, str]
    ) -> Iterator[Change]:
        """Namespace by namespace, by title; complete only if it was done in one go."""
        resumed = progress.get("namespaces") == look.namespaces
        started = str(progress["started"]) if resumed else look.site.now
        left = look.namespaces[int(progress["place"]) :] if resumed else look.namespaces
        start = str(progress["title"]) if resumed else ""
        done = 0
        for namespace in left:
            for pages, following in self._api.listed(namespace, start):
                for page in self._readable(look, pages):
                    if self.context.cancelled():
                        return
                    yield self._read(look, page, known)
                done += len(pages)
                self.context.progress(f"{done} pages", done, max(done, look.site.pages))
                place = look.namespaces.index(namespace)
                where: dict[str, object] = {"namespaces": look.namespaces, "started": started}
                if following:
                    where |= {"place": place, "title": following}
                    yield Checkpoint({"listing": where})
            start = ""
        state = {"since": started, "namespaces": look.namespaces}
        yield Checkpoint(state, complete=not resumed)

    def _recent(self, look: Look, since: str, known: Mapping[str, str]) -> Iterator[Change]:
        recent = self._api.recent(_earlier(since))
        ids = [change.page for change in recent if change.page]
        ids += [page.id for page in self._touched(recent)]
        yield from self._read_ids(look, ids, known)
        if not self.context.cancelled():
            yield Checkpoint({"since": look.site.now, "namespaces": look.namespaces})

    def _touched(self, recent: Iterable[Recent]) -> Iterator[Page]:
        """Pages by title: where something was moved to or restored under another number."""
        titles = {title for change in recent for title in (change.title, change.target) if title}
        for batch in _batches(sorted(titles)):
            yield from (page for page in self._api.pages(titles=batch) if page.revision)

    def _read_ids(
        self, look: Look, ids: Iterable[int], known: Mapping[str, str]
    ) -> Iterator[Change]:
        """Each page once, as it is now. One that is gone, redirects or left the namespaces is a deletion if known."""
        unique = list(dict.fromkeys(ids))
        for batch in _batches(unique):
            found = {page.id: page for page in self._api.pages(ids=batch)}
            for number in batch:
                if self.context.cancelled():
                    return
                page = found.get(number)
                if page is not None and self._readable(look, [page]):
                    yield self._read(look, page, known)
                elif page_id(number) in known:
                    yield Deletion(page_id(number))

    def _readable(self, look: Look, pages: Iterable[Page]) -> list[Page]:
        return [
            page
            for page in pages
            if page.revision and not page.redirect and page.namespace in look.namespaces
        ]

    def _read(self, look: Look, page: Page, known: Mapping[str, str]) -> Change:
        access, id = look.readers.of(page.namespace), page_id(page.id)
        if page.hidden:
            # Read before, it must go; the failure tells why it is not there.
            return Deletion(id) if id in known else _suppressed(page)
        if known.get(id) == str(page.revision):
            return Unchanged(id, access, self.settings.data_class)
        try:
            text = self._api.html(page.revision)
        except SourceFault as fault:
            self._faults += 1
            if self._faults >= FAULTS_IN_A_ROW:
                raise
            return Failure(id, page.title, fault.message, fault.fix)
        self._faults = 0
        if text is None:
            return Deletion(id) if id in known else _suppressed(page)
        made = document(page, text, look.site, access, self.settings.data_class)
        return made if len(made.content) <= self.context.max_bytes else self._too_large(made)

    def _too_large(self, made: Document) -> Failure:
        return Failure(
            made.id,
            made.title,
            f"It has {len(made.content):,} bytes, over the limit of {self.context.max_bytes:,}.",
            "Split the page, or raise the limit for documents.",
        )

    def _listed(self, look: Look, page: Page) -> Listed:
        access = look.readers.of(page.namespace)
        return Listed(page_id(page.id), str(page.revision), access, self.settings.data_class)

    def _see_content(self) -> str:
        look = self._look()
        pages, _ = next(self._api.listed(look.namespaces[0], ""))
        if not pages:
            return "The first namespace holds no pages yet."
        return f"'{look.site.name}' can be read; it counts {look.site.pages} articles."

    def _see_permissions(self) -> str:
        look = self._look()
        if look.site.public and self.settings.public_for_everyone:
            return "The wiki is public and for everyone who signs in here."
        kind = "public, but only its own accounts count here" if look.site.public else "private"
        count = sum(may_read(account) for account in self._api.accounts())
        return f"The wiki is {kind}: {count} accounts may read."

    def _see_groups(self) -> str:
        people = People(self.settings)
        reading = [account.name for account in self._api.accounts() if may_read(account)]
        nameless = [name for name in reading if not people.mail(name)]
        if reading and len(nameless) == len(reading):
            raise SourceFault(
                "No account has an e-mail address here, so nobody would find anything.",
                "Enter how addresses are made from names, such as {name}@example.com, or single lines.",
            )
        told = f"{len(reading) - len(nameless)} accounts have an address."
        return f"{told} {len(nameless)} have none and see nothing." if nameless else told


def _suppressed(page: Page) -> Failure:
    return Failure(
        page_id(page.id),
        page.title,
        "Its text was hidden at the source.",
        "Nothing is to be done, unless it was hidden by mistake.",
    )


def _earlier(moment: str) -> str:
    return f"{datetime.fromisoformat(moment) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
