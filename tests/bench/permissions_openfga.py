"""OpenFGA's own access tests as groups: models made of unions, and what OpenFGA says about each.

A store's relation on an object becomes a group named `object#relation`: a tuple makes its user a member, `viewer: editor` makes
the editors' group a member, and `viewer from parent` makes the parents' viewers members. `user:*` becomes a group of every
person of that type in the store. Stores with `and`, `but not` or conditions cannot be said in groups and are left out, and so
are stores in several stages and assertions about tuples that were never written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path("assets/tests/consolidated_1_1_tests.yaml")
Relations = Mapping[tuple[str, str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Store:
    """`members` maps groups to members as in the people file; `expected` says whether (person, group) holds."""

    name: str
    people: frozenset[str]
    members: Mapping[str, frozenset[str]]
    expected: Mapping[tuple[str, str], bool]


def stores(folder: Path) -> list[Store]:
    """Every store of unions with at least one expectation, from OpenFGA's folder of test files."""
    tests = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))["tests"]
    found = [_store(t["name"], t["stages"][0]) for t in tests if _is_union(t["stages"])]
    return [store for store in found if store.expected]


def _is_union(stages: Sequence[Mapping[str, Any]]) -> bool:
    words = (" and ", " but not ", "condition ", " with ")
    return len(stages) == 1 and not any(word in stages[0]["model"] for word in words)


def _store(name: str, stage: Mapping[str, Any]) -> Store:
    relations = _relations(stage["model"])
    tuples = [(t["user"], t["relation"], t["object"]) for t in stage.get("tuples") or []]
    expected = dict(_expected(stage, relations))
    people = {user for user, _ in expected}
    people |= {user for user, *_ in tuples if "#" not in user and not user.endswith(":*")}
    objects = {thing for _, _, thing in tuples} | {group.split("#")[0] for _, group in expected}
    objects |= {user.split("#")[0] for user, *_ in tuples}
    members: dict[str, set[str]] = defaultdict(set)
    for person in people:
        members[f"{person.split(':')[0]}:*"].add(f"user:{person}")
    for thing in objects:
        for (kind, relation), terms in relations.items():
            if thing.split(":")[0] == kind:
                members[f"{thing}#{relation}"] |= _members(
                    thing, relation, terms, tuples, relations
                )
    plain = {group: frozenset(listed) for group, listed in members.items()}
    return Store(name, frozenset(people), plain, expected)


def _members(
    thing: str,
    relation: str,
    terms: Sequence[str],
    tuples: Sequence[tuple[str, str, str]],
    relations: Relations,
) -> set[str]:
    found: set[str] = set()
    for term in terms:
        if term.startswith("["):
            allowed = {part.strip() for part in term.strip("[]").split(",")}
            users = [u for u, r, o in tuples if (r, o) == (relation, thing) and _form(u) in allowed]
            found |= {f"group:{u}" if "#" in u or u.endswith(":*") else f"user:{u}" for u in users}
        elif " from " in term:
            wanted, link = term.split(" from ")
            parents = [u for u, r, o in tuples if (r, o) == (link, thing) and "#" not in u]
            found |= {
                f"group:{p}#{wanted}" for p in parents if (p.split(":")[0], wanted) in relations
            }
        else:
            found.add(f"group:{thing}#{term}")
    return found


def _form(user: str) -> str:
    """How a type restriction names such a user: `user`, `user:*` or `group#member`."""
    kind, rest = user.split(":", 1)
    if rest == "*":
        return user
    return f"{kind}#{rest.split('#')[1]}" if "#" in rest else kind


def _relations(model: str) -> dict[tuple[str, str], list[str]]:
    """(type, relation) to the terms of its union, from the model's text."""
    found: dict[tuple[str, str], list[str]] = {}
    kind = ""
    for line in model.splitlines():
        if declared := re.match(r"\s*type (\S+)", line):
            kind = declared[1]
        elif defined := re.match(r"\s*define (\S+?)\s*:\s*(.+)", line):
            terms = defined[2].split("#  ")[0].replace("(", "").replace(")", "")
            found[kind, defined[1]] = [term.strip() for term in terms.split(" or ")]
    return found


def _expected(
    stage: Mapping[str, Any], relations: Relations
) -> Iterator[tuple[tuple[str, str], bool]]:
    for check in stage.get("checkAssertions") or []:
        asked = check["tuple"]
        user, thing, relation = asked["user"], asked["object"], asked["relation"]
        said = "expectation" in check and not check.get("contextualTuples")
        known = (thing.split(":")[0], relation) in relations
        if said and known and "#" not in user and not user.endswith(":*"):
            yield (user, f"{thing}#{relation}"), bool(check["expectation"])
