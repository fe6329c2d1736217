"""Pages as documents: their ids, versions and HTML."""

from __future__ import annotations

import html
from datetime import datetime

from connectors.contract import Access, Document
from connectors.mediawiki.api import Page, Site

_PREFIX = "page:"


def page_id(number: int) -> str:
    """A page keeps its number when it is moved."""
    return f"{_PREFIX}{number}"


def page_number(id: str) -> int:
    """0 for an id that is none."""
    number = id.removeprefix(_PREFIX)
    return int(number) if number != id and number.isdecimal() else 0


def document(page: Page, text: str, site: Site, access: Access, data_class: str) -> Document:
    """`text` is the wiki's own HTML; the page's title becomes its first heading."""
    heading = html.escape(page.title)
    content = (
        f"<html><head><title>{heading}</title></head><body><h1>{heading}</h1>{text}</body></html>"
    )
    prefix, colon, _ = page.title.partition(":")
    return Document(
        id=page_id(page.id),
        title=page.title,
        content=content.encode(),
        mime="text/html",
        version=str(page.revision),
        access=access,
        data_class=data_class,
        url=page.url,
        space=f"{site.name}, {prefix}" if colon and page.namespace else site.name,
        modified_at=datetime.fromisoformat(page.changed) if page.changed else None,
    )
