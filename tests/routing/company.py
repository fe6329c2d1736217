"""A company with an admin and an employee, a few intents, and what was asked; on SQLite, or on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from app.db import Database, migrate
from app.db.tables import ConversationRow, PersonRow, TurnRow
from app.domain import EVERYONE, Person, Role
from app.knowledge.embed import Embedder
from app.records import Ledger
from app.routing import Intents, RoutingTable
from app.routing.classifier import Embed
from app.routing.live import RememberedVectors
from tests.servers.postgres import postgres

_ALL = RoutingTable.load()
TAUGHT = ("general", "it_help", "travel_expenses", "time_off_benefits")
FILE = replace(_ALL, entries=tuple(entry for entry in _ALL.entries if entry.name in TAUGHT))
NEW = ("Where is the canteen?", "What is for lunch today?", "Is there vegan food in the canteen?")
LUNCH = "Is the canteen open for lunch?"


@dataclass
class Company:
    database: Database
    ledger: Ledger
    intents: Intents
    embedder: Embedder
    embed: Embed
    admin: Person
    ada: Person

    def asked(self, person: Person, question: str, intent: str = "general") -> str:
        with self.database.write() as session:
            chat = ConversationRow(person_id=person.id)
            session.add(chat)
            session.flush()
            turn = TurnRow(
                conversation_id=chat.id,
                person_id=person.id,
                question=question,
                intent=intent,
                status="finished",
            )
            session.add(turn)
            session.flush()
            return turn.id

    def intent(self, question: str) -> tuple[str, int]:
        vector = self.embedder.query(question)
        found = self.intents.now().classifier.classify(question, vector)
        return found.name, found.version

    def events(self, kind: str) -> list[dict[str, object]]:
        found = [json.loads(line)["event"] for line in self.ledger.export()]
        return [event for event in found if event["type"] == kind]


def company(database: Database, embedder: Embedder, embed: Embed) -> Company:
    people = []
    for name, role in (("Noor", Role.ADMIN), ("Ada", Role.EMPLOYEE)):
        row = PersonRow(email=f"{name}@example.test", name=name, role=role.value, team="Sales")
        with database.write() as session:
            session.add(row)
            session.flush()
            person = Person(row.id, row.email, name, role, "Sales", frozenset({EVERYONE}))
            people.append(person)
    ledger = Ledger(database)
    intents = Intents(database, ledger, FILE, embed)
    return Company(database, ledger, intents, embedder, embed, *people)


@pytest.fixture(scope="module")
def embed(embedder: Embedder) -> Embed:
    """Every test learns the same examples."""
    return RememberedVectors(embedder.documents).of


@pytest.fixture
def desk(database: Database, embedder: Embedder, embed: Embed) -> Company:
    return company(database, embedder, embed)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, embedder: Embedder, embed: Embed) -> Iterator[Company]:
    """The company on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield company(request.getfixturevalue("database"), embedder, embed)
        return
    url = f"{request.getfixturevalue('server')}?options=-csearch_path%3D{request.node.originalname}"
    database = Database(url)
    with database.write() as session:
        session.execute(text(f"CREATE SCHEMA {request.node.originalname}"))
    migrate(database)
    yield company(database, embedder, embed)
    database.close()
