"""What a resource says of itself, and what its content becomes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mcp_types import BlobResourceContents, Resource, TextResourceContents

    Contents = TextResourceContents | BlobResourceContents

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PARSED = {"text/markdown", "text/plain", "text/html", "application/pdf", WORD}
ALIASES = {"text/x-markdown": "text/markdown", "application/xhtml+xml": "text/html"}
PLAIN = {"application/json", "application/xml", "application/yaml", "application/x-yaml"}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}


class Unreadable(Exception):
    """This resource cannot become a document: the cause, and what to do."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the server's listing. `stamp` is its version where the server tells when it was modified, else empty."""

    uri: str
    title: str
    mime: str
    size: int | None
    stamp: str
    modified_at: datetime | None

    @classmethod
    def of(cls, resource: Resource) -> Entry:
        told = resource.annotations.last_modified if resource.annotations else None
        modified_at = _moment(told or "")
        stamp = "" if modified_at is None else f"{modified_at.isoformat()}/{resource.size}"
        title = resource.title or resource.name or resource.uri
        mime = resource.mime_type or ""
        return cls(resource.uri, title, mime, resource.size, stamp, modified_at)

    @property
    def may_be_text(self) -> bool:
        """False for pictures, sound and the like, which no search finds."""
        return self._declared in UNTOLD or parsed_as(self._declared) is not None

    @property
    def _declared(self) -> str:
        return plain_mime(self.mime)


@dataclass(frozen=True, slots=True)
class Body:
    content: bytes
    mime: str

    @property
    def version(self) -> str:
        return hashlib.sha256(self.mime.encode() + b"\0" + self.content).hexdigest()[:32]


def body_of(entry: Entry, contents: Sequence[Contents]) -> Body:
    """Several texts become one document. Raises Unreadable."""
    if not contents:
        raise Unreadable("The server sent no content for it.", "Look into the server's log.")
    if len(contents) == 1:
        return _one(entry, contents[0])
    texts = [getattr(part, "text", None) for part in contents]
    if any(text is None for text in texts):
        raise Unreadable(
            f"It is made of {len(contents)} parts that are not all text.",
            "Exclude it, or have the server list the parts as resources of their own.",
        )
    mimes = {_text_mime(part.mime_type or entry.mime) for part in contents}
    mime = mimes.pop() if len(mimes) == 1 else "text/plain"
    return Body("\n\n".join(str(text) for text in texts).encode(errors="replace"), mime)


def parsed_as(mime: str) -> str | None:
    """The kind as which the platform parses it; None for what it does not parse."""
    if mime in PARSED:
        return mime
    if mime in ALIASES:
        return ALIASES[mime]
    is_text = mime.startswith("text/") or mime in PLAIN or mime.endswith(("+json", "+xml"))
    return "text/plain" if is_text and not mime.startswith("image/") else None


def plain_mime(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def _one(entry: Entry, part: Contents) -> Body:
    declared = plain_mime(part.mime_type or entry.mime)
    text = getattr(part, "text", None)
    if text is not None:
        return Body(str(text).encode(errors="replace"), _text_mime(declared))
    if declared in UNTOLD:
        declared = mimetypes.guess_type(urlsplit(entry.uri).path)[0] or declared
    mime = parsed_as(declared)
    if mime is None:
        raise Unreadable(
            f"It is {declared or 'of a kind that the server does not tell'}, which cannot be searched.",
            "Exclude it by a pattern over its URI.",
        )
    try:
        return Body(base64.b64decode(getattr(part, "blob", ""), validate=True), mime)
    except (binascii.Error, ValueError):
        raise Unreadable(
            "The server sent bytes that are not valid base64.", "Report it to the server's maker."
        ) from None


def _text_mime(declared: str) -> str:
    mime = parsed_as(plain_mime(declared))
    return mime if mime is not None and mime.startswith("text/") else "text/plain"


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
