"""A version laid over the routing table's entry, and for whom."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from app.db.tables import RouteVersionRow
from app.domain import Json
from app.routing.table import RouteEntry, Tradeoff


def content_of(models: Sequence[str], worth_usd: float | None) -> Json:
    """What a version keeps as one value."""
    return {"models": list(models), "worth_usd": worth_usd}


def in_canary(person_id: str, version_id: str, share: float) -> bool:
    """Sticky: the same person is always on the same side of one canary, and sides of two canaries are independent."""
    digest = hashlib.sha256(f"{version_id}:{person_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def pick(
    published: RouteVersionRow | None, canary: RouteVersionRow | None, person_id: str
) -> tuple[RouteVersionRow | None, str]:
    if canary is None:
        return published, ""
    if in_canary(person_id, canary.id, canary.share):
        return canary, "canary"
    return published, "baseline"


def laid_over(
    entry: RouteEntry,
    live: dict[str, tuple[RouteVersionRow | None, RouteVersionRow | None]],
    chosen: dict[str, tuple[RouteVersionRow | None, str]],
) -> RouteEntry:
    row, arm = chosen.get(entry.name, (None, ""))
    changed = applied(entry, row) if row else entry
    canary = live.get(entry.name, (None, None))[1]
    return changed.model_copy(update={"arm": arm, "canary": canary.id}) if canary else changed


def applied(entry: RouteEntry, row: RouteVersionRow) -> RouteEntry:
    return entry.model_copy(
        update={
            "models": tuple(row.models),
            "prompt": row.prompt,
            "temperature": row.temperature,
            "max_tokens": row.max_tokens,
            "version": row.number,
            "difficulty": _difficulty(entry, row),
        }
    )


def _difficulty(entry: RouteEntry, row: RouteVersionRow) -> Tradeoff | None:
    """How many outcomes are needed stays the file's word, so that a draft learns nothing that what is in use would not trust."""
    if not row.weighs:
        return entry.difficulty
    if row.worth_usd is None:
        return None
    if entry.difficulty is None:
        return Tradeoff(worth_usd=row.worth_usd)
    return entry.difficulty.model_copy(update={"worth_usd": row.worth_usd})
