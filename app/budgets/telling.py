"""What a person is told about the budgets that their questions fall under: how much is left of their own, and of the budgets above
it only that they run out, without amounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo

from app.budgets import money
from app.budgets.budget import Standing


@dataclass(frozen=True, slots=True)
class Told:
    """`notice` is True from the budget's share on; `words` is what is left, or then a sentence."""

    standing: Standing
    notice: bool
    words: str

    @property
    def own(self) -> bool:
        return self.standing.budget.scope == "person"


def told(standings: Iterable[Standing], zone: tzinfo) -> list[Told]:
    """The person's own budgets, and those of others that need saying; notices first."""
    found = [
        Told(one, one.near_limit, _notice(one, zone) if one.near_limit else _left(one))
        for one in standings
        if one.near_limit or one.budget.scope == "person"
    ]
    return sorted(found, key=lambda one: (not one.notice, not one.own))


def _left(standing: Standing) -> str:
    """`$2.31 of $5.00 left this month`."""
    left, limit = money.words(standing.left_micro), money.words(standing.limit_micro)
    return f"{left} of {limit} left {standing.when}"


def _notice(standing: Standing, zone: tzinfo) -> str:
    whose = f"{standing.whose()} for {standing.when}"
    used_up = standing.spent_micro >= standing.limit_micro
    if standing.budget.scope == "person" and not used_up:
        percent = 100 * standing.spent_micro // standing.limit_micro
        said = f"you have used {percent} % of {whose}"
    else:
        said = f"{whose} is {'used up' if used_up else 'nearly used up'}"
    return f"{said[0].upper()}{said[1:]}; it renews {standing.renewal(zone)}."
