"""Which files count: the formats the platform parses, and the admin's patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from connectors.folder.globs import matches

MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Paths are relative, with forward slashes."""

    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        return (
            PurePosixPath(path).suffix.lower() in MIMES
            and any(matches(path, pattern) for pattern in self.include)
            and not self.excludes(path)
        )

    def excludes(self, path: str) -> bool:
        return any(
            matches(path, pattern) or matches(path, f"{pattern.rstrip('/')}/**")
            for pattern in self.exclude
        )


def mime_of(path: str) -> str:
    return MIMES[PurePosixPath(path).suffix.lower()]


def space_of(path: str) -> str:
    """The first folder, in words; files at the root belong to no space."""
    first, slash, _ = path.partition("/")
    return re.sub(r"[-_]+", " ", first).strip().capitalize() if slash else ""
