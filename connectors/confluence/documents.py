"""Pages with their comments, and files, as documents; their ids and versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from connectors.atlassian import digest, mime_of
from connectors.confluence.model import Attachment, Comment, Page
from connectors.confluence.settings import ConfluenceSettings
from connectors.confluence.storage import plain_html
from connectors.contract import Access, Document

PREFIX = {"page": "page:", "blogpost": "blog:"}


def page_id(kind: str, id: str) -> str:
    return f"{PREFIX[kind]}{id}"


def attachment_id(parent: str, attachment: Attachment) -> str:
    return f"{parent}/attachment:{attachment.id}"


def parsed_id(id: str) -> tuple[str, str, str] | None:
    """Kind, page and attachment (empty for a page itself); None for an id that is not of ours."""
    parent, slash, attachment = id.partition("/attachment:")
    for kind, prefix in PREFIX.items():
        number = parent.removeprefix(prefix)
        if parent.startswith(prefix) and number.isdecimal():
            return (kind, number, attachment) if attachment.isalnum() or not slash else None
    return None


def page_version(page: Page, comments: Iterable[Comment]) -> str:
    """Known from listings, without reading any body."""
    said = sorted((comment.id, comment.version) for comment in comments)
    return f"{page.version}.{digest(said) if said else 0}"


def page_document(
    page: Page,
    comments: Sequence[Comment],
    access: Access,
    settings: ConfluenceSettings,
    space: str,
) -> Document:
    parts = [f"<h1>{escape(page.title)}</h1>", plain_html(page.storage or "")]
    if comments:
        parts.append("<h2>Comments</h2>")
    for comment in sorted(comments, key=lambda comment: (comment.at, comment.id)):
        who = comment.author or "a former user"
        parts.append(f"<h3>{escape(who)}, {escape(comment.at[:10])}</h3>")
        parts.append(plain_html(comment.storage))
    content = f"<html><body>{''.join(parts)}</body></html>"
    return Document(
        id=page_id(page.kind, page.id),
        title=page.title,
        content=content.encode("utf-8", "replace"),
        mime="text/html",
        version=page_version(page, comments),
        access=access,
        data_class=settings.data_class,
        url=f"{settings.url}/wiki{page.path}" if page.path else "",
        space=space,
        modified_at=page.modified_at,
    )


def attachment_document(
    parent: Page,
    attachment: Attachment,
    content: bytes,
    access: Access,
    settings: ConfluenceSettings,
    space: str,
) -> Document:
    path = attachment.path or parent.path
    return Document(
        id=attachment_id(page_id(parent.kind, parent.id), attachment),
        title=attachment.title,
        content=content,
        mime=mime_of(attachment.title),
        version=str(attachment.version),
        access=access,
        data_class=settings.data_class,
        url=f"{settings.url}/wiki{path}" if path else "",
        space=space,
        modified_at=attachment.modified_at,
    )
