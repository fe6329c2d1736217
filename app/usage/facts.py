"""One row for each finished turn or action, without its text: what the roll-ups are made from.

Each function runs inside the caller's `Database.write()` transaction, costs one statement, and is harmless to repeat. A row
that changed is marked as not rolled up, so that the next refresh recomputes its day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from app.db.tables import UsageFactRow
from app.domain import Json, Usage

QUESTION = "question"
ACTION = "action"


def turn_finished(
    session: Session,
    *,
    turn_id: str,
    person_id: str,
    team: str,
    intent: str,
    model: str,
    status: str,
    cost_usd: float,
    usage: Usage,
    with_sources: bool,
    at: datetime,
) -> None:
    """`status` is finished, stopped, failed or interrupted; `at` decides the day (UTC) the first time the turn is seen."""
    _put(
        session,
        {
            "id": turn_id,
            "kind": QUESTION,
            "day": at.astimezone(UTC).date(),
            "person_id": person_id,
            "team": team,
            "intent": intent,
            "model": model,
            "status": status,
            "cost_usd": cost_usd,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "with_sources": with_sources,
            "rolled_up": False,
        },
    )


def feedback_given(session: Session, turn_id: str, value: int | None) -> None:
    """`value` is 1 up, 0 down, None withdrawn. A turn that has not finished yet has no row: nothing happens."""
    feedback = col(UsageFactRow.feedback)
    session.execute(
        update(UsageFactRow)
        .where(col(UsageFactRow.id) == turn_id, feedback.is_distinct_from(value))
        .values(feedback=value, rolled_up=False)
    )


def action_done(
    session: Session, *, request_id: str, person_id: str, team: str, intent: str, at: datetime
) -> None:
    """An action that had its effect; `person_id` is who asked for it, not who approved it."""
    _put(
        session,
        {
            "id": request_id,
            "kind": ACTION,
            "day": at.astimezone(UTC).date(),
            "person_id": person_id,
            "team": team,
            "intent": intent,
            "model": "",
            "status": "done",
            "cost_usd": 0.0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "with_sources": False,
            "rolled_up": False,
        },
    )


# The day, the person and the team of a row never change: a recomputed slice would otherwise leave its old day behind.
_MUTABLE = (
    "intent",
    "model",
    "status",
    "cost_usd",
    "prompt_tokens",
    "completion_tokens",
    "with_sources",
)


def _put(session: Session, row: Json) -> None:
    session.connection().execute(_upsert(session.get_bind().dialect.name == "postgresql"), row)


@cache
def _upsert(postgres: bool) -> postgresql.Insert | sqlite.Insert:
    """Built once: it is run at the end of every question."""
    facts = UsageFactRow.__table__  # type: ignore[attr-defined]
    statement = (postgresql.insert if postgres else sqlite.insert)(facts)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new[name] for name in (*_MUTABLE, "rolled_up")},
        where=or_(*(facts.c[name].is_distinct_from(new[name]) for name in _MUTABLE)),
    )
