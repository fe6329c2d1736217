"""The budgets that admins set, and how each stands. Read from memory: with none set, a question costs no SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, tzinfo

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from app.budgets import money, statements
from app.budgets.budget import (
    COMPANY,
    EACH,
    PERIODS,
    SCOPES,
    Budget,
    Scope,
    Spender,
    Standing,
    SumKey,
    applying,
)
from app.budgets.periods import Period, starts
from app.db import Database
from app.db.tables import BudgetRow, BudgetSumRow, EventRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import BudgetChanged, BudgetNoticeShown
from app.records.ledger import canonical

REREAD_S = 5.0
"""Another process's change of a budget's place is seen after this long; of its limit, at once."""


class BudgetBook:
    """Thread-safe. Whoever changes something here has asked Policy.administer before."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        zone: tzinfo,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.zone = zone
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._budgets: tuple[Budget, ...] = ()
        self._read_at: float | None = None

    def budgets(self) -> tuple[Budget, ...]:
        at = time.monotonic()
        if self._read_at is None or at - self._read_at > REREAD_S:
            with self._database.read() as session:
                rows = session.execute(select(BudgetRow).order_by(BudgetRow.scope, BudgetRow.id))
                self._budgets = tuple(_budget(row) for row in rows.scalars())
            self._read_at = at
        return self._budgets

    def named(self, scope: str, scope_id: str, period: str) -> Budget | None:
        """The one of this place, if it is set. `scope_id` is as for `allot`."""
        place = (scope, COMPANY if scope == "company" else scope_id, period)
        found = (one for one in self.budgets() if (one.scope, one.scope_id, one.period) == place)
        return next(found, None)

    def allot(
        self,
        actor: Person,
        scope: str,
        scope_id: str,
        period: str,
        limit_usd: float,
        notice_share: float = 0.8,
    ) -> Budget:
        """Sets or changes the one budget of this scope and period; `scope_id` is `*` for each. Raises InputError."""
        scope_id = COMPANY if scope == "company" else scope_id.strip()
        _check(scope, scope_id, period, limit_usd, notice_share)
        with self._database.write() as session:
            row = session.execute(
                select(BudgetRow).where(
                    col(BudgetRow.scope) == scope,
                    col(BudgetRow.scope_id) == scope_id,
                    col(BudgetRow.period) == period,
                )
            ).scalar_one_or_none() or BudgetRow(
                scope=scope, scope_id=scope_id, period=period, limit_micro=0
            )
            row.limit_micro, row.notice_share = money.micro(limit_usd), notice_share
            row.set_by, row.set_at = actor.id, self._clock()
            session.add(row)
            self._ledger.append(session, _changed(actor.id, _budget(row), "set"))
        self._read_at = None
        return _budget(row)

    def remove(self, actor: Person, budget_id: str) -> None:
        """Its sums go with it. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(BudgetRow, budget_id)
            if row is None:
                raise NotFound("There is no such budget.", fix="Reload the page.")
            session.delete(row)
            self._ledger.append(session, _changed(actor.id, _budget(row), "removed"))
        self._read_at = None

    def standings(self, spender: Spender, models: Iterable[str]) -> dict[str, list[Standing]]:
        """By model, how the budgets of a call stand; one query for all, none when nothing applies."""
        budgets, at = self.budgets(), self._clock()
        if not budgets:
            return {}
        placed = {
            model: [
                (budget, SumKey(budget.id, key, starts(budget.period, at, self.zone)))
                for budget, key in applying(budgets, spender, model)
            ]
            for model in models
        }
        sums = self._sums({key for found in placed.values() for _, key in found})
        return {
            model: [_standing(budget, key, sums.get(key)) for budget, key in found]
            for model, found in placed.items()
        }

    def of_person(self, person: Person) -> list[Standing]:
        """The budgets that every question of theirs falls under, whatever it is about and whoever answers."""
        return self.standings(Spender.of(person, ""), [""]).get("", [])

    def starts(self, period: Period) -> date:
        """The first day of the current one."""
        return starts(period, self._clock(), self.zone)

    def spenders(self) -> list[Standing]:
        """Of everybody who has spent from a person's budget in its current period, how it stands."""
        budgets = {one.id: one for one in self.budgets() if one.scope == "person"}
        if not budgets:
            return []
        current = [
            and_(
                col(BudgetSumRow.budget_id) == one.id,
                col(BudgetSumRow.starts) == self.starts(one.period),
            )
            for one in budgets.values()
        ]
        with self._database.read() as session:
            rows = session.execute(
                select(BudgetSumRow).where(or_(*current), col(BudgetSumRow.spent_micro) > 0)
            ).scalars()
            return [
                _standing(budgets[row.budget_id], SumKey(row.budget_id, row.key, row.starts), row)
                for row in rows
                # A budget of their own takes the place of the one for each, whose sum stays.
                for applies, _ in applying(budgets.values(), Spender(row.key, "", ""), "")
                if applies.id == row.budget_id
            ]

    def of_sum(self, key: SumKey) -> Standing | None:
        """How one sum stands, None when its budget has been removed."""
        with self._database.read() as session:
            row = session.get(BudgetRow, key.budget_id)
        return _standing(_budget(row), key, self._sums({key}).get(key)) if row else None

    def first_told(self, person: Person, standing: Standing) -> bool:
        """True, and on record, for whoever tells this person of it first in a period."""
        budget = standing.budget
        event = BudgetNoticeShown(
            actor=person.id,
            subject=budget.id,
            scope=budget.scope,
            key=standing.sum.key,
            period=budget.period,
            starts=standing.sum.starts.isoformat(),
            limit_usd=money.usd(standing.limit_micro),
        )
        with self._database.write() as session:
            known = session.execute(
                select(col(EventRow.seq))
                .where(
                    col(EventRow.subject) == budget.id,
                    col(EventRow.type) == event.type,
                    col(EventRow.body) == canonical(event),
                )
                .limit(1)
            ).first()
            if known is None:
                self._ledger.append(session, event)
        return known is None

    def current(self) -> list[Standing]:
        """Every budget for every key that has spent in this period, and with nothing spent where nobody has."""
        at, found = self._clock(), list[Standing]()
        budgets = self.budgets()
        with self._database.read() as session:
            rows = list(session.execute(select(BudgetSumRow)).scalars()) if budgets else []
        for budget in budgets:
            start = starts(budget.period, at, self.zone)
            own = [row for row in rows if row.budget_id == budget.id and row.starts == start]
            for row in sorted(own, key=lambda row: -row.spent_micro):
                found.append(_standing(budget, SumKey(budget.id, row.key, start), row))
            if not own:
                key = SumKey(budget.id, budget.scope_id, start)
                found.append(_standing(budget, key, None))
        return found

    def _sums(self, keys: set[SumKey]) -> dict[SumKey, BudgetSumRow]:
        if not keys:
            return {}
        with self._database.read() as session:
            rows = session.execute(
                select(BudgetSumRow).where(or_(*(statements.named(key) for key in sorted(keys))))
            ).scalars()
            return {SumKey(row.budget_id, row.key, row.starts): row for row in rows}


def find(session: Session, budget_id: str) -> Budget:
    """Raises NotFound when it is gone."""
    row = session.get(BudgetRow, budget_id)
    if row is None:
        raise NotFound("The budget has been removed meanwhile.", fix="Ask your question again.")
    return _budget(row)


def grant(
    session: Session, actor_id: str, budget: Budget, key: SumKey, amount_micro: int
) -> BudgetChanged:
    """More for one key in one period, in the caller's transaction. The event is the caller's to record there."""
    statements.open_sum(session, key)
    statements.grant(session, key, amount_micro)
    return _changed(actor_id, budget, "granted", amount_micro)


def _check(scope: str, scope_id: str, period: str, limit_usd: float, share: float) -> None:
    if scope not in SCOPES or period not in PERIODS:
        raise InputError(
            f"A budget is for a {', '.join(SCOPES[:-1])} or {SCOPES[-1]}, by day or month."
        )
    if not scope_id:
        raise InputError(f"The {scope} is missing.", fix=f"Name one, or use {EACH} for each.")
    if not 0 <= limit_usd <= money.LARGEST_USD:
        raise InputError(
            "A limit is between 0 and 1,000,000,000 dollars.", fix="Type an amount in between."
        )
    if not 0.01 <= share <= 1:
        raise InputError(
            "The notice comes at a share of the limit between 1 % and 100 %.",
            fix="Type a number from 1 to 100.",
        )


def _budget(row: BudgetRow) -> Budget:
    scope: Scope = next(scope for scope in SCOPES if scope == row.scope)
    period: Period = "day" if row.period == "day" else "month"
    return Budget(
        row.id, scope, row.scope_id, period, row.limit_micro, row.notice_share, row.set_by
    )


def _standing(budget: Budget, key: SumKey, row: BudgetSumRow | None) -> Standing:
    if row is None:
        return Standing(budget, key)
    return Standing(budget, key, row.spent_micro, row.reserved_micro, row.extra_micro)


def _changed(actor: str, budget: Budget, change: str, amount: int = 0) -> BudgetChanged:
    return BudgetChanged(
        actor=actor,
        subject=budget.id,
        change=change,
        scope=budget.scope,
        scope_id=budget.scope_id,
        period=budget.period,
        limit_usd=money.usd(budget.limit_micro),
        amount_usd=money.usd(amount),
    )
