"""What pages and the API are given: conversations and turns as frozen values, and the receipt to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from app.db.tables import TurnRow
from app.domain import Json, Offer, Receipt, now

HEARTBEAT_STALE = timedelta(seconds=15)
receipt_adapter: TypeAdapter[Receipt] = TypeAdapter(Receipt)
offer_adapter: TypeAdapter[Offer] = TypeAdapter(Offer)


@dataclass(frozen=True, slots=True)
class ConversationView:
    id: str
    title: str
    updated_at: datetime
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class TurnView:
    """`status`: running, finished, stopped, failed, interrupted."""

    id: str
    conversation_id: str
    question: str
    answer: str
    status: str
    error: str
    model_wish: str | None
    receipt: Receipt | None
    offers: tuple[Offer, ...]
    feedback: int | None
    feedback_comment: str
    started_at: datetime


def turn_view(row: TurnRow) -> TurnView:
    return TurnView(
        id=row.id,
        conversation_id=row.conversation_id,
        question=row.question,
        answer=row.answer,
        status=status_of(row),
        error=row.error,
        model_wish=row.model_wish,
        receipt=receipt_adapter.validate_python(row.receipt) if row.receipt else None,
        offers=tuple(offer_adapter.validate_python(offer) for offer in row.offers),
        feedback=row.feedback,
        feedback_comment=row.feedback_comment,
        started_at=row.started_at,
    )


def status_of(row: TurnRow) -> str:
    """A running turn whose process stopped moving it on was interrupted, whatever the row says."""
    beat = row.heartbeat_at or row.started_at
    if row.status == "running" and now() - beat > HEARTBEAT_STALE:
        return "interrupted"
    return row.status


def receipt_json(receipt: Receipt) -> Json:
    """Without the passages' texts: whoever opens one later is asked again whether they may read it now."""
    kept = replace(
        receipt,
        passages=tuple(replace(passage, text="") for passage in receipt.passages),
        citations=tuple(
            replace(citation, passage=replace(citation.passage, text=""))
            for citation in receipt.citations
        ),
    )
    return receipt_adapter.dump_python(kept, mode="json")  # type: ignore[no-any-return]


def offer_json(offer: Offer) -> Json:
    return offer_adapter.dump_python(offer, mode="json")  # type: ignore[no-any-return]
