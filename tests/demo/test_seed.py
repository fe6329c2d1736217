"""Seeding with the product's own parts, and what the demo people find afterwards. The company is seeded and synced once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel, col

from app.db import Database, migrate
from app.db.tables import (
    ConnectorRow,
    DocumentRow,
    EventRow,
    GroupMemberRow,
    PersonPrincipalRow,
    PersonRow,
)
from app.demo.people import load_groups, load_people
from app.demo.questions import DemoQuestion, load_questions
from app.demo.seed import COMPANY_FOLDER, copy_company, seed, seed_people
from app.domain import Person
from app.durable import Durable
from app.identity import Identity
from app.knowledge.embed import load_embedder
from app.knowledge.index import VectorIndex, open_index
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.records import Ledger
from app.settings import Settings
from tests.demo.papers import Paper, principals_of

TABLES = (PersonRow, GroupMemberRow, PersonPrincipalRow, ConnectorRow, EventRow)


@dataclass(frozen=True)
class Parts:
    """What seeding needs of the services, and search."""

    settings: Settings
    database: Database
    ledger: Ledger
    identity: Identity
    sync: Sync
    search: Search
    index: VectorIndex

    def close(self) -> None:
        self.index.close()
        self.database.close()

    def rows(self, *tables: type[SQLModel]) -> list[list[dict[str, object]]]:
        with self.database.read() as session:
            found = [session.execute(select(table)).scalars().all() for table in tables]
        return [sorted((row.model_dump() for row in rows), key=str) for rows in found]

    def person(self, email: str) -> Person:
        row = self.identity.accounts.by_email(email)
        assert row is not None
        person = self.identity.accounts.person(row.id)
        assert person is not None
        return person


def make_parts(folder: Path, **changes: object) -> Parts:
    settings = Settings(data_dir=folder, openai_api_key="", anthropic_api_key="", **changes)
    database = Database(settings.database)
    migrate(database)
    ledger = Ledger(database)
    identity = Identity.build(settings, database, ledger)
    index, embedder = open_index(settings), load_embedder()
    durable = Durable(settings, database)
    sync = Sync(database, ledger, index, embedder, identity.directory, durable, settings)
    search = Search(database, index, embedder)
    return Parts(settings, database, ledger, identity, sync, search, index)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = make_parts(tmp_path / "data")
    yield parts
    parts.close()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    parts = make_parts(tmp_path_factory.mktemp("company"))
    assert seed(parts)
    (connector,) = parts.rows(ConnectorRow)[0]
    run = parts.sync.run_once(str(connector["id"]))
    assert (run.status, run.counts.get("failed", 0)) == ("finished", 0)
    yield parts
    parts.close()


def test_people_arrive_with_team_role_and_every_group_they_are_in(company: Parts) -> None:
    for expected in load_people():
        person = company.person(expected.email)
        assert (person.name, person.team, person.role) == (
            expected.name,
            expected.team,
            expected.role,
        )
        assert person.principals == principals_of(expected.email)


def test_the_groups_are_stored_as_the_file_has_them(company: Parts) -> None:
    (stored,) = company.rows(GroupMemberRow)
    assert {(row["namespace"], row["group_name"], row["member"]) for row in stored} == {
        ("idp", name, member) for name, members in load_groups().items() for member in members
    }


def test_every_document_arrives(company: Parts, papers: dict[str, Paper]) -> None:
    (documents,) = company.rows(DocumentRow)
    assert {row["source_id"] for row in documents} == set(papers)


@pytest.mark.parametrize("question", load_questions(), ids=lambda question: question.text)
def test_who_asks_finds_the_document_and_who_may_not_never_does(
    company: Parts, question: DemoQuestion
) -> None:
    with company.database.read() as session:
        document = session.execute(
            select(col(DocumentRow.id)).where(col(DocumentRow.source_id) == question.source)
        ).scalar_one()

    def found_by(email: str) -> list[str]:
        found = company.search.search(question.text, None, company.person(email))
        return [passage.document_id for passage in found.passages]

    assert document in found_by(question.asker)
    assert [email for email in question.denied if document in found_by(email)] == []


def test_what_was_seeded_is_in_the_log(parts: Parts) -> None:
    seed(parts)
    with parts.database.read() as session:
        statement = select(col(EventRow.type)).order_by(col(EventRow.seq))
        types = list(session.execute(statement).scalars())
    assert types == ["person_changed"] * len(load_people()) + ["connector_changed"]
    assert parts.ledger.verify().broken is None


def test_seeding_twice_changes_nothing(parts: Parts) -> None:
    assert seed(parts)
    before = parts.rows(*TABLES)
    assert not seed(parts)
    assert parts.rows(*TABLES) == before


def test_a_start_cut_short_after_the_people_is_finished_by_the_next(parts: Parts) -> None:
    seed_people(parts)
    assert seed(parts)
    assert len(parts.rows(ConnectorRow)[0]) == 1


def test_a_connector_that_was_removed_does_not_come_back(parts: Parts) -> None:
    seed(parts)
    with parts.database.write() as session:
        session.delete(session.execute(select(ConnectorRow)).scalar_one())
    assert not seed(parts)
    assert parts.rows(ConnectorRow) == [[]]


@pytest.mark.parametrize(
    "change",
    [
        {"oidc_issuer": "https://login.fernhill.example", "oidc_client_id": "switchboard"},
        {"demo": False},
    ],
    ids=["a provider is configured", "the demo is off"],
)
def test_nothing_is_seeded_when_it_is_not_wanted(tmp_path: Path, change: dict[str, object]) -> None:
    parts = make_parts(tmp_path, **change)
    assert not seed(parts)
    assert parts.rows(*TABLES) == [[] for _ in TABLES]
    parts.close()


def test_the_copied_documents_are_the_visitors_to_edit(tmp_path: Path) -> None:
    copy = copy_company(tmp_path)
    names = {path.relative_to(COMPANY_FOLDER) for path in COMPANY_FOLDER.rglob("*")}
    assert {path.relative_to(copy) for path in copy.rglob("*")} == names
    edited = copy / "sales" / "access.toml"
    edited.write_text("[access]\neveryone = true\n", encoding="utf-8")
    assert copy_company(tmp_path) == copy
    assert edited.read_text(encoding="utf-8") == "[access]\neveryone = true\n"
