"""How a canary does beside the version it would replace, and whether it has to go.

Each side is counted over turns: a failure is a turn that failed or was interrupted, or one that only another model saved,
because the preferred one failed or its circuit breaker was open. Turns that say nothing about a version are on neither side:
those whose model the person picked, and those that ended before any model was asked for want of a budget or of a permission.
Tests are one-sided, each at level ALPHA, asked only when both sides have `Margins.samples` turns:

- failures and thumbs down: difference of two proportions beyond the margin, z with the interval of Agresti and Caffo (2000,
  The American Statistician 54:280-288: one success and one failure added to each side), for thumbs among turns with a thumb;
- time to the first words: Welch's t of the logarithms against the logarithm of the allowed ratio, by the normal quantile.

A canary is looked at many times, so the level is far below the usual .05. The side without the canary is filled up with the
intent's turns of the fortnight before it, so that a small remainder of people does not blind the guard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import RouteOutcomeRow, RouteVersionRow, TurnRow
from app.domain import Json
from app.routing.choice import AUTO

ALPHA = 0.005
Z = 2.5758  # the normal quantile of 1 - ALPHA
BEFORE = timedelta(days=14)
FILL_UP_TO = 200
BROKEN = frozenset({"failed", "interrupted"})


@dataclass(frozen=True, slots=True)
class Margins:
    """How much worse a canary may be: shares in [0, 1], first words as a ratio; and how many turns a side needs."""

    failures: float = 0.05
    thumbs_down: float = 0.10
    slower: float = 1.5
    samples: int = 20


@dataclass(frozen=True, slots=True)
class Side:
    """One side's turns. `answered` are those that neither failed nor were interrupted; `first_words_ms` is of those that had words,
    `cost_usd` the sum over those that were answered."""

    turns: int = 0
    answered: int = 0
    failed: int = 0
    thumbs: int = 0
    thumbs_down: int = 0
    first_words_ms: tuple[float, ...] = ()
    cost_usd: float = 0.0

    @property
    def median_ms(self) -> float | None:
        ordered = sorted(self.first_words_ms)
        return ordered[len(ordered) // 2] if ordered else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`reasons` says why the canary has to go; empty while it may stay. `enough` turns on both sides to tell."""

    canary: Side
    baseline: Side
    enough: bool
    reasons: tuple[str, ...] = ()


def compare(
    database: Database, version: RouteVersionRow, margins: Margins | None = None
) -> Comparison:
    """Of a version that is or was a canary."""
    with database.read() as session:
        canary = _side(_turns(session, version, "canary"))
        rows = _turns(session, version, "baseline")
        if len(rows) < FILL_UP_TO:
            rows = [*rows, *_before(session, version, FILL_UP_TO - len(rows))]
        baseline = _side(rows)
    return judge(canary, baseline, margins or Margins())


def judge(canary: Side, baseline: Side, margins: Margins) -> Comparison:
    enough = min(canary.turns, baseline.turns) >= margins.samples
    if not enough:
        return Comparison(canary, baseline, False)
    reasons = []
    if _more(canary.failed, canary.turns, baseline.failed, baseline.turns, margins.failures):
        reasons.append(
            f"{canary.failed} of {canary.turns} turns failed or needed a fallback, "
            f"{baseline.failed} of {baseline.turns} without it"
        )
    if min(canary.thumbs, baseline.thumbs) >= margins.samples and _more(
        canary.thumbs_down,
        canary.thumbs,
        baseline.thumbs_down,
        baseline.thumbs,
        margins.thumbs_down,
    ):
        reasons.append(
            f"{canary.thumbs_down} of {canary.thumbs} thumbs point down, "
            f"{baseline.thumbs_down} of {baseline.thumbs} without it"
        )
    if _slower(canary.first_words_ms, baseline.first_words_ms, margins):
        reasons.append(
            f"first words take {canary.median_ms:,.0f} ms, {baseline.median_ms:,.0f} ms without it"
        )
    return Comparison(canary, baseline, True, tuple(reasons))


def _more(count_a: int, of_a: int, count_b: int, of_b: int, margin: float) -> bool:
    """Whether a's share is beyond b's by more than the margin."""
    a, b = (count_a + 1) / (of_a + 2), (count_b + 1) / (of_b + 2)
    spread = math.sqrt(a * (1 - a) / (of_a + 2) + b * (1 - b) / (of_b + 2))
    return (a - b - margin) / spread > Z


def _slower(a: Sequence[float], b: Sequence[float], margins: Margins) -> bool:
    if min(len(a), len(b)) < margins.samples:
        return False
    mean_a, variance_a = _moments([math.log(max(ms, 1.0)) for ms in a])
    mean_b, variance_b = _moments([math.log(max(ms, 1.0)) for ms in b])
    spread = math.sqrt(variance_a / len(a) + variance_b / len(b))
    excess = mean_a - mean_b - math.log(margins.slower)
    return excess > Z * spread


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)


_ENDED = (
    col(TurnRow.status) != "running",
    or_(col(TurnRow.model_wish).is_(None), col(TurnRow.model_wish).in_(("", AUTO))),
)
"""Without those whose model the person picked."""


def _tells(row: TurnRow) -> bool:
    """Whether a turn of a canary's says something about its version: a model was asked, its process died, or it found no model
    because one fails (only then a turn without a route is counted at all). Else a budget or a permission stood in the way."""
    return bool(row.model) or row.status == "interrupted" or not row.receipt.get("route")


def _turns(session: Session, version: RouteVersionRow, arm: str) -> list[TurnRow]:
    return [
        row
        for row in session.execute(
            select(TurnRow)
            .join(RouteOutcomeRow, col(RouteOutcomeRow.turn_id) == col(TurnRow.id))
            .where(
                col(RouteOutcomeRow.canary_id) == version.id,
                col(RouteOutcomeRow.arm) == arm,
                col(RouteOutcomeRow.at) >= (version.canary_since or version.created_at),
                *_ENDED,
            )
        ).scalars()
        if _tells(row)
    ]


def _before(session: Session, version: RouteVersionRow, limit: int) -> list[TurnRow]:
    since = version.canary_since or version.created_at
    return list(
        session.execute(
            select(TurnRow)
            .where(
                col(TurnRow.intent) == version.intent,
                col(TurnRow.started_at) < since,
                col(TurnRow.started_at) >= since - BEFORE,
                *_ENDED,
                or_(col(TurnRow.model) != "", col(TurnRow.status) == "interrupted"),
            )
            .order_by(col(TurnRow.started_at).desc())
            .limit(limit)
        ).scalars()
    )


def _side(rows: Sequence[TurnRow]) -> Side:
    """A turn that its reader stopped counts as answered: it says nothing about the model."""
    thumbs = [row.feedback for row in rows if row.feedback is not None]
    answered = [row for row in rows if row.status not in BROKEN]
    return Side(
        turns=len(rows),
        answered=len(answered),
        failed=sum(_failed(row) for row in rows),
        thumbs=len(thumbs),
        thumbs_down=sum(thumb == 0 for thumb in thumbs),
        first_words_ms=tuple(
            float(ms) for row in rows if (ms := row.receipt.get("first_token_ms")) is not None
        ),
        cost_usd=sum(float(row.receipt.get("cost_usd") or 0.0) for row in answered),
    )


def _failed(row: TurnRow) -> bool:
    """It failed, or another model had to answer because the preferred one failed now or a moment ago."""
    if row.status in BROKEN:
        return True
    attempts: list[Json] = row.receipt.get("attempts") or []
    if row.status == "finished" and attempts and not attempts[0].get("allowed", True):
        return True
    route: Json = row.receipt.get("route") or {}
    for decision in route.get("decisions") or []:
        if decision.get("model") == route.get("model"):
            return False
        if decision.get("failing"):
            return True
    return False
