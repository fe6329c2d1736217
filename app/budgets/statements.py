"""The SQL of running sums. Every change is one UPDATE that decides by itself, so two processes can never both be right."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, Update, and_, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from app.budgets import money
from app.budgets.budget import SumKey
from app.db.tables import BudgetRow, BudgetSumRow


def reserve(session: Session, key: SumKey, amount: int) -> bool:
    """Holds `amount` if spent + reserved + amount fits the limit, which is read in the same statement. What could not be stored
    fits none."""
    if amount > money.MOST:
        return False
    fits = col(BudgetSumRow.spent_micro) + col(
        BudgetSumRow.reserved_micro
    ) + amount <= _limit() + col(BudgetSumRow.extra_micro)
    return _changed(
        session,
        _sum(key).where(fits).values(reserved_micro=col(BudgetSumRow.reserved_micro) + amount),
    )


def move(session: Session, key: SumKey, *, spent: int, released: int) -> bool:
    """Adds to what is spent and gives back what was held. False when the budget has been removed."""
    return _changed(
        session,
        _sum(key).values(
            spent_micro=col(BudgetSumRow.spent_micro) + spent,
            reserved_micro=col(BudgetSumRow.reserved_micro) - released,
        ),
    )


def grant(session: Session, key: SumKey, amount: int) -> bool:
    """More for this period only; people are told again when the new limit is near."""
    return _changed(
        session,
        _sum(key).values(extra_micro=col(BudgetSumRow.extra_micro) + amount, noticed_at=None),
    )


def notice(session: Session, key: SumKey, at: datetime) -> bool:
    """True exactly once in a period: for whoever settles the call that passes the budget's share."""
    share = select(col(BudgetRow.notice_share)).where(
        col(BudgetRow.id) == col(BudgetSumRow.budget_id)
    )
    limit = _limit() + col(BudgetSumRow.extra_micro)
    due = and_(
        col(BudgetSumRow.noticed_at).is_(None),
        col(BudgetSumRow.spent_micro) > 0,
        col(BudgetSumRow.spent_micro) >= share.scalar_subquery() * limit,
    )
    return _changed(session, _sum(key).where(due).values(noticed_at=at))


def open_sum(session: Session, key: SumKey) -> None:
    """The row of a period's first call, if the budget still exists. Whoever else makes it at this moment is waited for."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    start = literal(key.starts, Date())
    zero = literal(0, BigInteger())
    values = select(col(BudgetRow.id), literal(key.key), start, zero, zero, zero).where(
        col(BudgetRow.id) == key.budget_id
    )
    names = ["budget_id", "key", "starts", "spent_micro", "reserved_micro", "extra_micro"]
    session.execute(insert(BudgetSumRow).from_select(names, values).on_conflict_do_nothing())


def named(key: SumKey) -> ColumnElement[bool]:
    return and_(
        col(BudgetSumRow.budget_id) == key.budget_id,
        col(BudgetSumRow.key) == key.key,
        col(BudgetSumRow.starts) == key.starts,
    )


def _sum(key: SumKey) -> Update:
    return update(BudgetSumRow).where(named(key)).execution_options(synchronize_session=False)


def _limit() -> Any:
    return (
        select(col(BudgetRow.limit_micro))
        .where(col(BudgetRow.id) == col(BudgetSumRow.budget_id))
        .correlate(BudgetSumRow)
        .scalar_subquery()
    )


def _changed(session: Session, statement: Update) -> bool:
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]
