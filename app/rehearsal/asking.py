"""The questions of one rehearsal, a few at a time: each on both sides, judged where a judge was named, and kept as it comes.

The two sides of a question are asked one after the other, in turn first, so that neither is slowed by the other.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.budgets import Spender
from app.chat.runner import TurnRunner
from app.db.types import new_id
from app.domain import Person
from app.draft import Draft
from app.errors import InputError, SwitchboardError
from app.records import Ledger
from app.rehearsal.golden import Golden
from app.rehearsal.judge import Judge
from app.rehearsal.measure import Judged, Side, compared
from app.rehearsal.played import Played
from app.rehearsal.runs import Result, Runs
from app.rehearsal.side import Scene, play, scene
from app.rehearsal.till import Till
from app.routing import RouteEntry, RoutingTable
from app.stages import Stages

AT_ONCE = 3
"""Questions that are under way together."""


@dataclass(frozen=True)
class Plan:
    """Everything one rehearsal needs. `goldens` are what it asks, by their place in the set."""

    id: str
    person_id: str
    goldens: Mapping[int, Golden]
    entry: RouteEntry
    before: RoutingTable
    after: RoutingTable
    judge: str
    stages: Stages
    spender: Spender


class Asking:
    """`person` gives somebody as they are now, None for one who has left."""

    def __init__(
        self,
        plan: Plan,
        till: Till,
        turns: TurnRunner,
        person: Callable[[str], Person | None],
        runs: Runs,
        ledger: Ledger,
    ) -> None:
        self._plan = plan
        self._till = till
        self._turns = turns
        self._person = person
        self._runs = runs
        self._ledger = ledger

    async def work(self) -> None:
        """Until each was asked, or a budget has no room for the next."""
        room = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for position, golden in self._plan.goldens.items():
                group.create_task(self._question(position, golden, room))

    async def _question(self, position: int, golden: Golden, room: asyncio.Semaphore) -> None:
        async with room:
            if self._till.stopped_at:
                return
            played = Played(new_id("rres"), golden)
            try:
                await self._both(played, published_first=position % 2 == 0)
                await self._judge(played)
                await self._turns.in_pool(lambda: self._keep(position, played))
            except asyncio.CancelledError:
                # What was asked is paid for and told, though nobody reads it.
                await asyncio.shield(self._turns.in_pool(lambda: self._record(played)))
                raise

    async def _both(self, played: Played, *, published_first: bool) -> None:
        """The search, then one side after the other."""
        look = functools.partial(self._scene, played)
        try:
            played.scene = await self._turns.in_pool(look)
        except SwitchboardError as error:
            played.before = played.after = Side(error=f"{error.message} {error.fix}")
            return
        for published in (True, False) if published_first else (False, True):
            if played.unpaid:
                return
            draft = Draft(played.id)
            table = self._plan.before if published else self._plan.after
            if published:
                played.before_draft = draft
            else:
                played.after_draft = draft
            side = await play(played.scene, table, self._plan.stages, draft, self._till)
            if published:
                played.before = side
            else:
                played.after = side

    async def _judge(self, played: Played) -> None:
        before, after = played.before_draft, played.after_draft
        answered = not (played.before.error or played.after.error or played.unpaid)
        if self._plan.judge and answered and before is not None and after is not None:
            played.judge = Judge(
                self._plan.judge,
                self._plan.stages,
                self._till,
                actor=self._plan.person_id,
                subject=played.id,
            )
            played.opinion = await played.judge.opinion(played.golden, before, after)

    def _scene(self, played: Played) -> Scene:
        person = self._person(self._plan.person_id)
        if person is None:
            raise InputError("The account of the person who rehearses has been closed.")
        return scene(self._plan.entry, played.golden, person, self._plan.stages, played.id)

    def _keep(self, position: int, played: Played) -> None:
        self._record(played)
        outcome = compared(played.before, played.after)
        if why_unpaid := played.unpaid:
            outcome = Judged("unpaid", (why_unpaid,))
            if self._till.stopped_at != played.id and not played.answered:
                return  # the first one that found no room says why
        self._runs.keep(
            self._plan.id,
            position,
            Result(
                played.id,
                played.golden,
                played.before,
                played.after,
                outcome.verdict,
                outcome.reasons,
                played.opinion,
            ),
        )

    def _record(self, played: Played) -> None:
        if events := played.events():
            self._ledger.record(*events)
