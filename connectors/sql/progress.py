"""Where a kind's reading stands between two syncs: cursors in JSON, and from where the next one begins.

A pass reads to the end of the query, but the next begins at the ceiling that the source had when the pass began, less the
overlap: what was committed late, under an older cursor, is met then. The ceiling is never in the future, so that one row
stamped with a wrong year does not hide all later changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.sql.kinds import Kind
from connectors.sql.statements import Position

WIDEST_ZONES = timedelta(hours=14)
"""A time without a zone may be ahead of UTC or behind it by less than this."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`high` is where the last whole pass began to end; `ceiling` and `at` belong to a pass under way."""

    high: Any = None
    ceiling: Any = None
    at: Position | None = None
    stamped: bool = False
    under_way: bool = False

    def begun(self, ceiling: Any) -> Progress:
        return replace(self, ceiling=ceiling, at=None, stamped=False, under_way=True)

    def reached(self, at: Position | None, *, stamped: bool) -> Progress:
        return replace(self, at=at, stamped=stamped)

    def ended(self) -> Progress:
        return Progress(high=self.high if self.ceiling is None else self.ceiling)

    def since(self, overlap: int) -> Any:
        """The first cursor to read, None for all."""
        if isinstance(self.high, datetime):
            return self.high - timedelta(seconds=overlap)
        if isinstance(self.high, date):
            return self.high - timedelta(days=1 + overlap // 86400)
        return None if self.high is None else self.high - overlap

    def dump(self, kind: Kind) -> dict[str, Any]:
        at = [dump_cursor(self.at.cursor), self.at.id] if self.at else None
        return {
            "of": kind.fingerprint,
            "high": dump_cursor(self.high),
            "ceiling": dump_cursor(self.ceiling),
            "at": at,
            "stamped": self.stamped,
            "under_way": self.under_way,
        }

    @classmethod
    def load(cls, kind: Kind, state: Mapping[str, Any]) -> Progress:
        """From the beginning where the kind's definition is another than then."""
        if state.get("of") != kind.fingerprint:
            return cls()
        at = state["at"]
        return cls(
            high=load_cursor(state["high"]),
            ceiling=load_cursor(state["ceiling"]),
            at=Position(load_cursor(at[0]), at[1]) if at else None,
            stamped=state["stamped"],
            under_way=state["under_way"],
        )


def ceiling(largest: Any, sqlite_type: str, now: Any) -> Any:
    """The largest cursor, unless it is a time to come."""
    if isinstance(largest, datetime):
        if largest.tzinfo is not None:
            return min(largest, now)
        naive_now = now.astimezone(UTC).replace(tzinfo=None)
        return largest if largest <= naive_now else naive_now - WIDEST_ZONES
    if isinstance(largest, date):
        return min(largest, now.astimezone(UTC).date() - timedelta(days=1))
    if sqlite_type == "text" and largest is not None and largest > now:
        return now - WIDEST_ZONES.total_seconds()
    return largest


def dump_cursor(value: Any) -> list[Any] | None:
    if value is None:
        return None
    if isinstance(value, datetime | date):
        return [type(value).__name__, value.isoformat()]
    if isinstance(value, Decimal):
        return ["Decimal", str(value)]
    return [type(value).__name__, value]


def load_cursor(value: list[Any] | None) -> Any:
    if value is None:
        return None
    kind, plain = value
    match kind:
        case "datetime":
            return datetime.fromisoformat(plain)
        case "date":
            return date.fromisoformat(plain)
        case "Decimal":
            return Decimal(plain)
        case _:
            return plain
