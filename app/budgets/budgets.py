"""The room as one value, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.budgets.book import BudgetBook
from app.budgets.reservations import Reservations
from app.budgets.sweep import Sweep
from app.db import Database
from app.domain import now
from app.records import Ledger


@dataclass(frozen=True, slots=True)
class Budgets:
    """What admins set (`book`), what calls hold (`reservations`), and the clock that ends what nobody settles (`sweep`)."""

    book: BudgetBook
    reservations: Reservations
    sweep: Sweep

    @classmethod
    def build(
        cls,
        database: Database,
        ledger: Ledger,
        zone: tzinfo,
        clock: Callable[[], datetime] = now,
    ) -> Budgets:
        book = BudgetBook(database, ledger, zone, clock)
        reservations = Reservations(database, ledger, book, clock)
        return cls(book, reservations, Sweep(reservations))

    @property
    def zone(self) -> tzinfo:
        return self.book.zone
