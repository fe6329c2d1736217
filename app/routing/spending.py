"""The money of one question: which models its budgets have room for, held before each call, settled with what the calls cost.

A model's price is held before it is asked, whether it is the first, a fallback, one that finishes another's answer or the
second of a hedged pair. What failed is released before the next is held, and everything is settled when the turn ends.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlmodel import Session

from app.budgets import Budgets, Estimate, Spender, Standing, SumKey, applying, money
from app.domain import ModelCall, Route
from app.errors import BudgetUsedUp, NoModel, OverBudget, SwitchboardError
from app.records.events import BudgetBlocked
from app.routing.cards import ModelCard
from app.routing.catalogue import Catalogue
from app.routing.prices import at_least, at_most, cost_micro
from app.routing.voice import Attempt

UNPRICED = "its price is not known, and a budget applies; an admin can set its price or declare it free on Models"
TRIES = 3
"""How often a reservation is tried when it found no room and a look found some: somebody else's was just released."""


class InPool(Protocol):
    def __call__(self, work: Callable[[], None]) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model that a budget had no room for. `standing` is how that budget stood, None when it changed meanwhile, or when it is
    `unpriced`, so that no budget could tell whether it has room."""

    label: str
    reason: str
    standing: Standing | None = None
    unpriced: bool = False


@dataclass
class Purse:
    """One turn's. Without `budgets`, or with none set, nothing is held and nothing is in the way. `attempts` is the turn's list of
    the models that it asked. The blocking methods run on the pool's threads; they may overlap with the end of the turn."""

    turn_id: str = ""
    budgets: Budgets | None = None
    catalogue: Catalogue | None = None
    attempts: Sequence[Attempt] = ()
    in_pool: InPool | None = None
    spender: Spender = field(default_factory=lambda: Spender("", "", ""))
    refused: dict[str, Refusal] = field(default_factory=dict)
    _held: dict[str, str | None] = field(default_factory=dict)
    _standings: dict[str, list[Standing]] | None = None
    _asides: list[Purse] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def aside(self, spender: Spender, attempts: Sequence[Attempt]) -> Purse:
        """For a call beside the answer, to a model that may answer too: what it holds is its own, and ends with this purse."""
        with self._lock:
            purse = Purse(
                self.turn_id, self.budgets, self.catalogue, attempts, self.in_pool, spender
            )
            purse._closed = self._closed
            self._asides.append(purse)
        return purse

    @property
    def applies(self) -> bool:
        return self.budgets is not None and bool(self.budgets.book.budgets())

    def objection(self, card: ModelCard, prompt_tokens: int, answer_tokens: int) -> str:
        """Why this model is not for this question, by the budgets as they stand; empty when there is room. Holds nothing."""
        if self.budgets is None or not self.applies:
            return ""
        if card.id in self.refused:
            return self.refused[card.id].reason
        if self._unpriced(card):
            return UNPRICED
        needed = at_least(card, prompt_tokens, answer_tokens).total
        if self._standings is None:
            models = [card.id for card in self._catalogue.cards()]
            self._standings = self.budgets.book.standings(self.spender, models)
        tight = _tightest(self._standings.get(card.id, []), needed)
        return self._refuse(card, needed, tight).reason if tight else ""

    def secured(self, model_id: str, call: ModelCall) -> bool:
        """Holds the price of the route's first model. False when there is no room: choosing again leaves it out and says why.
        Raises OverBudget once the turn is over, for then no other model will do either."""
        try:
            self.reserve(model_id, call)
        except OverBudget:
            if self._closed:
                raise
            return False
        return True

    async def hold(self, model_id: str, call: ModelCall) -> None:
        """Before any model is asked. Raises OverBudget, and asks nothing where the price is held already."""
        if self.in_pool is None or not self.applies:
            return
        if model_id not in self._held:
            await self.in_pool(lambda: self.reserve(model_id, call))

    def reserve(self, model_id: str, call: ModelCall) -> None:
        """Blocking. Raises OverBudget with nothing held, also once the turn is over."""
        if self.budgets is None or not self.applies:
            return
        card = self._catalogue.card(model_id)
        if self._unpriced(card):
            raise OverBudget(f"{card.label}: {UNPRICED}.")
        needed = at_most(card, call)
        with self._lock:
            if self._closed:
                raise OverBudget("The turn is over.")
            if model_id in self._held:
                return
            self._release_failed()
            self._held[model_id] = self._take(card, needed)

    def close(self) -> None:
        """Nothing is held from now on. Blocking, for as long as a reservation that is under way takes."""
        with self._lock:
            self._closed = True
        for aside in self._asides:
            aside.close()

    def settle(self, session: Session) -> None:
        """After `close`, in the transaction that ends the turn and before it writes to the log: what each attempt cost takes the
        place of what was held for it. Again, the last figures count."""
        for aside in self._asides:
            aside.settle(session)
        if self.budgets is None or not self._held:
            return
        costs = {attempt.model: money.micro(attempt.cost_usd) for attempt in self.attempts}
        held = {id: costs.get(model, 0) for model, id in self._held.items() if id}
        self.budgets.reservations.settle_in(session, held)

    def told(self, route: Route | None) -> Route | None:
        """The route with the reasons of the models that turned out to be over a budget when their turn came."""
        if route is None or not self.refused:
            return route
        decisions = tuple(
            replace(one, allowed=False, reason=self.refused[one.model].reason)
            if one.allowed and one.model in self.refused and one.model not in self._held
            else one
            for one in route.decisions
        )
        return replace(route, decisions=decisions)

    def in_the_way(self, error: SwitchboardError) -> Standing | None:
        """The budget that ended a turn with `error`: of several the one that begins anew first, and how much the cheapest model that
        it had no room for wanted."""
        if not isinstance(error, NoModel):
            return None
        standings = [one.standing for one in self.refused.values() if one.standing is not None]
        first = min(standings, key=lambda one: one.renews_on, default=None)
        if first is None:
            return None
        same = (one for one in standings if one.sum == first.sum)
        return min(same, key=lambda one: one.wanted_micro)

    def polite(self, error: SwitchboardError, fix: str) -> SwitchboardError:
        """The error that ends a turn; where a budget is what stood in the way, one that says which and when it begins anew.
        `fix` is what can be done about a budget."""
        if not self.refused or not isinstance(error, NoModel):
            return error
        assert self.budgets is not None
        first = self.in_the_way(error)
        if first is None:
            if all(one.unpriced for one in self.refused.values()):
                return error
            return BudgetUsedUp("The budget has no room for an answer.", reasons=error.reasons)
        others = "".join(
            f" {attempt.label}: {attempt.error}" for attempt in self.attempts if attempt.error
        )
        return BudgetUsedUp(
            f"{first.used_up()} It renews {first.renewal(self.budgets.zone)}.{others}",
            reasons=error.reasons,
            fix=fix,
        )

    def blocked(self, actor: str, outcome: str) -> list[BudgetBlocked]:
        """For the log: one event for each budget that stood in the way. `outcome` is the turn's status."""
        found: dict[SumKey, tuple[Standing, list[str]]] = {}
        for model, refusal in self.refused.items():
            if (standing := refusal.standing) is not None:
                found.setdefault(standing.sum, (standing, []))[1].append(model)
        return [
            BudgetBlocked(
                actor=actor,
                subject=self.turn_id,
                budget=standing.budget.id,
                scope=standing.budget.scope,
                key=standing.sum.key,
                period=standing.budget.period,
                models=models,
                outcome="stopped" if outcome == "failed" else "another model",
            )
            for standing, models in found.values()
        ]

    @property
    def _catalogue(self) -> Catalogue:
        assert self.catalogue is not None
        return self.catalogue

    def _unpriced(self, card: ModelCard) -> bool:
        """Whether what it costs is not known, and somebody keeps count of it."""
        assert self.budgets is not None
        if card.price_known or not applying(self.budgets.book.budgets(), self.spender, card.id):
            return False
        self.refused[card.id] = Refusal(card.label, UNPRICED, unpriced=True)
        return True

    def _take(self, card: ModelCard, needed: Estimate) -> str | None:
        assert self.budgets is not None
        for _ in range(TRIES):
            try:
                return self.budgets.reservations.reserve(
                    self.spender, self.turn_id, card.id, needed
                )
            except OverBudget:
                standings = self.budgets.book.standings(self.spender, [card.id])[card.id]
                tight = _tightest(standings, needed.total)
                if tight is not None:
                    break
        else:
            tight = None
        raise OverBudget(f"{card.label}: {self._refuse(card, needed.total, tight).reason}.")

    def _refuse(self, card: ModelCard, needed: int, tight: Standing | None) -> Refusal:
        assert self.budgets is not None
        reason = (
            tight.objection(needed, self.budgets.zone)
            if tight
            else "a budget had no room for it at that moment"
        )
        standing = replace(tight, wanted_micro=needed) if tight else None
        self.refused[card.id] = Refusal(card.label, reason, standing)
        return self.refused[card.id]

    def _release_failed(self) -> None:
        """What is held for models that have failed already, so that it is not in the way of the next."""
        assert self.budgets is not None
        costs = {}
        for attempt in self.attempts:
            held = self._held.get(attempt.model)
            if held and attempt.error:
                used = attempt.used()
                card = self._catalogue.card(attempt.model)
                costs[held] = cost_micro(card, used) if used else 0
        if costs:
            self.budgets.reservations.settle_all(costs)


def _tightest(standings: Sequence[Standing], needed: int) -> Standing | None:
    """Of the budgets that have no room, the one that begins anew last."""
    short = [one for one in standings if needed and needed > one.left_micro]
    return max(short, key=lambda one: one.renews_on, default=None)
