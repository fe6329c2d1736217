"""Rehearsals in the background: an intent's golden questions on the published route and on a draft, side by side.

It runs on the models' loop as the admin who started it (asking.py) and keeps each result as it comes. Nothing of it is a
turn: no usage, no thumbs, no breaker, no canary sees it. What it asked and cost is in the log, and is paid from the budgets that
a question of this intent by this admin falls under (till.py); where one has no room it stops and keeps what was answered.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from app.budgets import Spender
from app.chat.runner import TurnRunner
from app.db import Database
from app.db.tables import RehearsalRow, RouteVersionRow
from app.db.types import new_id
from app.domain import Json, Person, now
from app.errors import InputError, SwitchboardError
from app.records import Ledger
from app.rehearsal.answers import GoodAnswers
from app.rehearsal.apart import apart
from app.rehearsal.asking import Asking, Plan
from app.rehearsal.estimate import Estimate, estimate
from app.rehearsal.golden import Golden, GoldenSets
from app.rehearsal.runs import End, Runs
from app.rehearsal.till import Till
from app.routing.classifier import Vector
from app.routing.swaps import RouteVersions
from app.stages import Stages

BEAT_S = 2.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Live:
    """A rehearsal of this process: its questions, and with them the bookkeeping."""

    whole: asyncio.Task[None]
    work: asyncio.Task[None]


@dataclass(frozen=True)
class _Rest:
    """What is left of a rehearsal that is over: the plan for it, and the ids of the results that still count."""

    version: RouteVersionRow
    planned: Plan
    kept: list[str]


class Rehearsals:
    """The caller has asked Policy.administer. `person` gives somebody as they are now, None for one who has left; `vectors`
    one of length 1 for each text."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        versions: RouteVersions,
        turns: TurnRunner,
        person: Callable[[str], Person | None],
        vectors: Callable[[Sequence[str]], Vector],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger = ledger
        self._versions = versions
        self._turns = turns
        self._person = person
        self._clock = clock
        self.golden = GoldenSets(database, ledger, clock)
        self.answers = GoodAnswers(database, self.golden, vectors)
        self.runs = Runs(database, ledger, clock)
        self._live: dict[str, _Live] = {}

    def estimate(self, person: Person, version_id: str, judge: str = "") -> Estimate:
        """What `start` would ask and may cost. Raises NotFound and InputError as `start` does."""
        return _estimated(self._planned("", person, self._versions.get(version_id), judge), person)

    def estimate_rest(self, person: Person, rehearsal_id: str) -> Estimate:
        """The same of `go_on`. Raises what that does."""
        return _estimated(self._rest(person, self.runs.get(rehearsal_id)).planned, person)

    def start(self, person: Person, version_id: str, judge: str = "") -> str:
        """The id of the rehearsal that has begun. Raises NotFound, and InputError for an empty golden set, a version that is
        no draft or canary, a judge that may not be used, or while another rehearsal of the intent runs."""
        version = self._versions.get(version_id)
        planned = self._planned(new_id("reh"), person, version, judge)
        self.runs.open(self._row(planned, version))
        self._turns.spawn(self._run(planned))
        return planned.id

    def left(self, person: Person, row: RehearsalRow) -> int:
        """How many questions `go_on` would ask; 0 where it may not."""
        try:
            return len(self._rest(person, row).planned.goldens)
        except SwitchboardError:
            return 0

    def go_on(self, person: Person, rehearsal_id: str) -> str:
        """Asks what a rehearsal that is over left unanswered, and what was added to the golden set or changed in it since. A
        new rehearsal takes its place, with the answers that still count; its id. Raises NotFound, and InputError where it
        was somebody else's, or a route has changed, so that the answers would not compare."""
        rest = self._rest(person, self.runs.get(rehearsal_id))
        if not rest.planned.goldens:
            raise InputError("Every question was answered.", fix="Start a new rehearsal.")
        self.runs.take_over(rehearsal_id, self._row(rest.planned, rest.version), rest.kept)
        self._turns.spawn(self._run(rest.planned))
        return rest.planned.id

    def _rest(self, person: Person, row: RehearsalRow) -> _Rest:
        if row.person_id != person.id:
            raise InputError("Somebody else rehearsed it.", fix="Start a new rehearsal.")
        live = self._live.get(row.id)
        asking = live is not None and not live.work.done()  # cancelled, and not yet paid for
        if row.status == "running" or asking:
            raise InputError("It is running.", fix="Wait for it, or cancel it.")
        version = self._versions.get(row.version_id)
        used = _content(self._versions.in_use(row.intent))
        if (row.before, row.after) != (used, _content(version)):
            raise InputError("A route has changed since.", fix="Start a new rehearsal.")
        planned = self._planned(new_id("reh"), person, version, row.judge)
        answered = self.runs.answered(row.id)
        known, wanted = set(answered.values()), set(planned.goldens.values())
        asked = {n: golden for n, golden in planned.goldens.items() if golden not in known}
        kept = [key for key, golden in answered.items() if golden in wanted]
        return _Rest(version, replace(planned, goldens=asked), kept)

    def _row(self, planned: Plan, version: RouteVersionRow) -> RehearsalRow:
        return RehearsalRow(
            id=planned.id,
            intent=version.intent,
            version_id=version.id,
            number=version.number,
            before=_content(self._versions.in_use(version.intent)),
            after=_content(version),
            person_id=planned.person_id,
            judge=planned.judge,
            questions=len(planned.goldens),
            started_at=self._clock(),
            heartbeat_at=self._clock(),
        )

    def cancel(self, person: Person, rehearsal_id: str) -> None:
        """Ends the calls that are under way; what is done is kept. Harmless when it is over. Raises NotFound."""
        self.runs.get(rehearsal_id)
        self.runs.end(rehearsal_id, "cancelled", person.id)
        if (live := self._live.get(rehearsal_id)) is not None:
            live.work.get_loop().call_soon_threadsafe(live.work.cancel)

    async def drain(self, timeout_s: float) -> None:
        """At shutdown, on the models' loop: what runs is interrupted; what is done is kept."""
        running = dict(self._live)
        for rehearsal_id, live in running.items():
            await asyncio.to_thread(self.runs.end, rehearsal_id, "interrupted")
            live.work.cancel()
        if running:
            await asyncio.wait([live.whole for live in running.values()], timeout=timeout_s)

    def _planned(self, id: str, person: Person, version: RouteVersionRow, judge: str) -> Plan:
        stages = apart(self._turns.stages)
        if version.status not in ("draft", "canary"):
            raise InputError("Only a draft or a canary is rehearsed.", fix="Reload the page.")
        goldens = dict(enumerate(map(Golden.of, self.golden.of(version.intent))))
        if not goldens:
            raise InputError("The golden set is empty.", fix="Add a question to it first.")
        if judge:
            _may_judge(person, judge, stages)
        in_use = self._versions.in_use(version.intent)
        table = stages.intents().table
        before = self._versions.with_version(table, in_use)
        after = self._versions.with_version(table, version)
        entry = before.entry(version.intent)
        spender = Spender.of(person, version.intent)
        return Plan(id, person.id, goldens, entry, before, after, judge, stages, spender)

    async def _run(self, planned: Plan) -> None:
        """The questions, and beside them the sign that somebody is at work and still wanted."""
        whole = asyncio.current_task()
        assert whole is not None
        alive = functools.partial(self.runs.beat, planned.id)
        if not await self._turns.in_pool(alive):
            return
        pay = functools.partial(self.runs.pay, planned.id)
        till = Till(planned.spender, planned.stages, pay)
        asking = Asking(planned, till, self._turns, self._person, self.runs, self._ledger)
        work = asyncio.create_task(asking.work())
        self._live[planned.id] = _Live(whole, work)
        try:
            while not (await asyncio.wait({work}, timeout=BEAT_S))[0]:
                if not await self._turns.in_pool(alive):
                    work.cancel()
            status = _end(planned.id, work, till)
            await self._turns.in_pool(lambda: self.runs.end(planned.id, status))
        finally:
            work.cancel()
            self._live.pop(planned.id, None)


def _estimated(planned: Plan, person: Person) -> Estimate:
    return estimate(
        list(planned.goldens.values()),
        planned.entry,
        (planned.before, planned.after),
        person,
        planned.stages,
        planned.judge,
    )


def _end(rehearsal_id: str, work: asyncio.Task[None], till: Till) -> End:
    if work.cancelled():
        return "cancelled"
    if error := work.exception():
        log.error("rehearsal failed", rehearsal=rehearsal_id, exc_info=error)
        return "failed"
    return "stopped" if till.stopped_at else "finished"


def _content(row: RouteVersionRow) -> Json:
    """A route as a rehearsal keeps it."""
    return {
        "version": row.number,
        "models": row.models,
        "worth_usd": row.worth_usd,
        "prompt": row.prompt,
        "temperature": row.temperature,
        "max_tokens": row.max_tokens,
    }


def _may_judge(person: Person, judge: str, stages: Stages) -> None:
    """Raises InputError and NotFound."""
    card = stages.catalogue.card(judge)
    allowed = stages.policy.use_model(person, card.id, card.provider, card.local, card.audience)
    if not card.offered or card.needs_passages or not allowed:
        why = allowed.reason if not allowed else "It is off, or only quotes passages."
        raise InputError(f"{card.label} cannot judge. {why}", fix="Choose another model.")
