"""Values out of a text and back into an answer: `[EMAIL_1]` stands for one value throughout a turn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from app.access.sensitive.findings import Finding, Kind

# Models write a placeholder in lower case, or with a backslash before either bracket. One before the first bracket alone may be
# the person's own, as in a path that goes on with what is hidden, and stays.
_MARK = re.compile(
    r"(?:\\(?=\[\w{1,40}\\\]))?\[(?P<name>[A-Za-z]{2,12}(?:_[A-Za-z]{2,12}){0,2}_\d{1,4})\\?\]"
)
_LONGEST = 42
_OPEN = re.compile(r"\\?\[[A-Za-z_\d]{0,40}\\?\Z|\\\Z")


class Placeholders:
    """The values of one turn, in memory only. `avoid` are texts in which a placeholder may stand by itself already; its
    number is not used, so that nothing else is ever put in its place."""

    def __init__(self, avoid: Iterable[str] = ()) -> None:
        self._taken = {match["name"].upper() for text in avoid for match in _MARK.finditer(text)}
        self._names: dict[tuple[Kind, str], str] = {}
        self._values: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Placeholders({', '.join(self._values)})"

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(f"[{name}]" for name in self._values)

    @property
    def by_value(self) -> dict[str, str]:
        """Value to placeholder, the longest first, so that a value within another is not replaced before it."""
        values = sorted(self._values.items(), key=lambda item: -len(item[1]))
        return {value: f"[{name}]" for name, value in values}

    def hide(self, text: str, findings: Sequence[Finding]) -> str:
        """`text` with a placeholder for each finding; they come in the text's order and do not overlap."""
        parts, at = [], 0
        for finding in findings:
            parts += [text[at : finding.start], self._mark(finding, text)]
            at = finding.end
        return "".join((*parts, text[at:]))

    def restore(self, text: str) -> str:
        """Every known placeholder is its value again; unknown ones stay."""
        return _MARK.sub(self._value, text) if self._values else text

    def _mark(self, finding: Finding, text: str) -> str:
        value = text[finding.start : finding.end]
        name = self._names.get((finding.kind, value))
        if name is None:
            prefix = finding.kind.value.upper()
            known = sum(kind is finding.kind for kind, _ in self._names)
            number = next(
                n
                for n in range(known + 1, known + len(self._taken) + 2)
                if f"{prefix}_{n}" not in self._taken | self._values.keys()
            )
            name = f"{prefix}_{number}"
            self._names[finding.kind, value] = name
            self._values[name] = value
        return f"[{name}]"

    def _value(self, match: re.Match[str]) -> str:
        return self._values.get(match["name"].upper(), match[0])


class Restorer:
    """Restores a stream: what may be the beginning of a placeholder waits for the next piece."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._held = ""

    def take(self, piece: str) -> str:
        """What can be shown now."""
        if not len(self._placeholders):
            return piece
        text = self._held + piece
        opened = _OPEN.search(text, max(0, len(text) - _LONGEST))
        cut = opened.start() if opened else len(text)
        self._held = text[cut:]
        return self._placeholders.restore(text[:cut])

    def rest(self) -> str:
        """What was held back when the stream ended."""
        held, self._held = self._held, ""
        return self._placeholders.restore(held)
