from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel, col

from app.db import Database
from app.db.tables import ConnectorRow, EventRow, GroupMemberRow, PersonPrincipalRow, PersonRow
from app.demo.people import load_groups, load_people
from app.demo.seed import COMPANY_FOLDER, copy_company, seed, seed_people
from app.identity import Identity
from app.records import Ledger
from app.settings import Settings
from tests.demo.papers import principals_of


@dataclass(frozen=True)
class Parts:
    """What seeding people needs of the services."""

    settings: Settings
    database: Database
    ledger: Ledger
    identity: Identity


@pytest.fixture
def parts(settings: Settings, database: Database, ledger: Ledger) -> Parts:
    return Parts(settings, database, ledger, Identity.build(settings, database, ledger))


def rows(database: Database, table: type[SQLModel]) -> list[dict[str, object]]:
    with database.read() as session:
        found = [row.model_dump() for row in session.execute(select(table)).scalars()]
    return sorted(found, key=str)


def test_people_arrive_with_team_role_and_every_group_they_are_in(parts: Parts) -> None:
    assert seed_people(parts)
    for expected in load_people():
        row = parts.identity.accounts.by_email(expected.email)
        assert row is not None
        person = parts.identity.accounts.person(row.id)
        assert person is not None
        assert (person.name, person.team, person.role) == (
            expected.name,
            expected.team,
            expected.role,
        )
        assert person.principals == principals_of(expected.email)


def test_the_groups_are_stored_as_the_file_has_them(parts: Parts) -> None:
    seed_people(parts)
    stored = {
        (row["namespace"], row["group_name"], row["member"])
        for row in rows(parts.database, GroupMemberRow)
    }
    assert stored == {
        ("idp", name, member) for name, members in load_groups().items() for member in members
    }


def test_each_person_added_is_in_the_log(parts: Parts) -> None:
    seed_people(parts)
    with parts.database.read() as session:
        types = list(session.execute(select(col(EventRow.type))).scalars())
    assert types == ["person_changed"] * 15
    assert parts.ledger.verify().broken is None


def test_seeding_people_twice_changes_nothing(parts: Parts) -> None:
    seed_people(parts)
    tables = (PersonRow, GroupMemberRow, PersonPrincipalRow, EventRow)
    before = [rows(parts.database, table) for table in tables]
    assert not seed_people(parts)
    assert [rows(parts.database, table) for table in tables] == before


@pytest.mark.parametrize(
    "change",
    [{"oidc_issuer": "https://login.fernhill.example"}, {"demo": False}],
    ids=["a provider is configured", "the demo is off"],
)
def test_nothing_is_seeded_when_it_is_not_wanted(parts: Parts, change: dict[str, object]) -> None:
    unwanted = parts.settings.model_copy(update=change)
    assert not seed(Parts(unwanted, parts.database, parts.ledger, parts.identity))
    assert rows(parts.database, PersonRow) == []
    assert rows(parts.database, ConnectorRow) == []


def test_the_copied_documents_are_the_visitors_to_edit(tmp_path: Path) -> None:
    copy = copy_company(tmp_path)
    names = {path.relative_to(COMPANY_FOLDER) for path in COMPANY_FOLDER.rglob("*")}
    assert {path.relative_to(copy) for path in copy.rglob("*")} == names
    edited = copy / "sales" / "access.toml"
    edited.write_text("[access]\neveryone = true\n", encoding="utf-8")
    assert copy_company(tmp_path) == copy
    assert edited.read_text(encoding="utf-8") == "[access]\neveryone = true\n"
