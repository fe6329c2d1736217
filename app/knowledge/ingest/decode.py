"""Bytes to text: a byte-order mark decides, then UTF-8, then Windows-1252; what looks binary is refused."""

from __future__ import annotations

import codecs

from app.errors import DocumentError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27})
MOST_CONTROL = 0.002


def decode(content: bytes) -> str:
    """Line ends become `\\n`. Raises DocumentError for bytes that are no text."""
    return _decode(content).replace("\r\n", "\n").replace("\r", "\n")


def _decode(content: bytes) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise _no_text(f"It begins as {encoding} but does not go on so.") from error
    if len(content) - len(content.translate(None, CONTROL)) > MOST_CONTROL * len(content):
        raise _no_text("Its bytes look like a program or an image, not like text.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass  # Windows-1252 is what older office machines wrote
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _no_text("Its characters are neither UTF-8 nor Windows-1252.") from error


def _no_text(cause: str) -> DocumentError:
    return DocumentError(cause, fix="Save it as UTF-8 text, or exclude it.")
