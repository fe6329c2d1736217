"""Fifty calls at once, on both databases: no limit is passed, nobody is refused for nothing, sums are exact."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from sqlmodel import select

from app.budgets import EACH, Spender
from app.db.tables import BudgetReservationRow
from app.errors import OverBudget
from tests.budgets.conftest import CENT, Purse, cents

RACERS = 50
Result = TypeVar("Result")


def at_once(work: Callable[[int], Result], count: int = RACERS) -> list[Result]:
    """Everybody waits for the last one, then all go."""
    line = threading.Barrier(count)

    def run(number: int) -> Result:
        line.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def reserve(purse: Purse, spender: Spender, number: int, amount: int) -> str | None:
    try:
        return purse.reservations.reserve(spender, f"turn_{number}", "gpt", cents(amount))
    except OverBudget:
        return None


def test_as_many_as_fit_are_admitted_and_no_more(shared_purse: Purse) -> None:
    purse = shared_purse
    budget = purse.book.allot(purse.admin, "company", "", "month", 1.0)
    spender = Spender("p", "Sales", "travel")
    got = at_once(lambda number: reserve(purse, spender, number, 3))
    held = [one for one in got if one]
    assert len(held) == 33  # 33 x 3 cents fit a dollar, the 34th does not
    (total,) = purse.sums().values()
    assert (total.reserved_micro, total.spent_micro) == (99 * CENT, 0)
    at_once(lambda number: purse.reservations.settle(held[number], 0.02), len(held))
    (total,) = purse.sums().values()
    assert (total.budget_id, total.reserved_micro, total.spent_micro) == (budget.id, 0, 66 * CENT)


def test_a_call_is_held_by_all_of_its_budgets_or_by_none(shared_purse: Purse) -> None:
    purse = shared_purse
    purse.book.allot(purse.admin, "company", "", "month", 0.40)
    purse.book.allot(purse.admin, "team", "Sales", "month", 0.15)
    purse.book.allot(purse.admin, "person", EACH, "day", 0.05)
    people = [Spender(f"p{n}", "Sales" if n < 5 else "Legal", "travel") for n in range(10)]
    got = at_once(lambda number: reserve(purse, people[number % 10], number, 1))
    admitted = Counter(people[n % 10].team for n, one in enumerate(got) if one)
    # Five people of Sales want 25 cents and their team has 15; five of Legal want and have 25.
    assert admitted == {"Sales": 15, "Legal": 25}
    by_scope: Counter[str] = Counter()
    scopes = {budget.id: budget.scope for budget in purse.book.budgets()}
    for key, row in purse.sums().items():
        by_scope[scopes[key.budget_id]] += row.reserved_micro
    assert by_scope == {"company": 40 * CENT, "team": 15 * CENT, "person": 40 * CENT}


def test_sums_are_exact_after_answers_failures_stops_and_crashes_at_once(
    shared_purse: Purse,
) -> None:
    purse = shared_purse
    purse.book.allot(purse.admin, "company", "", "month", 0.60)
    purse.book.allot(purse.admin, "team", EACH, "month", 0.35)
    purse.book.allot(purse.admin, "model", "gpt", "day", 0.50)
    limits = {"company": 60 * CENT, "team": 35 * CENT, "model": 50 * CENT}
    scopes = {budget.id: budget.scope for budget in purse.book.budgets()}
    over, done = list[str](), threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for key, row in purse.sums().items():
                if row.spent_micro + row.reserved_micro > limits[scopes[key.budget_id]]:
                    over.append(scopes[key.budget_id])

    def turn(number: int) -> str:
        dice = random.Random(number)
        spender = Spender(f"p{number % 7}", dice.choice(["Sales", "Legal"]), "travel")
        held = reserve(purse, spender, number, 4)
        if held is None:
            return "refused"
        end = dice.choice(["answered", "answered", "failed", "crashed"])
        if end != "crashed":
            purse.reservations.settle(held, dice.uniform(0.001, 0.04) if end == "answered" else 0.0)
        return end

    watcher = threading.Thread(target=watch)
    watcher.start()
    ends = [end for _ in range(2) for end in at_once(turn)]
    purse.clock.advance(timedelta(minutes=16))
    swept = sum(at_once(lambda _: purse.reservations.sweep(), 4))
    done.set()
    watcher.join()
    assert over == []
    assert Counter(ends)["crashed"] == swept > 0
    with purse.database.read() as session:
        rows = session.exec(select(BudgetReservationRow)).all()
    assert {row.status for row in rows} == {"settled", "expired"}
    spent: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for budget_id, key, _ in row.sums:
            spent[budget_id, key] += row.settled_micro
    sums = purse.sums()
    assert {(key.budget_id, key.key): row.spent_micro for key, row in sums.items()} == spent
    assert {row.reserved_micro for row in sums.values()} == {0}


def test_the_notice_comes_once_however_many_pass_the_mark(shared_purse: Purse) -> None:
    purse = shared_purse
    purse.book.allot(purse.admin, "company", "", "month", 1.0, 0.8)
    spender = Spender("p", "Sales", "travel")
    at_once(lambda n: purse.reservations.settle(reserve(purse, spender, n, 2) or "", 0.02))
    assert len(purse.events("budget_notice")) == 1
    assert purse.ledger.verify().broken is None
