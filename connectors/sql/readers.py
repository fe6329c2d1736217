"""What a readers column says. NULL and whatever cannot be understood as a whole mean nobody.

An array, JSON, or a text with commas, semicolons or lines between: e-mail addresses, `group:<name>`, and `everyone` where
the settings allow it. A single entry that is none of these admits nobody; one that takes away makes the whole unknown,
because rows only add.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.contract import Access

EMAIL = re.compile(r"[^@\s<>()\",;:\[\]\\]+@[^@\s<>()\",;:\[\]\\]+")
GROUP = "group:"
EVERYONE = "everyone"
TAKES_AWAY = ("-", "!", "~", "^")


@dataclass(frozen=True, slots=True)
class Readers:
    """`access`, and the entries that admit nobody, for the admin."""

    access: Access
    ignored: tuple[str, ...] = ()


def member(entry: str) -> str | None:
    """`ada@example.com` in lower case, `group:<name>`, or None for what is neither."""
    text = entry.strip()
    if text.lower().startswith(GROUP):
        name = text[len(GROUP) :].strip()
        return f"{GROUP}{name}" if name else None
    return text.lower() if EMAIL.fullmatch(text) and not text.startswith(TAKES_AWAY) else None


def readers(value: object, *, allow_everyone: bool) -> Readers:
    entries = _entries(value)
    if entries is None or any(entry.startswith(TAKES_AWAY) for entry in entries):
        return Readers(Access.nobody(), () if value is None else (str(value)[:80],))
    users, groups, ignored, everyone = set(), set(), [], False
    for entry in entries:
        found = member(entry)
        if entry.lower() == EVERYONE and allow_everyone:
            everyone = True
        elif found is None:
            ignored.append(entry[:80])
        elif found.startswith(GROUP):
            groups.add(found.removeprefix(GROUP))
        else:
            users.add(found)
    access = Access(known=True, everyone=everyone, users=frozenset(users), groups=frozenset(groups))
    return Readers(access, tuple(ignored))


def _entries(value: object) -> list[str] | None:
    """None for what is not a list of texts."""
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith(("[", "{")):
            return _stripped(re.split(r"[,;\n]", text))
        try:
            value = json.loads(text)
        except ValueError:
            return None
    if not isinstance(value, list | tuple):
        return None
    if not all(item is None or isinstance(item, str) for item in value):
        return None
    return _stripped(item for item in value if item is not None)


def _stripped(entries: Iterable[str]) -> list[str]:
    return [entry.strip() for entry in entries if entry.strip()]


def admits(access: Access, groups: dict[str, frozenset[str]], email: str) -> bool:
    """Whether `email` is among the readers, with nested groups."""
    if access.everyone or email in access.users:
        return access.known
    waiting, seen = list(access.groups), set(access.groups)
    while waiting:
        members = groups.get(waiting.pop(), frozenset())
        if email in members:
            return access.known
        inner = {m.removeprefix(GROUP) for m in members if m.startswith(GROUP)} - seen
        seen |= inner
        waiting.extend(inner)
    return False
