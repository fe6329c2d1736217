"""Money is held before a model is asked and settled when it has answered, failed or been stopped.

Each step is one transaction: first the reservation's own row, then the sums in the order of their keys, then the log. So no
two of them wait for each other, and a call is held by all of its budgets or by none.

A limit can be passed by one thing only: a provider that counts more tokens than were reserved for, by that difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.budgets import money, statements
from app.budgets.book import BudgetBook
from app.budgets.budget import Budget, Spender, SumKey, applying
from app.budgets.periods import starts
from app.db import Database
from app.db.tables import BudgetReservationRow, BudgetRow, BudgetSumRow, TurnRow
from app.db.types import new_id
from app.domain import now
from app.errors import OverBudget
from app.records import Ledger
from app.records.events import BudgetNotice

EXPIRES = timedelta(minutes=15)
"""A call that nobody has settled after this long belongs to a process that died: no answer takes so long."""
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call may cost at most, in micro-dollars: its prompt, and the longest answer. `price_out` is for one token."""

    prompt_micro: int
    answer_micro: int
    price_out: float

    @property
    def total(self) -> int:
        return self.prompt_micro + self.answer_micro


class Reservations:
    """Blocking; for the pool's threads. Thread-safe, and safe among processes."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        book: BudgetBook,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._book = book
        self._clock = clock

    def reserve(self, spender: Spender, turn_id: str, model: str, estimate: Estimate) -> str | None:
        """Holds the estimate in every budget of the call and returns the reservation's id; None when it falls under none.

        Raises OverBudget, with nothing held, when one of them has no room.
        """
        at = self._clock()
        wanted = {
            SumKey(budget.id, key, starts(budget.period, at, self._book.zone)): budget
            for budget, key in applying(self._book.budgets(), spender, model)
        }
        if not wanted or not estimate.total:
            return None
        with self._database.write() as session:
            held = [
                key for key in sorted(wanted) if self._hold(session, key, wanted[key], estimate)
            ]
            row = BudgetReservationRow(
                id=new_id("res"),
                turn_id=turn_id,
                model=model,
                sums=[[key.budget_id, key.key, key.starts.isoformat()] for key in held],
                reserved_micro=estimate.total,
                prompt_micro=estimate.prompt_micro,
                price_out=estimate.price_out,
                reserved_at=at,
                expires_at=at + EXPIRES,
            )
            session.add(row)
        return row.id

    def settle(self, reservation_id: str, cost_usd: float) -> None:
        """`cost_usd` takes the place of what was held; 0 releases it. Again, or after the sweep, the last figure counts."""
        self.settle_all({reservation_id: money.micro(cost_usd)})

    def settle_all(self, costs: Mapping[str, int]) -> None:
        """The same for several: reservation id to micro-dollars."""
        with self._database.write() as session:
            self.settle_in(session, costs)

    def settle_in(self, session: Session, costs: Mapping[str, int]) -> None:
        """In the caller's transaction, which has not written to the log yet."""
        rows = [row for id in sorted(costs) if (row := _locked(session, id)) is not None]
        self._settle(session, [(row, costs[row.id]) for row in rows], "settled")

    def sweep(self, *, all_held: bool = False) -> int:
        """Settles what dead processes left, and returns how many: the prompt, which was sent, and the words that had been
        kept of the answer. `all_held` does not wait for the expiry: for a start where no other process can be alive."""
        with self._database.read() as session:
            stale = select(col(BudgetReservationRow.id)).where(
                col(BudgetReservationRow.status) == "held"
            )
            if not all_held:
                stale = stale.where(col(BudgetReservationRow.expires_at) <= self._clock())
            ids = list(session.execute(stale).scalars())
        return sum(self._expire(reservation_id) for reservation_id in ids)

    def _hold(self, session: Session, key: SumKey, budget: Budget, estimate: Estimate) -> bool:
        """False when the budget was removed a moment ago. Raises OverBudget."""
        if statements.reserve(session, key, estimate.total):
            return True
        statements.open_sum(session, key)
        if statements.reserve(session, key, estimate.total):
            return True
        if session.get(BudgetRow, key.budget_id) is None:
            return False
        raise OverBudget(
            f"A budget has no room for it ({budget.scope}, {budget.period}).",
            detail=f"{budget.id} {estimate.total}",
        )

    def _expire(self, reservation_id: str) -> bool:
        with self._database.write() as session:
            row = _locked(session, reservation_id)
            if row is None or row.status != "held":
                return False
            characters = session.execute(
                select(func.length(TurnRow.answer)).where(col(TurnRow.id) == row.turn_id)
            ).scalar()
            words = money.micro_up(row.price_out, (characters or 0) // CHARACTERS_PER_TOKEN)
            cost = min(row.reserved_micro, row.prompt_micro + words)
            self._settle(session, [(row, cost)], "expired")
        return True

    def _settle(
        self, session: Session, costs: Sequence[tuple[BudgetReservationRow, int]], status: str
    ) -> None:
        spent, released = Counter[SumKey](), Counter[SumKey]()
        for row, cost in costs:
            for budget_id, key, start in row.sums:
                total = SumKey(budget_id, key, date.fromisoformat(start))
                spent[total] += cost - row.settled_micro
                released[total] += row.reserved_micro if row.status == "held" else 0
            row.settled_micro, row.status = cost, status
            session.add(row)
        moved = [
            key
            for key in sorted(spent)
            if statements.move(session, key, spent=spent[key], released=released[key])
        ]
        due = [key for key in moved if statements.notice(session, key, self._clock())]
        if due:
            self._ledger.append(session, *(_notice(session, key) for key in due))


def _locked(session: Session, reservation_id: str) -> BudgetReservationRow | None:
    return session.execute(
        select(BudgetReservationRow)
        .where(col(BudgetReservationRow.id) == reservation_id)
        .with_for_update()
    ).scalar_one_or_none()


def _notice(session: Session, key: SumKey) -> BudgetNotice:
    budget, total = session.execute(
        select(BudgetRow, BudgetSumRow)
        .join(BudgetSumRow, col(BudgetSumRow.budget_id) == col(BudgetRow.id))
        .where(statements.named(key))
    ).one()
    return BudgetNotice(
        subject=key.budget_id,
        scope=budget.scope,
        key=key.key,
        period=budget.period,
        starts=key.starts.isoformat(),
        spent_usd=money.usd(total.spent_micro),
        limit_usd=money.usd(budget.limit_micro + total.extra_micro),
    )
