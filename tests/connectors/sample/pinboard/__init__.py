"""A sample connector as another company would ship it: notes and groups in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from connectors.contract import (
    Access,
    Change,
    Check,
    Checkpoint,
    Connector,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)


class PinboardSettings(BaseModel):
    file: Path = Field(title="File", description="The board's JSON file.")


class Pinboard(Connector):
    kind = "pinboard"
    title = "Pinboard"
    description = "Notes pinned to a board."
    settings_model = PinboardSettings
    settings: PinboardSettings

    def validate(self) -> list[Check]:
        try:
            notes = self._board()["notes"]
        except SourceFault as fault:
            failed = Check("content", Outcome.FAILED, fault.message, fault.fix)
            return [failed, Check("permissions", Outcome.INDETERMINATE, "Not checked.")]
        passed = Check("content", Outcome.PASSED, f"{len(notes)} notes.")
        return [passed, Check("permissions", Outcome.PASSED, "Every note names its readers.")]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        del checkpoint  # the whole board is listed each time
        for note in self._board()["notes"]:
            if self.context.cancelled():
                return
            yield self._note(note, known)
        yield Checkpoint(complete=True)

    def groups(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(members) for name, members in self._board()["groups"].items()}

    def _note(self, note: Mapping[str, Any], known: Mapping[str, str]) -> Change:
        access = Access(
            known=True, users=frozenset(note["users"]), groups=frozenset(note["groups"])
        )
        if known.get(note["id"]) == note["version"]:
            return Unchanged(note["id"], access)
        content = note["text"].encode()
        if len(content) > self.context.max_bytes:
            return Failure(note["id"], note["title"], "The note is too long.", "Shorten it.")
        return Document(note["id"], note["title"], content, "text/plain", note["version"], access)

    def _board(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.settings.file.read_text()))
        except (OSError, ValueError) as error:
            raise SourceFault("The board cannot be read.", "Check the path.") from error
