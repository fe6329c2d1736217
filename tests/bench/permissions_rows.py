"""The input of the permissions benchmark, and who may read what by it: a brute-force oracle that shares nothing with the app.

Documents are `{"_id", "title", "text", "readers": […]}`, queries `{"_id", "text"}`. The people file holds two kinds of rows:
people `{"id", "groups": […]}` with the groups that list them directly, and groups `{"group", "members": […]}`, whose members
are people, groups or `everyone`; a group may have both, and cycles are allowed.

A reader or member is written `user:ID`, `group:NAME`, `everyone`, or as a bare name: the group of that name when the people
file knows one, else the person with that id. No readers, or `null`, means nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERYONE = "everyone"


class BadRows(ValueError):
    """An input file says something that cannot be meant; the message names the row and the way out."""


@dataclass(frozen=True, slots=True)
class Text:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What the files say, names made plain: `user:…`, `group:…` or `everyone`."""

    people: Sequence[str]
    members: Mapping[str, frozenset[str]]
    documents: Sequence[Text]
    readers: Mapping[str, frozenset[str]]
    queries: Mapping[str, str]


def read(documents: Path, people: Path, queries: Path) -> Rows:
    """Raises BadRows for a name that is nobody's, or both a person's and a group's."""
    return rows(_lines(documents), _lines(people), _lines(queries))


def rows(
    documents: Sequence[Mapping[str, Any]],
    people: Sequence[Mapping[str, Any]],
    queries: Sequence[Mapping[str, Any]],
) -> Rows:
    ids = [str(row["id"]) for row in people if "id" in row]
    if len({name.lower() for name in ids}) < len(ids):
        raise BadRows("Two people have the same id. Ids must differ in more than upper case.")
    named = {str(row["group"]) for row in people if "group" in row}
    named |= {name.removeprefix("group:") for row in people for name in row.get("groups", ())}
    names = _Names(frozenset(ids), frozenset(named))
    members: dict[str, set[str]] = {name: set() for name in named}
    for row in people:
        if "group" in row:
            members[str(row["group"])].update(names.plain(m) for m in row["members"])
        for name in row.get("groups", ()):
            members[name.removeprefix("group:")].add(f"user:{row['id']}")
    return Rows(
        ids,
        {name: frozenset(listed) for name, listed in members.items()},
        [Text(str(r["_id"]), r.get("title", ""), r["text"]) for r in documents],
        {str(r["_id"]): frozenset(map(names.plain, r["readers"] or ())) for r in documents},
        {str(row["_id"]): row["text"] for row in queries},
    )


@dataclass(frozen=True, slots=True)
class _Names:
    people: frozenset[str]
    groups: frozenset[str]

    def plain(self, name: str) -> str:
        if name == EVERYONE or name.startswith("group:"):
            return name
        if name.startswith("user:"):
            return name
        if name in self.groups and name in self.people:
            raise BadRows(f"'{name}' is a person and a group. Write user:{name} or group:{name}.")
        if name in self.groups:
            return f"group:{name}"
        if name in self.people:
            return f"user:{name}"
        raise BadRows(f"'{name}' is in no row of the people file. Add it, or write group:{name}.")


class Truth:
    """Who may read what, found downwards: from a document's readers through groups to people (the app goes from a person
    upwards). What a group comes to is remembered until groups change."""

    def __init__(
        self,
        people: Iterable[str],
        members: Mapping[str, Iterable[str]],
        readers: Mapping[str, Iterable[str]],
    ) -> None:
        self.people = tuple(people)
        self.members = {group: frozenset(listed) for group, listed in members.items()}
        self.readers = {document: frozenset(listed) for document, listed in readers.items()}
        self._everybody = frozenset(self.people)
        self._known: dict[frozenset[str], frozenset[str]] = {}

    @classmethod
    def of(cls, rows: Rows) -> Truth:
        return cls(rows.people, rows.members, rows.readers)

    def copy(self) -> Truth:
        return Truth(self.people, self.members, self.readers)

    def set_members(self, group: str, members: Iterable[str]) -> None:
        self.members[group] = frozenset(members)
        self._known.clear()

    def set_readers(self, document: str, readers: Iterable[str]) -> None:
        self.readers[document] = frozenset(readers)

    def admitted(self, document: str) -> frozenset[str]:
        """The people who may read it."""
        readers = self.readers[document]
        if readers not in self._known:
            self._known[readers] = self._people_among(readers)
        return self._known[readers]

    def permitted(self, person: str) -> frozenset[str]:
        """The documents that this person may read."""
        return frozenset(d for d in self.readers if person in self.admitted(d))

    def _people_among(self, names: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        seen: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop(0)
            if name in seen:
                continue
            seen.add(name)
            if name == EVERYONE:
                return self._everybody
            if name.startswith("user:"):
                found.add(name.removeprefix("user:"))
            else:
                queue.extend(self.members.get(name.removeprefix("group:"), ()))
        return frozenset(found)


def _lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
