"""The money of one rehearsal: held before each call and settled after it, from the budgets that questions of this intent by the
admin who started it fall under.

A rehearsal asks several questions at once, and a call costs less than was held for it. So a call that finds no room waits while
others of the same rehearsal are under way; when none is, there is no room, and the rehearsal begins no other question.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from app.budgets import Spender
from app.domain import ModelCall
from app.errors import NoModel, OverBudget
from app.routing.spending import Purse
from app.routing.voice import Attempt
from app.stages import Stages


@dataclass
class PatientPurse(Purse):
    """A purse that waits for room as long as some may come. `waited_s` is how long it did."""

    till: Till | None = None
    waited_s: float = field(default=0.0, init=False)

    async def hold(self, model_id: str, call: ModelCall) -> None:
        """Raises OverBudget when no room will come from this rehearsal."""
        assert self.till is not None
        while True:
            settled = self.till.settled
            try:
                await super().hold(model_id, call)
                return
            except OverBudget:
                began = time.perf_counter()
                if not await self.till.room_may_come(settled):
                    raise
                self.waited_s += time.perf_counter() - began
                self.refused.pop(model_id, None)


class Till:
    """For the loop that the rehearsal runs on. `pay` puts down what a purse that is closed has cost. `stopped_at` is empty
    until something found no room, then that; `settled` counts the purses that are closed."""

    def __init__(self, spender: Spender, stages: Stages, pay: Callable[[Purse], None]) -> None:
        self.stopped_at = ""
        self._spender = spender
        self._stages = stages
        self._pay = pay
        self.settled = self._open = self._waiting = 0
        self._news = asyncio.Event()

    @asynccontextmanager
    async def purse(self, subject: str, attempts: list[Attempt]) -> AsyncIterator[PatientPurse]:
        """For one answer or opinion about `subject`. However it ends, what `attempts` have cost by then takes the place of what
        is held, in the transaction that adds it to the rehearsal."""
        purse = PatientPurse(
            subject,
            self._stages.budgets,
            self._stages.catalogue,
            attempts,
            self._stages.in_pool,
            self._spender,
            till=self,
        )
        self._open += 1
        try:
            yield purse
        finally:
            try:
                await asyncio.shield(self._stages.in_pool(partial(self._settle, purse)))
            finally:
                self._open -= 1
                self.settled += 1
                self._news.set()
                self._news = asyncio.Event()

    def stop(self, subject: str) -> None:
        """There was no room for what `subject` needed: no other question is begun. The first one counts."""
        self.stopped_at = self.stopped_at or subject

    async def room_may_come(self, settled: int) -> bool:
        """True once another call has been settled since `settled` were, False when every one that is under way waits like this."""
        self._waiting += 1
        try:
            while self.settled == settled and self._waiting < self._open:
                await self._news.wait()
            return self.settled != settled
        finally:
            self._waiting -= 1

    def _settle(self, purse: Purse) -> None:
        purse.close()
        self._pay(purse)


def why(purse: Purse) -> str:
    """Of a purse that was refused something: which budget, and when it begins anew; or whose price is not known."""
    assert purse.budgets is not None
    standing = purse.in_the_way(NoModel("There was no room."))
    if standing is None:
        unpriced = [f"{one.label}: {one.reason}." for one in purse.refused.values() if one.unpriced]
        return " ".join(unpriced) or "A budget had no room for another answer."
    return f"{standing.used_up()} It renews {standing.renewal(purse.budgets.zone)}."
