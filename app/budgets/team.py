"""The budgets of one team, for whoever may see the team's usage: the team's own, and those of its people where usage names people.

A person's line tells what that person spent, so it follows the rule of the usage reports: at least five people of the team must
have spent from their budgets in the same period, or none of them is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from app.budgets import money
from app.budgets.book import BudgetBook
from app.budgets.budget import PERIODS, Spender, Standing
from app.budgets.periods import Period
from app.domain import Person
from app.spreadsheet import csv_of

TOO_FEW = (
    "People's own budgets are listed once five people of the team have spent from theirs in the same period: "
    "with fewer, numbers about one person would be personal."
)


class Usage(Protocol):
    """The part of app.usage.Reports that says whose numbers somebody may read. Both raise Denied."""

    def admit(
        self, viewer: Person, team: str, start: date, end: date, *, exported: bool = False
    ) -> None: ...

    def nameable(
        self, viewer: Person, team: str, since: date, among: Collection[str]
    ) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class TeamStandings:
    """`names` are of the people in `people`, by id. `note` says why there is none of them."""

    team: tuple[Standing, ...]
    people: tuple[Standing, ...]
    names: Mapping[str, str]
    note: str

    @property
    def all(self) -> tuple[Standing, ...]:
        return self.team + self.people


@dataclass(frozen=True, slots=True)
class Line:
    """Of the CSV. Dollars; `left_usd` is the limit without what is spent and held."""

    scope: Literal["team", "person"]
    name: str
    period: Period
    limit_usd: float
    spent_usd: float
    held_usd: float
    left_usd: float
    renews_on: date


class TeamBudgets:
    """Blocking. Everything asks the usage policy first, and is on record as a reading of the team's numbers."""

    def __init__(self, book: BudgetBook, usage: Usage) -> None:
        self._book = book
        self._usage = usage

    def of(self, viewer: Person, team: str) -> TeamStandings:
        """Raises Denied, which is recorded. With no budget set nothing is read."""
        if not self._book.budgets():
            return TeamStandings((), (), {}, "")
        self._usage.admit(viewer, team, *self._days())
        return self._standings(viewer, team)

    def export(self, viewer: Person, team: str) -> str:
        """The same as CSV. Raises Denied."""
        self._usage.admit(viewer, team, *self._days(), exported=True)
        found = self._standings(viewer, team)
        lines = [_line("team", team, one) for one in found.team]
        lines += [_line("person", found.names[one.sum.key], one) for one in found.people]
        return csv_of(Line, lines)

    def _days(self) -> tuple[date, date]:
        return self._book.starts("month"), self._book.starts("day")

    def _standings(self, viewer: Person, team: str) -> TeamStandings:
        own = self._book.standings(Spender("", team, ""), [""]).get("", [])
        of_team = tuple(one for one in own if one.budget.scope == "team")
        people, names = list[Standing](), dict[str, str]()
        spenders = self._book.spenders()
        for period in PERIODS:
            spent = {one.sum.key: one for one in spenders if one.budget.period == period}
            found = self._usage.nameable(viewer, team, self._book.starts(period), spent.keys())
            people += sorted((spent[id] for id in found), key=lambda one: -one.spent_micro)
            names |= found
        limited = any(budget.scope == "person" for budget in self._book.budgets())
        note = TOO_FEW if limited and not people else ""
        return TeamStandings(of_team, tuple(people), names, note)


def _line(scope: Literal["team", "person"], name: str, standing: Standing) -> Line:
    return Line(
        scope,
        name,
        standing.budget.period,
        money.usd(standing.limit_micro),
        money.usd(standing.spent_micro),
        money.usd(standing.reserved_micro),
        money.usd(standing.left_micro),
        standing.renews_on,
    )
