"""Budgets on both databases, and a clock that tests move."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.budgets import BudgetBook, Estimate, Reservations, SumKey
from app.db import Database, migrate
from app.db.tables import BudgetSumRow
from app.domain import EVERYONE, Person, Role
from app.records import Ledger
from tests.servers.postgres import postgres

CENT = 10_000


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Purse:
    """One company's budgets, and whoever sets them."""

    database: Database
    clock: Clock
    book: BudgetBook
    reservations: Reservations
    ledger: Ledger
    admin: Person

    def sums(self) -> dict[SumKey, BudgetSumRow]:
        with self.database.read() as session:
            rows = session.exec(select(BudgetSumRow)).all()
        return {SumKey(row.budget_id, row.key, row.starts): row for row in rows}

    def events(self, kind: str) -> list[str]:
        return [line for line in self.ledger.export() if f'"type": "{kind}"' in line]


def purse_on(database: Database, zone: tzinfo = UTC) -> Purse:
    clock, ledger = Clock(), Ledger(database)
    book = BudgetBook(database, ledger, zone, clock)
    admin = Person("person_admin", "a@example.test", "A", Role.ADMIN, "", frozenset({EVERYONE}))
    return Purse(database, clock, book, Reservations(database, ledger, book, clock), ledger, admin)


def cents(amount: int) -> Estimate:
    """Half for the prompt, half for the answer."""
    return Estimate(amount * CENT // 2, amount * CENT // 2, 2.0)


@pytest.fixture
def purse(database: Database) -> Purse:
    return purse_on(database, ZoneInfo("Europe/Berlin"))


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    """One PostgreSQL for a module, with a migrated database to copy."""
    with postgres() as url:
        database = Database(url)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text("CREATE DATABASE pattern"))
        pattern = Database(url.replace("/postgres", "/pattern"))
        migrate(pattern)
        pattern.close()
        yield database
        database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_purse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Purse]:
    """The same on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'budgets.sqlite'}")
        migrate(database)
    else:
        server: Database = request.getfixturevalue("server")
        name = f"budgets_{secrets.token_hex(4)}"
        with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text(f"CREATE DATABASE {name} TEMPLATE pattern"))
        database = Database(server.url.replace("/postgres", f"/{name}"))
    yield purse_on(database)
    database.close()
