"""One line of the pre-flight, and all of them as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.errors import SwitchboardError


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: what was checked, how it went, why, and what to do about it."""

    name: str
    outcome: Outcome
    cause: str
    fix: str = ""


def passed(name: str, cause: str) -> Result:
    return Result(name, Outcome.PASS, cause)


def failed(name: str, cause: str, fix: str) -> Result:
    return Result(name, Outcome.FAIL, cause, fix)


def unknown(name: str, cause: str, fix: str = "") -> Result:
    return Result(name, Outcome.UNKNOWN, cause, fix)


def failed_by(name: str, error: SwitchboardError) -> Result:
    return failed(name, error.message, error.fix)


def table(results: list[Result]) -> str:
    width = max(len(result.name) for result in results)
    lines = []
    for result in results:
        lines.append(f"{result.outcome:<8}{result.name:<{width}}  {result.cause}")
        if result.fix and result.outcome is not Outcome.PASS:
            lines.append(f"{'':<8}{'':<{width}}  → {result.fix}")
    counts = {kind: sum(r.outcome is kind for r in results) for kind in Outcome}
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return "\n".join([*lines, "", summary])


def first_line(error: Exception) -> str:
    """The driver's own words without the statement; addresses of databases hold passwords, so nothing else is shown."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
