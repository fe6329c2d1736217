"""Blocks of a page as plain HTML (developers.notion.com, "Block").

Left out, because their readers may be others than the page's: child pages and databases (documents of their own), links to
pages, and copies of synced blocks. Files keep their caption only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from html import escape

from connectors.notion.api import Json, Unreadable, text_of

DEEPEST = 12
MOST = 20_000
Children = Callable[[str], Iterable[Json]]

_TEXT = {
    "paragraph": "p",
    "heading_1": "h1",
    "heading_2": "h2",
    "heading_3": "h3",
    "quote": "blockquote",
    "callout": "blockquote",
    "toggle": "p",
}
_LISTS = {"bulleted_list_item": "ul", "numbered_list_item": "ol", "to_do": "ul"}
_OTHERS = {"child_page", "child_database", "link_to_page", "breadcrumb", "table_of_contents"}
_LINKS = {"bookmark", "embed", "link_preview"}


class Html:
    """Renders one page. Raises Unreadable for one that nests too deep or has too many blocks."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._count = 0

    def page(self, id: str) -> str:
        return "".join(self._beneath(id, 0))

    def _beneath(self, id: str, depth: int) -> Iterator[str]:
        if depth > DEEPEST:
            raise Unreadable(f"It nests deeper than {DEEPEST} levels.", "Split the page.")
        open_list = ""
        for block in self._children(id):
            self._count += 1
            if self._count > MOST:
                raise Unreadable(f"It has more than {MOST:,} blocks.", "Split the page.")
            wanted = _LISTS.get(str(block.get("type")), "")
            if wanted != open_list:
                yield (f"</{open_list}>" if open_list else "") + (f"<{wanted}>" if wanted else "")
                open_list = wanted
            yield self._block(block, depth)
        if open_list:
            yield f"</{open_list}>"

    def _block(self, block: Json, depth: int) -> str:
        kind = str(block.get("type"))
        if kind in _OTHERS or block.get("in_trash") or block.get("archived"):
            return ""
        told = block.get(kind)
        value: Json = told if isinstance(told, dict) else {}
        if kind == "synced_block" and value.get("synced_from"):
            return ""
        inner = ""
        if block.get("has_children") and isinstance(block.get("id"), str):
            inner = "".join(self._beneath(str(block["id"]), depth + 1))
        return _rendered(kind, value, inner)


def _rendered(kind: str, value: Json, inner: str) -> str:
    text = escape(text_of(value.get("rich_text")))
    if kind in _TEXT:
        tag = _TEXT[kind]
        return f"<{tag}>{text}</{tag}>{inner}"
    if kind in _LISTS:
        mark = f"[{'x' if value.get('checked') else ' '}] " if kind == "to_do" else ""
        return f"<li>{mark}{text}{inner}</li>"
    if kind == "code":
        return f"<pre>{text}</pre>"
    if kind == "equation":
        return f"<p>{escape(str(value.get('expression') or ''))}</p>"
    if kind == "table":
        return f"<table>{inner}</table>"
    if kind == "table_row":
        cells = value.get("cells")
        row = cells if isinstance(cells, list) else []
        return "<tr>" + "".join(f"<td>{escape(text_of(cell))}</td>" for cell in row) + "</tr>"
    caption = escape(text_of(value.get("caption")))
    if kind in _LINKS:
        address = str(value.get("url") or "")
        safe = address if address.startswith(("https://", "http://")) else ""
        return f'<p><a href="{escape(safe)}">{caption or escape(safe)}</a></p>' if safe else ""
    return (f"<p>{caption}</p>" if caption else "") + (f"<p>{text}</p>" if text else "") + inner
