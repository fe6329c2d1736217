"""Who may read a file: the nearest `access.toml` at or above it decides, alone. None means nobody.

    [access]
    everyone = true                      # or
    groups = ["sales"]                   # the company's groups, and / or
    users = ["ada@example.com"]
    data_class = "internal"              # public, internal, confidential or restricted

    [[file]]                             # optional: other rules for some files beside it or below it
    match = "salaries*.pdf"              # a name, or a path from here with folders; * and ** work
    groups = ["hr"]
    data_class = "restricted"

The last matching `[[file]]` wins; it replaces the readers, and the data class where it names one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from connectors import toml_faults
from connectors.contract import Access
from connectors.folder.globs import matches

ACCESS_FILE = "access.toml"
MAX_BYTES = 200_000
DataClassName = Literal["public", "internal", "confidential", "restricted"]
Group = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[^@\s]+@[^@\s]+$")
]


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    everyone: bool = False
    groups: frozenset[Group] = frozenset()
    users: frozenset[Email] = frozenset()
    data_class: DataClassName | None = None


class FileRule(Rule):
    match: str = Field(min_length=1)


class AccessFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    access: Rule = Rule()
    file: tuple[FileRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Permission:
    access: Access
    data_class: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An access file that says nothing sure: `cause` is for the admin, what it governs is for nobody."""

    path: str
    cause: str


# Where nobody may read, the strictest class is the only safe guess.
NOBODY = Permission(Access.nobody(), "restricted")


def read_access(folder: Path, relative: str) -> AccessFile | Broken | None:
    """The folder's own access file, None when it has none. Never raises."""
    path = folder / ACCESS_FILE
    name = access_name(relative)
    try:
        if not path.exists() and not path.is_symlink():
            return None
        if path.is_symlink() or path.stat().st_size > MAX_BYTES:
            return Broken(name, "It is a link or too large to be an access file.")
        return parse_access(path.read_bytes(), name)
    except OSError as error:
        return Broken(name, f"It cannot be read: {error.__class__.__name__}.")


def access_name(relative: str) -> str:
    return f"{relative}/{ACCESS_FILE}" if relative else ACCESS_FILE


def parse_access(content: bytes, name: str) -> AccessFile | Broken:
    """The rules in an access file's bytes. Never raises."""
    if len(content) > MAX_BYTES:
        return Broken(name, "It is too large to be an access file.")
    try:
        return AccessFile.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        place, words = toml_faults.first(error)
        return Broken(name, f"'{toml_faults.named(place)}' is wrong: {words}.")
    except tomllib.TOMLDecodeError as error:
        return Broken(name, f"It is not valid TOML: {error}.")
    except (UnicodeDecodeError, RecursionError) as error:
        return Broken(name, f"It cannot be read: {error.__class__.__name__}.")


def permission(rules: AccessFile | Broken | None, path_from_rules: str) -> Permission:
    """What `rules` say about the file at `path_from_rules`, a posix path from the access file's folder."""
    if rules is None or isinstance(rules, Broken):
        return NOBODY
    chosen: Rule = rules.access
    for rule in rules.file:
        if matches(path_from_rules, rule.match):
            chosen = rule
    data_class = chosen.data_class or rules.access.data_class or "internal"
    access = Access(
        known=True,
        everyone=chosen.everyone,
        users=frozenset(chosen.users),
        groups=frozenset(chosen.groups),
        company_groups=True,
    )
    return Permission(access, data_class)
