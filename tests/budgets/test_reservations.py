"""Which budgets a call falls under, when they renew, and what becomes of money that was held."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.budgets import EACH, Estimate, Spender, money
from app.db.tables import ConversationRow, PersonRow, TurnRow
from app.errors import InputError, NotFound, OverBudget
from tests.budgets.conftest import CENT, Purse, cents

ADA = Spender("ada", "Sales", "travel")


def take(purse: Purse, spender: Spender, amount: int, model: str = "gpt") -> str | None:
    return purse.reservations.reserve(spender, "turn_1", model, cents(amount))


def test_without_budgets_nothing_is_held(purse: Purse) -> None:
    assert take(purse, ADA, 500) is None
    assert purse.sums() == {}


@pytest.mark.parametrize(
    ("scope", "scope_id", "spender", "model", "applies"),
    [
        ("company", "", ADA, "gpt", True),
        ("team", "Sales", ADA, "gpt", True),
        ("team", "Legal", ADA, "gpt", False),
        ("team", EACH, Spender("ada", "", "travel"), "gpt", False),
        ("person", "ada", ADA, "gpt", True),
        ("person", "bob", ADA, "gpt", False),
        ("model", "gpt", ADA, "gpt", True),
        ("model", "claude", ADA, "gpt", False),
        ("intent", "travel", ADA, "gpt", True),
        ("intent", "code", ADA, "gpt", False),
    ],
)
def test_a_call_counts_where_it_belongs(
    purse: Purse, scope: str, scope_id: str, spender: Spender, model: str, applies: bool
) -> None:
    purse.book.allot(purse.admin, scope, scope_id, "month", 1.0)
    assert (take(purse, spender, 1, model) is not None) is applies


def test_a_budget_of_ones_own_replaces_the_one_for_each(purse: Purse) -> None:
    purse.book.allot(purse.admin, "person", EACH, "month", 0.05)
    purse.book.allot(purse.admin, "person", "ada", "month", 0.20)
    assert take(purse, ADA, 20)
    with pytest.raises(OverBudget):
        take(purse, Spender("bob", "Sales", "travel"), 6)


def test_a_free_model_needs_no_room(purse: Purse) -> None:
    purse.book.allot(purse.admin, "company", "", "month", 0.0)
    assert take(purse, ADA, 0) is None
    with pytest.raises(OverBudget):
        take(purse, ADA, 1)


@pytest.mark.parametrize("price", [1e16, 1e300, 1.7e308])
def test_an_amount_that_cannot_be_stored_fits_no_budget(shared_purse: Purse, price: float) -> None:
    purse = shared_purse
    purse.book.allot(purse.admin, "company", "", "month", money.LARGEST_USD)
    assert take(purse, ADA, 1)
    wanted = Estimate(money.micro_up(price, 800), money.micro_up(price, 800), price)
    for asked in (wanted, Estimate(10**40, 0, price)):
        with pytest.raises(OverBudget, match="no room"):
            purse.reservations.reserve(ADA, "turn_1", "gpt", asked)
    assert [row.reserved_micro for row in purse.sums().values()] == [CENT]
    assert money.words(wanted.total).startswith("$")


def test_days_and_months_begin_at_midnight_of_the_companys_time_zone(purse: Purse) -> None:
    purse.book.allot(purse.admin, "company", "", "day", 0.10)
    purse.clock.at = datetime(2026, 11, 30, 22, 59, tzinfo=UTC)  # 23:59 in Berlin
    assert take(purse, ADA, 10)
    with pytest.raises(OverBudget):
        take(purse, ADA, 1)
    purse.clock.advance(timedelta(minutes=1))
    assert take(purse, ADA, 10)
    assert {key.starts for key in purse.sums()} == {date(2026, 11, 30), date(2026, 12, 1)}


def test_a_failure_releases_and_a_settlement_frees_what_was_too_much(purse: Purse) -> None:
    purse.book.allot(purse.admin, "company", "", "month", 0.10)
    purse.reservations.settle(take(purse, ADA, 10) or "", 0.0)
    purse.reservations.settle(take(purse, ADA, 10) or "", 0.04)
    assert take(purse, ADA, 6)
    (total,) = purse.sums().values()
    assert (total.spent_micro, total.reserved_micro) == (4 * CENT, 6 * CENT)


def test_a_call_that_ends_in_the_next_period_counts_where_it_was_held(purse: Purse) -> None:
    purse.book.allot(purse.admin, "company", "", "day", 0.10)
    held = take(purse, ADA, 10) or ""
    purse.clock.advance(timedelta(days=1))
    purse.reservations.settle(held, 0.03)
    assert [(key.starts, row.spent_micro) for key, row in purse.sums().items()] == [
        (date(2026, 11, 25), 3 * CENT)
    ]


def keep_words(purse: Purse, answer: str) -> None:
    with purse.database.write() as session:
        session.add(PersonRow(id="ada", email="ada@example.test", name="Ada", role="employee"))
        session.flush()
        session.add(ConversationRow(id="chat_1", person_id="ada", title="t"))
        session.flush()
        session.add(
            TurnRow(
                id="turn_1",
                conversation_id="chat_1",
                person_id="ada",
                position=0,
                question="q",
                answer=answer,
            )
        )


def test_what_nobody_settled_is_charged_for_the_prompt_and_the_words_that_were_kept(
    purse: Purse,
) -> None:
    purse.book.allot(purse.admin, "company", "", "month", 0.10)
    keep_words(purse, "x" * 400)
    held = take(purse, ADA, 10) or ""
    purse.clock.advance(timedelta(minutes=14))
    assert purse.reservations.sweep() == 0
    purse.clock.advance(timedelta(minutes=2))
    assert purse.reservations.sweep() == 1
    (total,) = purse.sums().values()
    # Half of ten cents for the prompt, 100 tokens at 2 micro-dollars.
    assert (total.spent_micro, total.reserved_micro) == (5 * CENT + 200, 0)
    purse.reservations.settle(held, 0.07)  # its turn was alive after all, and knows better
    purse.reservations.settle(held, 0.07)
    (total,) = purse.sums().values()
    assert (total.spent_micro, total.reserved_micro) == (7 * CENT, 0)


def test_at_a_start_without_other_processes_nothing_is_waited_for(purse: Purse) -> None:
    purse.book.allot(purse.admin, "company", "", "month", 0.10)
    assert take(purse, ADA, 10)
    assert purse.reservations.sweep(all_held=True) == 1
    assert take(purse, ADA, 5)


def test_a_lower_limit_counts_at_once_and_a_removed_budget_no_more(purse: Purse) -> None:
    budget = purse.book.allot(purse.admin, "company", "", "month", 1.0)
    held = take(purse, ADA, 50) or ""
    assert purse.book.allot(purse.admin, "company", "", "month", 0.5).id == budget.id
    with pytest.raises(OverBudget):
        take(purse, ADA, 1)
    purse.book.remove(purse.admin, budget.id)
    assert take(purse, ADA, 900) is None
    purse.reservations.settle(held, 0.5)
    assert purse.sums() == {}
    with pytest.raises(NotFound):
        purse.book.remove(purse.admin, budget.id)
    assert len(purse.events("budget_changed")) == 3


@pytest.mark.parametrize(
    ("scope", "scope_id", "period", "limit", "share"),
    [
        ("planet", "x", "day", 1, 0.8),
        ("team", " ", "day", 1, 0.8),
        ("team", "Sales", "year", 1, 0.8),
        ("team", "Sales", "day", -1, 0.8),
        ("team", "Sales", "day", float("nan"), 0.8),
        ("team", "Sales", "day", 1, 0),
    ],
)
def test_an_impossible_budget_is_refused(
    purse: Purse, scope: str, scope_id: str, period: str, limit: float, share: float
) -> None:
    with pytest.raises(InputError):
        purse.book.allot(purse.admin, scope, scope_id, period, limit, share)
