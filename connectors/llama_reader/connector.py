"""Documents of any LlamaIndex reader. Such readers know nothing of permissions: nothing is loaded before the admin has
stated who may read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Document,
    Failure,
    Limits,
    SourceFault,
    Unchanged,
)
from connectors.llama_reader.loading import Loading
from connectors.llama_reader.pieces import Broken, Piece, pieces, text_value
from connectors.llama_reader.settings import LlamaSecrets, LlamaSettings
from connectors.stated import FIX

CHECKPOINT_EVERY = 100
LOOKED_AT = 20


class LlamaReader(Connector):
    kind = "llama_reader"
    title = "LlamaIndex reader"
    description = "Whatever an installed LlamaIndex reader loads; you state who may read it."
    category = "Other"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text(encoding="utf-8")
    settings_model = LlamaSettings
    secrets_model = LlamaSecrets
    settings: LlamaSettings
    secrets: LlamaSecrets
    limits = Limits(content_every_s=3600)

    def validate(self) -> list[Check]:
        content = Check.attempt("content", self._look)
        return [content, self.settings.readers_check("A LlamaIndex reader")]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Loads everything each time: a reader does not tell what changed. What it does not load is gone."""
        del checkpoint
        self._must_be_stated()
        if self.context.cancelled():
            return
        for number, piece in enumerate(self._pieces(), start=1):
            if self.context.cancelled():
                return
            self.context.progress(f"{number} documents", number, None)
            yield self._change(piece, known)
            if number % CHECKPOINT_EVERY == 0:
                yield Checkpoint()
        yield Checkpoint(complete=True)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Readers are stated in the settings: while those stay, all are confirmed without loading anything."""
        self._must_be_stated()
        mark = self.settings.readers_mark()
        if since.get("readers") != mark:
            access, data_class = self.settings.access(), self.settings.data_class
            for piece in self._pieces():
                if isinstance(piece, Piece):
                    yield AccessChange(piece.id, access, data_class)
        yield Checkpoint({"readers": mark})

    def _must_be_stated(self) -> None:
        if not self.settings.stated:
            raise SourceFault(
                "A LlamaIndex reader does not say who may read, and no readers are stated.", FIX
            )

    def _pieces(self) -> Iterator[Piece | Broken]:
        return pieces(Loading(self.settings, self.secrets).documents(), self.settings)

    def _change(self, piece: Piece | Broken, known: Mapping[str, str]) -> Change:
        if isinstance(piece, Broken):
            return Failure(piece.id, piece.id, piece.cause, piece.fix)
        settings, title = self.settings, self._title(piece)
        access, data_class = settings.access(), settings.data_class
        content = piece.text.encode(errors="replace")
        if len(content) > self.context.max_bytes:
            cause = f"It has {len(content):,} bytes; the limit is {self.context.max_bytes:,}."
            return Failure(piece.id, title or piece.id, cause, "Have the reader split it.")
        link = text_value(piece.metadata, settings.link_field)
        version = text_value(piece.metadata, settings.version_field)
        version = version or hashlib.sha256(content).hexdigest()[:32]
        if known.get(piece.id) == version:
            return Unchanged(piece.id, access, data_class)
        return Document(
            id=piece.id,
            title=title,
            content=content,
            mime=settings.text_format,
            version=version,
            access=access,
            data_class=data_class,
            url=link if link.startswith(("https://", "http://")) else "",
        )

    def _title(self, piece: Piece) -> str:
        told = text_value(piece.metadata, self.settings.title_field)
        if told:
            return told
        if piece.by_text:
            return piece.text.strip().splitlines()[0].strip("# ")[:80]
        return text_value(piece.metadata, "title") or text_value(piece.metadata, "file_name")

    def _look(self) -> str:
        loading, found, first = Loading(self.settings, self.secrets), 0, ""
        by_text = False
        for piece in pieces(loading.documents(), self.settings):
            if isinstance(piece, Broken):
                first = first or f"{piece.cause} {piece.fix}"
                continue
            found, by_text = found + 1, by_text or piece.by_text
            if found == LOOKED_AT:
                break
        if not found:
            raise SourceFault(
                f"The reader {loading.name} loads no document. {first}".strip(),
                "Check its arguments and the id field.",
            )
        count = f"{LOOKED_AT} documents and perhaps more" if found == LOOKED_AT else str(found)
        named = " They have no lasting ids: a text that changes counts as a new document."
        return f"{loading.name} loads: {count}.{named if by_text else ''}"
