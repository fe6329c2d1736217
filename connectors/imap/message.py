"""A message's bytes as a document, and its attachments as documents of their own. Hostile MIME raises Unreadable."""

from __future__ import annotations

import email.policy
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ATTACHED = {"text/markdown", "text/plain", "text/html", "application/pdf", DOCX}
SUFFIXES = {".pdf": "application/pdf", ".docx": DOCX, ".md": "text/markdown"}
DEEPEST, MOST_PARTS = 30, 500


class Unreadable(ValueError):
    """The message says why."""


@dataclass(frozen=True, slots=True)
class Attachment:
    number: int
    name: str
    mime: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    content: bytes
    mime: str
    message_id: str
    sent_at: datetime | None
    attachments: tuple[Attachment, ...]


def parse(raw: bytes) -> Mail:
    """Raises Unreadable."""
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        parts = list(_leaves(message))
        body = _body(parts)
        attachments = tuple(_attachments(parts, body))
        content, mime = _content(message, body)
        return Mail(
            _header(message, "subject"),
            content,
            mime,
            _header(message, "message-id").strip("<> "),
            _date(message),
            attachments,
        )
    except Unreadable:
        raise
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:
        # The standard parser raises all of these on malformed input (https://docs.python.org/3/library/email.errors.html).
        raise Unreadable(f"Its MIME structure is broken ({type(error).__name__}).") from None


def _leaves(message: Message, depth: int = 0, count: list[int] | None = None) -> Iterator[Message]:
    count = [0] if count is None else count
    count[0] += 1
    if depth > DEEPEST or count[0] > MOST_PARTS:
        raise Unreadable("It is nested too deeply or has too many parts.")
    payload = message.get_payload()
    if message.is_multipart() and isinstance(payload, list):
        for part in payload:
            if isinstance(part, Message):
                yield from _leaves(part, depth + 1, count)
    else:
        yield message


def _body(parts: list[Message]) -> Message | None:
    for mime in ("text/plain", "text/html"):
        for part in parts:
            attached = part.get_content_disposition() == "attachment" or part.get_filename()
            if part.get_content_type() == mime and not attached:
                return part
    return None


def _attachments(parts: list[Message], body: Message | None) -> Iterator[Attachment]:
    for number, part in enumerate(parts, start=1):
        name = part.get_filename() or ""
        if part is body or not (name or part.get_content_disposition() == "attachment"):
            continue
        suffix = "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""
        mime = SUFFIXES.get(suffix, part.get_content_type())
        if mime in ATTACHED:
            content = _text(part).encode() if mime.startswith("text/") else _bytes(part)
            yield Attachment(number, name or f"attachment {number}", mime, content)


def _content(message: Message, body: Message | None) -> tuple[bytes, str]:
    lines = [
        (name.capitalize(), _header(message, name))
        for name in ("from", "to", "cc", "date")
        if _header(message, name)
    ]
    text = _text(body) if body is not None else ""
    if body is not None and body.get_content_type() == "text/html":
        head = "".join(f"<p>{name}: {html.escape(value)}</p>\n" for name, value in lines)
        return (head + text).encode("utf-8", "replace"), "text/html"
    head = "".join(f"{name}: {value}\n" for name, value in lines)
    return f"{head}\n{text}".encode("utf-8", "replace"), "text/plain"


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    """An unknown charset is read as UTF-8, wrong bytes are marked."""
    charset = part.get_content_charset() or "utf-8"
    try:
        return _bytes(part).decode(charset, "replace")
    except (LookupError, ValueError):
        return _bytes(part).decode("utf-8", "replace")


def _header(message: Message, name: str) -> str:
    """On one line; a header that cannot be parsed counts as missing."""
    try:
        value = str(message.get(name, ""))
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return ""
    clean = value.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"\s+", " ", clean).strip()[:1000]


def _date(message: Message) -> datetime | None:
    try:
        sent = parsedate_to_datetime(_header(message, "date"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent
