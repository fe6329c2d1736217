"""What a parser makes of a document: a title and sections under their headings, in reading order."""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class Section:
    """`path` is the headings above the text, outermost first; empty before the first heading."""

    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """`title` is the document's own, empty when it has none."""

    title: str
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        """The whole document as markdown, for reading; every heading once, where it begins."""
        parts: list[str] = []
        open_path: tuple[str, ...] = ()
        for section in self.sections:
            shared = _shared(open_path, section.path)
            for depth, heading in enumerate(section.path[shared:], start=shared + 1):
                parts.append(f"{'#' * min(depth, 6)} {heading}")
            open_path = section.path
            if section.text.strip():
                parts.append(section.text.strip())
        return "\n\n".join(parts)


def _shared(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    depth = 0
    while depth < min(len(before), len(after) - 1) and before[depth] == after[depth]:
        depth += 1
    return depth
