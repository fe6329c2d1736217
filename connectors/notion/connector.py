"""The Notion connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Limits,
    SourceFault,
    Unchanged,
)
from connectors.notion.api import Node, NotionApi, Unreadable
from connectors.notion.blocks import Html
from connectors.notion.properties import table
from connectors.notion.settings import NotionSecrets, NotionSettings
from connectors.notion.tree import Tree
from connectors.stated import FIX

BATCH = 50
SETTLED = timedelta(minutes=2)
"""Notion rounds the time of an edit to the minute: a page edited so recently may change again under the same time."""
UNSETTLED = "~"


class NotionConnector(Connector):
    kind = "notion"
    title = "Notion"
    description = "Pages and database rows shared with an integration; you state who may read them."
    category = "Wikis"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = NotionSettings
    secrets_model = NotionSecrets
    # Three requests a second on average (developers.notion.com, "Request limits").
    limits = Limits(requests_per_minute=180)
    settings: NotionSettings
    secrets: NotionSecrets

    # --- Checks ---

    def validate(self) -> list[Check]:
        return [Check.attempt("content", self._look), self._readers_check()]

    def _look(self) -> str:
        api = self._api()
        name, seen = api.workspace(), len(list(islice(api.pages(), 100)))
        if not seen:
            raise SourceFault(
                f"No page of {name} is shared with the integration.",
                "In Notion, open a page, ··· → Connections, and add the integration.",
            )
        return f"{'100 pages or more' if seen == 100 else f'{seen} pages'} of {name} can be read."

    def _readers_check(self) -> Check:
        if self.settings.anything_stated and not self.settings.stated:
            return Check.attempt("permissions", lambda: "Readers are stated for single parts only.")
        return self.settings.readers_check("Notion's API")

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Lists all pages each time, a hundred a request, and reads those that were edited.

        Notion's search may leave a page out for a while, so one that is known and not listed is asked for by itself before
        it counts as gone.
        """
        del checkpoint
        self._must_be_stated()
        api = self._api()
        pages, tree = self._listed(api)
        waiting = 0
        for number, page in enumerate(pages, start=1):
            if self.context.cancelled():
                return
            self.context.progress(page.title, number, len(pages))
            yield self._change(api, tree, page, known)
            waiting += 1
            if waiting >= BATCH:
                waiting = 0
                yield Checkpoint()
        listed = {page.id for page in pages}
        for id in sorted(known.keys() - listed):
            if self.context.cancelled():
                return
            yield self._unlisted(api, tree, id, known)
        yield Checkpoint()

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        self._must_be_stated()
        api = self._api()
        _, tree = self._listed(api)
        for id in ids:
            yield self._unlisted(api, tree, id, {})

    # --- Permissions ---

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Readers are stated: while the statement stays and holds for all alike, they are confirmed without a request. Where
        parts have readers of their own, places are looked up, because a page may have been moved."""
        self._must_be_stated()
        mark = self.settings.mark()
        if self.settings.part_readers or since.get("readers") != mark:
            pages, tree = self._listed(self._api())
            for page in pages:
                yield AccessChange(page.id, tree.access(page), self.settings.data_class)
        yield Checkpoint({"readers": mark})

    # --- Parts ---

    def _api(self) -> NotionApi:
        return NotionApi(self.context, self.settings.api_url, self.secrets.token.get_secret_value())

    def _listed(self, api: NotionApi) -> tuple[list[Node], Tree]:
        """The pages to be read, each once, and where everything lies."""
        pages = {page.id: page for page in api.pages() if not page.trashed}
        sources = {source.id: source for source in api.data_sources()}
        tree = Tree(api, self.settings, {**pages, **sources})
        return [page for page in pages.values() if tree.wanted(page)], tree

    def _must_be_stated(self) -> None:
        if not self.settings.anything_stated:
            raise SourceFault(
                "Notion's API does not say who may read, and no readers are stated.", FIX
            )

    def _change(self, api: NotionApi, tree: Tree, page: Node, known: Mapping[str, str]) -> Change:
        version, access = self._version(page), tree.access(page)
        data_class = self.settings.data_class
        if known.get(page.id) == version:
            return Unchanged(page.id, access, data_class)
        try:
            body = Html(api.children).page(page.id)
        except Unreadable as problem:
            return Failure(page.id, page.title or page.id, problem.cause, problem.fix)
        content = f"{table(page.properties)}{body}".encode(errors="replace")
        if len(content) > self.context.max_bytes:
            cause = f"It has {len(content):,} bytes; the limit is {self.context.max_bytes:,}."
            return Failure(page.id, page.title or page.id, cause, "Split the page.")
        return Document(
            id=page.id,
            title=page.title or "Untitled",
            content=content,
            mime="text/html",
            version=version,
            access=access,
            data_class=data_class,
            url=page.url if page.url.startswith("https://") else "",
            space=tree.space(page),
            modified_at=page.edited_at,
        )

    def _unlisted(self, api: NotionApi, tree: Tree, id: str, known: Mapping[str, str]) -> Change:
        try:
            page = api.page(id)
        except Unreadable:
            return Deletion(id)  # no id of Notion's, or taken from the integration
        if page is None or page.trashed or page.id != id or not tree.wanted(page):
            return Deletion(id)
        return self._change(api, tree, page, known)

    def _version(self, page: Node) -> str:
        fresh = self.context.clock() - page.edited_at < SETTLED
        return page.edited + (UNSETTLED if fresh else "")
