"""A log with a few events in it, and a way to tamper with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.db import Database
from app.records import Ledger
from app.records.events import AccessDenied, SignedOut

Tamper = Callable[..., None]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Nine events."""
    for n in range(9):
        ledger.record(
            AccessDenied(actor=f"person_{n % 3}", subject=f"s{n}", action="look", reason=f"r{n}")
            if n % 2
            else SignedOut(actor=f"person_{n % 3}", subject=f"s{n}")
        )
    return ledger


@pytest.fixture
def tamper(database: Database) -> Tamper:
    """Runs raw SQL, as somebody with the database file could."""

    def run(*statements: str) -> None:
        with database.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    return run
