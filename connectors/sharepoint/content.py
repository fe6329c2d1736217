"""A file's bytes, with what the platform needs to parse and cite it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import PurePosixPath

from connectors.contract import Access, Document, Failure, SourceFault
from connectors.http import TooLarge
from connectors.sharepoint.api import GraphApi
from connectors.sharepoint.model import Drive, Item

MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def mime_of(item: Item) -> str:
    """Empty for what is not read: folders, notebooks, links to other drives."""
    return MIMES.get(PurePosixPath(item.name).suffix.lower(), "") if item.is_file else ""


def version_of(item: Item) -> str:
    """Changes with the content and the name, not with the sharing."""
    name = hashlib.sha256(item.name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{item.tag or item.modified}.{name}"


def document(
    api: GraphApi, drive: Drive, item: Item, access: Access, data_class: str, limit: int
) -> Document | Failure:
    id = f"{drive.id}/{item.id}"
    if item.malware:
        cause = "Microsoft has found malware in it."
        return Failure(id, item.name, cause, "Delete it at the source.")
    if item.size > limit:
        return _too_large(id, item, limit)
    try:
        content = api.content(drive.id, item.id, limit)
    except TooLarge:
        return _too_large(id, item, limit)
    except SourceFault as fault:
        if fault.passing or "401" in fault.message:
            raise
        return Failure(id, item.name, fault.message, fault.fix)
    return Document(
        id=id,
        title=item.name,
        content=content,
        mime=mime_of(item),
        version=version_of(item),
        access=access,
        data_class=data_class,
        url=item.url,
        space=drive.name,
        modified_at=_moment(item.modified),
    )


def _too_large(id: str, item: Item, limit: int) -> Failure:
    cause = f"It has {item.size / 1e6:.1f} MB; the limit is {limit / 1e6:.1f} MB."
    return Failure(id, item.name, cause, "Raise the limit, or split it.")


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
