"""What a loaded document is called, and which belong together: many readers hand over a file in parts (a PDF's pages)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.llama_reader.settings import OWN_ID, LlamaSettings

RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Piece:
    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    by_text: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    id: str
    cause: str
    fix: str


def pieces(loaded: Iterable[object], settings: LlamaSettings) -> Iterator[Piece | Broken]:
    """Parts of one id that follow each other are one piece; an id that comes again later is broken. Equal texts that have
    no other name are one."""
    held: Piece | None = None
    parts: list[str] = []
    sent: set[str] = set()
    for number, document in enumerate(loaded, start=1):
        piece = _piece(document, number, settings)
        if isinstance(piece, Piece) and held is not None and piece.id == held.id:
            parts.extend([] if piece.by_text else [piece.text])
            continue
        if held is not None:
            yield _joined(held, parts)
            held = None
        if isinstance(piece, Broken):
            yield piece
        elif piece.id not in sent:
            sent.add(piece.id)
            held, parts = piece, [piece.text]
        elif not piece.by_text:
            cause = f"The id '{piece.id}' came before, for another document."
            yield Broken(f"{piece.id}#{number}", cause, "Choose an id field that differs.")
    if held is not None:
        yield _joined(held, parts)


def text_value(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key) if key else None
    return "" if value is None else str(value).strip()


def _piece(document: object, number: int, settings: LlamaSettings) -> Piece | Broken:
    name = f"document {number}"
    try:
        text, metadata = str(getattr(document, "text", "") or ""), getattr(document, "metadata", {})
        own = str(getattr(document, "id_", "") or "")
    except Exception as error:  # a lazy document's own code
        cause = f"It cannot be read ({type(error).__name__})."
        return Broken(name, cause, "Look at the reader and its source.")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if not text.strip():
        return Broken(own if own and not _random(own) else name, "It has no text.", "Leave it out.")
    if settings.id_field and settings.id_field != OWN_ID:
        id = text_value(metadata, settings.id_field)
        if not id:
            cause = f"Its metadata has no '{settings.id_field}'."
            known = ", ".join(sorted(map(str, metadata))) or "none"
            return Broken(name, cause, f"Choose another id field; there are: {known}.")
        return Piece(id, text, metadata)
    if own and (settings.id_field == OWN_ID or not _random(own)):
        return Piece(own, text, metadata)
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
    return Piece(f"text-{digest}", text, metadata, by_text=True)


def _random(id: str) -> bool:
    """A UUID of version 4, which LlamaIndex makes anew at each loading."""
    return RANDOM.fullmatch(id.lower()) is not None


def _joined(piece: Piece, parts: list[str]) -> Piece:
    return Piece(piece.id, "\n\n".join(parts), piece.metadata, piece.by_text)
