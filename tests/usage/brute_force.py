"""Usage counted the slow way, fact by fact, to hold the roll-ups against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from app.db.tables import UsageFactRow
from app.usage import UsageRow


def within(
    rows: Iterable[UsageFactRow], start: date, end: date, team: str | None = None
) -> list[UsageFactRow]:
    return [r for r in rows if start <= r.day <= end and team in (None, r.team)]


def count(rows: list[UsageFactRow], key: str = "", name: str = "") -> UsageRow:
    turns = [r for r in rows if r.kind == "question"]
    finished = [r for r in turns if r.status == "finished"]
    rated = [r for r in turns if r.feedback is not None]
    return UsageRow(
        key=key,
        name=name,
        questions=len(turns),
        answered=len(finished),
        stopped=sum(r.status == "stopped" for r in turns),
        failed=sum(r.status in ("failed", "interrupted") for r in turns),
        cost_usd=round(sum(r.cost_usd for r in rows), 6),
        satisfaction=sum(r.feedback == 1 for r in rated) / len(rated) if rated else None,
        with_sources=sum(r.with_sources for r in finished) / len(finished) if finished else None,
        actions=sum(r.kind == "action" for r in rows),
        prompt_tokens=sum(r.prompt_tokens for r in rows),
        completion_tokens=sum(r.completion_tokens for r in rows),
    )


def grouped(rows: list[UsageFactRow], key: Callable[[UsageFactRow], str]) -> dict[str, UsageRow]:
    groups: dict[str, list[UsageFactRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name: count(members, name, name) for name, members in groups.items()}
