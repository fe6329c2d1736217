"""One look at the site: its spaces and what lies in them, read page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connectors.atlassian import FAULTS_IN_A_ROW, MIMES, mime_of, too_large, unreadable
from connectors.confluence.api import KINDS, ConfluenceApi
from connectors.confluence.documents import (
    attachment_document,
    attachment_id,
    page_document,
    page_id,
    page_version,
)
from connectors.confluence.model import Attachment, Comment, Malformed, Page, Space
from connectors.confluence.readers import Readers
from connectors.confluence.settings import ConfluenceSettings
from connectors.contract import (
    Access,
    Change,
    Context,
    Deletion,
    Failure,
    Listed,
    SourceFault,
    Unchanged,
)
from connectors.http import TooLarge

Known = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A space's pages, with what was said of them and what is attached, bodies left out."""

    space: Space
    pages: tuple[Page, ...]
    comments: Mapping[str, tuple[Comment, ...]] = field(default_factory=dict)
    attachments: Mapping[str, tuple[Attachment, ...]] = field(default_factory=dict)


class Library:
    def __init__(self, api: ConfluenceApi, settings: ConfluenceSettings, context: Context) -> None:
        self._api = api
        self._settings = settings
        self._context = context
        self._attachments: dict[str, tuple[Attachment, ...]] | None = None
        self._faults = 0
        self.readers = Readers(api, public_is_everyone=settings.public_spaces == "everyone")
        self.spaces = {space.id: space for space in chosen_spaces(api, settings)}

    def shelf(self, space: Space, *, comments: bool) -> Shelf:
        """Places and restrictions of its pages are learned on the way."""
        statuses = "current,archived" if self._settings.archived else "current"
        kinds = KINDS if self._settings.blog_posts else ("page",)
        pages = {p.id: p for kind in kinds for p in self._api.pages(space.id, kind, statuses)}
        self.readers.learn(space, pages.values())
        said: dict[str, list[Comment]] = {}
        if comments and self._settings.comments:
            for comment in self._api.comments(f'space = "{space.key}"', bodies=False):
                said.setdefault(comment.container, []).append(comment)
        ordered = sorted(pages.values(), key=lambda page: (len(page.id), page.id))
        told = {id: tuple(some) for id, some in said.items()}
        return Shelf(space, tuple(ordered), told, self._all_attachments())

    def listed(self, shelf: Shelf) -> Iterator[Listed]:
        for page in shelf.pages:
            access, data_class = self.readers.of_page(page), self._settings.data_class
            id = page_id(page.kind, page.id)
            yield Listed(id, "", access, data_class)
            for file in shelf.attachments.get(page.id, ()):
                yield Listed(attachment_id(id, file), str(file.version), access, data_class)

    def changes(self, shelf: Shelf, page: Page, known: Known) -> Iterator[Change]:
        """The page and its files: unchanged, as they are, or failed."""
        access, data_class = self.readers.of_page(page), self._settings.data_class
        id = page_id(page.kind, page.id)
        version = page_version(page, shelf.comments.get(page.id, ()))
        if known.get(id) == version and not page.broken:
            yield Unchanged(id, access, data_class)
        else:
            yield self._read_page(page, access, known)
        for file in shelf.attachments.get(page.id, ()):
            yield self._take_attachment(page, file, access, known)

    def again(self, kind: str, id: str, known: Known) -> Iterator[Change]:
        """A page and its files as they are now; gone files of `known` are deleted."""
        own = page_id(kind, id)
        try:
            page = self._api.page(id, kind, self._context.max_bytes)
        except (TooLarge, Malformed):  # its place is unknown, so nobody is told anything new
            yield unreadable(own)
            return
        files: tuple[Attachment, ...] = ()
        if page is None or not self._wanted(page):
            yield Deletion(own)
        else:
            access = self.readers.of_page(page)
            yield self._with_body(page, access, known)
            files = self._attachments_of(page)
            for file in files:
                yield self._take_attachment(page, file, access, known)
        present = {attachment_id(own, file) for file in files}
        for other in known:
            if other.startswith(f"{own}/") and other not in present:
                yield Deletion(other)

    def trashed(self, known: Known) -> Iterator[Deletion]:
        held: dict[str, list[str]] = {}
        for id in known:
            held.setdefault(id.partition("/")[0], []).append(id)
        for space in self.spaces.values():
            for kind in KINDS:
                for page in self._api.pages(space.id, kind, "trashed"):
                    yield from map(Deletion, held.get(page_id(kind, page.id), ()))

    def _wanted(self, page: Page) -> bool:
        statuses = {"current", "archived"} if self._settings.archived else {"current"}
        kinds = KINDS if self._settings.blog_posts else ("page",)
        return page.space in self.spaces and page.status in statuses and page.kind in kinds

    def _read_page(self, page: Page, access: Access, known: Known) -> Change:
        id = page_id(page.kind, page.id)
        try:
            full = self._api.page(page.id, page.kind, self._context.max_bytes)
            self._faults = 0
            if full is None:
                return Deletion(id)
            return self._with_body(full, access, known)
        except TooLarge as large:
            return too_large(id, page.title or id, 0, large.limit)
        except Malformed:
            return unreadable(id, page.title)
        except SourceFault as fault:
            return self._failed(id, page.title or id, fault)

    def _with_body(self, page: Page, access: Access, known: Known) -> Change:
        id = page_id(page.kind, page.id)
        if page.broken or page.storage is None:
            return unreadable(id, page.title)
        said: tuple[Comment, ...] = ()
        if self._settings.comments:
            said = tuple(self._api.comments(f"container = {page.id}", bodies=True))
        space = self.spaces.get(page.space)
        document = page_document(page, said, access, self._settings, space.name if space else "")
        if known.get(id) == document.version:
            return Unchanged(id, access, document.data_class)
        if len(document.content) > self._context.max_bytes:
            return too_large(id, page.title or id, len(document.content), self._context.max_bytes)
        return document

    def _take_attachment(
        self, page: Page, file: Attachment, access: Access, known: Known
    ) -> Change:
        id = attachment_id(page_id(page.kind, page.id), file)
        if known.get(id) == str(file.version):
            return Unchanged(id, access, self._settings.data_class)
        most = self._context.max_bytes
        if file.size > most or not file.version:
            return too_large(id, file.title, file.size, most) if file.version else unreadable(id)
        try:
            content = self._api.download(page.id, file.id, most)
            self._faults = 0
        except TooLarge:
            return too_large(id, file.title, file.size, most)
        except SourceFault as fault:
            return self._failed(id, file.title, fault)
        if content is None:
            return Deletion(id)
        space = self.spaces.get(page.space)
        name = space.name if space else ""
        return attachment_document(page, file, content, access, self._settings, name)

    def _failed(self, id: str, name: str, fault: SourceFault) -> Failure:
        self._faults += 1
        if self._faults >= FAULTS_IN_A_ROW:
            raise fault
        return Failure(id, name, fault.message, fault.fix)

    def _all_attachments(self) -> Mapping[str, tuple[Attachment, ...]]:
        if self._attachments is None:
            found: dict[str, dict[str, Attachment]] = {}
            for mime in sorted(set(MIMES.values())) if self._settings.attachments else ():
                for file in self._api.attachments(mime):
                    if mime_of(file.title):
                        found.setdefault(file.page, {})[file.id] = file
            self._attachments = {id: tuple(files.values()) for id, files in found.items()}
        return self._attachments

    def _attachments_of(self, page: Page) -> tuple[Attachment, ...]:
        if not self._settings.attachments:
            return ()
        files = self._api.attachments_of(page.id, page.kind)
        return tuple(file for file in files if mime_of(file.title))


def chosen_spaces(api: ConfluenceApi, settings: ConfluenceSettings) -> list[Space]:
    """Named spaces are read whatever their kind; otherwise personal ones only where that is wanted."""
    statuses = ("current", "archived") if settings.archived else ("current",)
    excluded = {key.strip().upper() for key in settings.exclude}
    named = [key.strip() for key in settings.spaces if key.strip()]
    found = (space for status in statuses for space in api.spaces(status, named))
    return [
        space
        for space in found
        if space.key.upper() not in excluded
        and (named or settings.personal_spaces or not space.personal)
    ]
