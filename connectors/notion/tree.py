"""Where pages lie, and so which stated readers hold for them."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.contract import Access
from connectors.notion.api import Node, NotionApi, Unreadable
from connectors.notion.settings import NotionSettings

HIGHEST = 100


class Tree:
    """Of one listing. A place that is looked up is remembered."""

    def __init__(self, api: NotionApi, settings: NotionSettings, nodes: dict[str, Node]) -> None:
        self._api = api
        self._settings = settings
        self._nodes = nodes
        self._blocks: dict[str, tuple[str, str] | None] = {}

    def access(self, page: Node) -> Access:
        """The nearest part's readers, else those of all. Where parts are stated and the way up is cut, nobody."""
        parts = self._settings.part_readers
        if not parts:
            return self._settings.access()
        for id in self._up(page):
            if id is None:
                return Access.nobody()
            if id in parts:
                return parts[id]
        return self._settings.access()

    def wanted(self, page: Node) -> bool:
        only = self._settings.only_ids
        return not only or any(id in only for id in self._up(page))

    def space(self, page: Node) -> str:
        """The title of the topmost page that can be seen."""
        titles = [self._nodes[id].title for id in self._up(page) if id in self._nodes]
        return titles[-1] if titles else page.title

    def _up(self, page: Node) -> Iterator[str | None]:
        """Ids from the page itself upwards; None where it cannot be followed any further."""
        yield page.id
        if page.database:
            yield page.database
        kind, parent = page.parent_kind, page.parent
        for _ in range(HIGHEST):
            if kind == "workspace":
                return
            if not parent:
                break
            if kind != "block":
                yield parent
                if (node := self._nodes.get(parent)) and node.database:
                    yield node.database
            above = self._above(kind, parent)
            if above is None:
                break
            kind, parent = above
        yield None

    def _above(self, kind: str, id: str) -> tuple[str, str] | None:
        if kind == "block":
            if id not in self._blocks:
                try:
                    self._blocks[id] = self._api.block_parent(id)
                except Unreadable:
                    self._blocks[id] = None
            return self._blocks[id]
        node = self._nodes.get(id)
        return (node.parent_kind, node.parent) if node else None
