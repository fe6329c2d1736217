"""The values of a report, and their CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.errors import NotFound
from app.spreadsheet import csv_of

SERIES = ("by_day", "by_intent", "by_model", "by_person", "by_team")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of a series. `key` is stable (a day, an id), `name` is for people. Shares are 0 to 1, None without a base.

    `satisfaction` is up / (up + down); `with_sources` is the share of finished answers that cite a source.
    """

    key: str
    name: str
    questions: int
    answered: int
    stopped: int
    failed: int
    cost_usd: float
    satisfaction: float | None
    with_sources: float | None
    actions: int
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(
        cls,
        key: str,
        name: str,
        questions: float,
        stopped: float,
        failed: float,
        with_sources: float,
        up: float,
        down: float,
        actions: float,
        cost_usd: float,
        prompt_tokens: float,
        completion_tokens: float,
    ) -> UsageRow:
        """From the sums of the roll-ups (whole numbers but for the cost)."""
        answered = int(questions - stopped - failed)
        return cls(
            key=key,
            name=name,
            questions=int(questions),
            answered=answered,
            stopped=int(stopped),
            failed=int(failed),
            cost_usd=round(float(cost_usd), 6),
            satisfaction=_share(up, up + down),
            with_sources=_share(with_sources, answered),
            actions=int(actions),
            prompt_tokens=int(prompt_tokens),
            completion_tokens=int(completion_tokens),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers at the top of a page. `active_people` asked a question or had an action run."""

    active_people: int
    total: UsageRow


@dataclass(frozen=True, slots=True)
class Report:
    """`team` None with `person_id` None is the company; `person_id` is set on a person's own report only.

    `previous` is the period of the same length just before. `by_person` is empty where `by_person_note` says why.
    """

    team: str | None
    person_id: str | None
    start: date
    end: date
    as_of: datetime
    figures: Figures
    previous: Figures
    by_day: tuple[UsageRow, ...]
    by_intent: tuple[UsageRow, ...]
    by_model: tuple[UsageRow, ...]
    by_person: tuple[UsageRow, ...]
    by_person_note: str
    by_team: tuple[UsageRow, ...]

    def series(self, name: str) -> tuple[UsageRow, ...]:
        """Raises NotFound for a name that is not in SERIES."""
        if name not in SERIES:
            raise NotFound(f"There is no series '{name}'.", fix=f"Use one of {', '.join(SERIES)}.")
        rows: tuple[UsageRow, ...] = getattr(self, name)
        return rows


def csv_text(rows: Sequence[UsageRow]) -> str:
    """A header and one line a row."""
    return csv_of(UsageRow, rows)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
