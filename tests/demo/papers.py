"""The demo company as its files say it: documents, their readers and their plain text, the readers worked out here and
not by the product."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from app.demo.people import load_groups
from app.demo.seed import COMPANY_FOLDER
from app.domain import EVERYONE, DataClass
from app.knowledge.ingest.parse import parse
from connectors.folder.connector import MIMES

FORMATS = {".md", ".pdf", ".docx", ".html"}


@dataclass(frozen=True)
class Paper:
    """One document; `readers` are principals, none means nobody."""

    path: str
    space: str
    readers: frozenset[str]
    data_class: DataClass | None


def read_paper(path: Path) -> Paper:
    relative = path.relative_to(COMPANY_FOLDER)
    folder = path.parent
    while folder != COMPANY_FOLDER.parent and not (folder / "access.toml").exists():
        folder = folder.parent
    if folder == COMPANY_FOLDER.parent:
        return Paper(str(relative), relative.parts[0], frozenset(), None)
    rules = tomllib.loads((folder / "access.toml").read_text(encoding="utf-8"))
    chosen = rules["access"]
    for override in rules.get("file", []):
        if fnmatch(str(path.relative_to(folder)), override["match"]):
            chosen = override
    readers = {f"user:{email}" for email in chosen.get("users", [])}
    readers |= {f"group:idp/{name}" for name in chosen.get("groups", [])}
    if chosen.get("everyone"):
        readers.add(EVERYONE)
    return Paper(
        str(relative),
        relative.parts[0],
        frozenset(readers),
        DataClass.parse(chosen["data_class"]),
    )


def principals_of(email: str) -> frozenset[str]:
    found, groups = {EVERYONE, f"user:{email}"}, load_groups()
    while True:
        more = {f"group:idp/{name}" for name, members in groups.items() if members & found}
        if more <= found:
            return frozenset(found)
        found |= more


@cache
def text_of(path: Path) -> str:
    """The text as the product parses it, with its title first."""
    parsed = parse(path.read_bytes(), MIMES[path.suffix])
    return f"{parsed.title}\n{parsed.text}"
