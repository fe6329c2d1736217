"""The people and groups of the demo company, read from company.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.domain import Json, Role

COMPANY_FILE = Path(__file__).with_name("company.toml")
NAMESPACE = "idp"


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """`groups` are the names of the groups that list this person directly; nested ones follow from `load_groups`."""

    email: str
    name: str
    title: str
    role: Role
    team: str
    office: str
    groups: tuple[str, ...]


def load_people(path: Path = COMPANY_FILE) -> tuple[DemoPerson, ...]:
    """Everybody, in the order of the file: the typical employee comes first."""
    company = _read(path)
    groups = load_groups(path)
    people = []
    for entry in company["people"]:
        email = f"{_local_part(entry)}@{company['domain']}"
        people.append(
            DemoPerson(
                email=email,
                name=entry["name"],
                title=entry["title"],
                role=Role(entry["role"]),
                team=entry["team"],
                office=entry["office"],
                groups=tuple(name for name in groups if f"user:{email}" in groups[name]),
            )
        )
    return tuple(people)


def load_groups(path: Path = COMPANY_FILE) -> dict[str, frozenset[str]]:
    """Group name to its direct members as principals: `user:<email>` or `group:idp/<name>`."""
    company = _read(path)
    return {
        name: frozenset(_principal(member, company["domain"]) for member in members)
        for name, members in company["groups"].items()
    }


def company_name(path: Path = COMPANY_FILE) -> str:
    return str(_read(path)["name"])


def _read(path: Path) -> Json:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _local_part(entry: Json) -> str:
    return str(entry.get("email") or entry["name"].lower().replace(" ", "."))


def _principal(member: str, domain: str) -> str:
    if member.startswith("group:"):
        return f"group:{NAMESPACE}/{member.removeprefix('group:')}"
    return f"user:{member}@{domain}"
