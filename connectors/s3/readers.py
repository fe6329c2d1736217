"""Who may read an object: stated by the admin for prefixes, or by `access.toml` objects as in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from connectors.contract import Access, Failure
from connectors.folder.access import (
    ACCESS_FILE,
    NOBODY,
    AccessFile,
    Broken,
    Permission,
    parse_access,
    permission,
)

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
FIX = "Correct it; until then nobody finds the objects it governs."


class Readers(Protocol):
    def of(self, key: str) -> Permission: ...

    @property
    def failures(self) -> Sequence[Failure]: ...


def read_line(line: str) -> tuple[str, Access]:
    """A prefix (a folder, or one whole key, without its last slash; empty for the whole bucket) and its readers.

    Raises ValueError with words for the form.
    """
    prefix, sign, stated = line.partition("=")
    words = [word.strip() for word in stated.split(",") if word.strip()]
    if not sign or not words:
        raise ValueError(f"'{line}' is not like 'policies/ = group:hr, user:ada@example.com'.")
    prefix = prefix.strip().strip("/")
    if words == ["nobody"]:
        return prefix, Access.nobody()
    users: set[str] = set()
    groups: set[str] = set()
    for word in words:
        kind, _, name = (part.strip() for part in word.partition(":"))
        if kind == "group" and name:
            groups.add(name)
        elif kind == "user" and EMAIL.fullmatch(name):
            users.add(name.lower())
        elif word != "everyone":
            raise ValueError(
                f"'{word}' is none of: everyone, nobody, group:name, user:address (in '{line}')."
            )
    return prefix, Access(
        known=True,
        everyone="everyone" in words,
        users=frozenset(users),
        groups=frozenset(groups),
        company_groups=True,
    )


class PrefixReaders:
    """The longest prefix wins; a prefix ends at a slash, so that `hr` does not cover `hr-public/`."""

    failures: Sequence[Failure] = ()

    def __init__(self, lines: Sequence[str], data_class: str) -> None:
        self._rules = sorted((read_line(line) for line in lines), key=lambda rule: -len(rule[0]))
        self._data_class = data_class

    def of(self, key: str) -> Permission:
        for prefix, access in self._rules:
            if not prefix or key == prefix or key.startswith(f"{prefix}/"):
                return Permission(access, self._data_class)
        return Permission(Access.nobody(), self._data_class)


@dataclass
class AccessFileReaders:
    """The nearest `access.toml` below `root` decides, alone. `read` gives an object's bytes, None where there is none."""

    root: str
    read: Callable[[str], bytes | Broken | None]
    _rules: dict[str, AccessFile | Broken | None] = field(default_factory=dict)

    @property
    def failures(self) -> Sequence[Failure]:
        broken = [rules for rules in self._rules.values() if isinstance(rules, Broken)]
        return [Failure(rules.path, rules.path, rules.cause, FIX) for rules in broken]

    def of(self, key: str) -> Permission:
        folder = key.rpartition("/")[0]
        while True:
            base = f"{folder}/" if folder else ""
            if not base.startswith(self.root):
                return NOBODY
            rules = self._at(f"{base}{ACCESS_FILE}")
            if rules is not None:
                return permission(rules, key[len(base) :])
            if not folder:
                return NOBODY
            folder = folder.rpartition("/")[0]

    def load(self, keys: Sequence[str]) -> None:
        """The access files of a listing: those it does not name are known to be absent."""
        for key in keys:
            self._at(key)
        known = dict(self._rules)
        self.read = lambda _key: None
        self._rules = known

    def _at(self, name: str) -> AccessFile | Broken | None:
        if name not in self._rules:
            found = self.read(name)
            self._rules[name] = parse_access(found, name) if isinstance(found, bytes) else found
        return self._rules[name]
