"""What a budget is and which ones a question falls under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Literal

from app.budgets import money
from app.budgets.periods import Period, renewal_words, renews
from app.domain import Person

Scope = Literal["company", "team", "person", "model", "intent"]
SCOPES: tuple[Scope, ...] = ("company", "team", "person", "model", "intent")
PERIODS: tuple[Period, ...] = ("day", "month")
EACH = "*"
COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Budget:
    """`scope_id` is one person's id, team, model or intent, or `*` for each of them; money is micro-dollars."""

    id: str
    scope: Scope
    scope_id: str
    period: Period
    limit_micro: int
    notice_share: float
    set_by: str = ""


@dataclass(frozen=True, slots=True)
class Spender:
    """Whose money a call costs: the keys of the sums that it counts in."""

    person: str
    team: str
    intent: str

    @classmethod
    def of(cls, person: Person, intent: str) -> Spender:
        return cls(person.id, person.team, intent)

    def key(self, scope: Scope, model: str) -> str:
        """Empty for somebody without a team."""
        match scope:
            case "company":
                return COMPANY
            case "team":
                return self.team
            case "person":
                return self.person
            case "model":
                return model
            case "intent":
                return self.intent


@dataclass(frozen=True, slots=True, order=True)
class SumKey:
    """Names one running sum. Their order is the one in which they are locked, whoever locks several."""

    budget_id: str
    key: str
    starts: date


@dataclass(frozen=True, slots=True)
class Standing:
    """How one budget stands for one key in the current period. `wanted_micro` is what an answer that it had no room for may cost
    at most, 0 where none was asked for."""

    budget: Budget
    sum: SumKey
    spent_micro: int = 0
    reserved_micro: int = 0
    extra_micro: int = 0
    wanted_micro: int = 0

    @property
    def limit_micro(self) -> int:
        return self.budget.limit_micro + self.extra_micro

    @property
    def left_micro(self) -> int:
        return max(0, self.limit_micro - self.spent_micro - self.reserved_micro)

    @property
    def share(self) -> float:
        """Of the limit, what is spent; 1 for a limit of nothing."""
        return self.spent_micro / self.limit_micro if self.limit_micro else 1.0

    @property
    def near_limit(self) -> bool:
        return self.share >= self.budget.notice_share

    def whose(self) -> str:
        """`your budget`, `the budget of the team Sales`…: for the person whose question it is."""
        key = self.sum.key
        return {
            "company": "the company's budget",
            "team": f"the budget of the team {key}",
            "person": "your budget",
            "model": f"the budget of the model {key}",
            "intent": f"the budget for “{key}”",
        }[self.budget.scope]

    @property
    def when(self) -> str:
        return "today" if self.budget.period == "day" else "this month"

    @property
    def renews_on(self) -> date:
        return renews(self.budget.period, self.sum.starts)

    def used_up(self) -> str:
        """A sentence for the person whose question was not answered. Amounts are told of the person's own budget only."""
        left = ""
        if self.budget.scope == "person":
            left = f": {money.words(self.left_micro)} of {money.words(self.limit_micro)} are left"
            if self.wanted_micro:
                left += f", and an answer may cost up to {money.words(self.wanted_micro)}"
        said = f"{self.whose()} for {self.when} has no room for another answer{left}."
        return said[0].upper() + said[1:]

    def renewal(self, zone: tzinfo) -> str:
        """`at midnight (Europe/Berlin)`, to follow "it renews"."""
        return renewal_words(self.budget.period, self.sum.starts, zone)

    def objection(self, needed_micro: int, zone: tzinfo) -> str:
        """Why a model was left out, in a clause. Amounts are told of the person's own budget only."""
        over = f"it would go over {self.whose()}"
        renews = f"renews {self.renewal(zone)}"
        if self.budget.scope != "person":
            return f"{over}, which {renews}"
        return (
            f"{over}: {money.words(self.left_micro)} of {money.words(self.limit_micro)} are left, "
            f"an answer may cost up to {money.words(needed_micro)}, and it {renews}"
        )


def applying(budgets: Iterable[Budget], spender: Spender, model: str) -> list[tuple[Budget, str]]:
    """The budgets that a call falls under, each with its key. One that names somebody takes the place of the one for each."""
    found: dict[tuple[str, str], tuple[Budget, str]] = {}
    for budget in budgets:
        key = spender.key(budget.scope, model)
        if not key or budget.scope_id not in (EACH, key):
            continue
        place = (budget.scope, budget.period)
        if place not in found or budget.scope_id != EACH:
            found[place] = (budget, key)
    return list(found.values())
