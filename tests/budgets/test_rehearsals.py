"""A rehearsal and people's questions that draw on the same budget at once, on both databases."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from app.budgets import money
from app.rehearsal import Golden
from app.routing.swaps import Draft
from tests.budgets.test_turns import LYON, allot, cost, reservations, root, shared, sums
from tests.chat.house import House

__all__ = ["shared"]
TRAVEL = "travel_expenses"
ASKING = 12


def test_the_sums_are_those_of_the_rehearsal_and_the_receipts_and_no_limit_is_passed(
    shared: House,
) -> None:
    services, noor = shared.services, root(shared)
    for number in range(6):
        services.rehearsals.golden.add(noor, TRAVEL, Golden(f"{LYON} {number}"))
    draft = services.versions.draft(noor, TRAVEL, Draft(("second",), "grounded"))
    limit = 12_000
    budget = allot(shared, "company", "", "month", money.usd(limit))
    mine = allot(shared, "person", noor.id, "month", 1.0)
    over, done = list[int](), threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            row = sums(shared).get((budget, "company"))
            if row is not None and row.spent_micro + row.reserved_micro > limit:
                over.append(row.spent_micro + row.reserved_micro)

    watcher = threading.Thread(target=watch)
    watcher.start()
    people = [shared.person(f"p{number:02}") for number in range(ASKING)]
    rehearsal = services.rehearsals.start(noor, draft.id, "first")
    with ThreadPoolExecutor(ASKING) as pool:
        views = list(pool.map(lambda who: shared.ask(who, LYON), people))
    until = time.monotonic() + 90
    while (row := services.rehearsals.runs.get(rehearsal)).status == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    done.set()
    watcher.join()
    assert over == []
    assert row.status in ("finished", "stopped")
    found = sums(shared)
    asked = sum(cost(view) for view in views)
    assert found[budget, "company"].spent_micro == asked + money.micro(row.cost_usd)
    assert found[mine, noor.id].spent_micro == money.micro(row.cost_usd) > 0
    assert {one.reserved_micro for one in found.values()} == {0}
    assert {one.status for one in reservations(shared)} == {"settled"}
    assert services.ledger.verify().broken is None
