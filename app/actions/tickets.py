"""The built-in request desk: a ticket is a row with a number that people can say aloud."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import Session, col

from app.actions.effects import Outcome, Work
from app.db.tables import TicketRow


def open_ticket(session: Session, work: Work) -> Outcome:
    """Writes the ticket, or finds the one that this request wrote before."""
    ticket = session.execute(
        select(TicketRow).where(col(TicketRow.idempotency_key) == work.request_id)
    ).scalar_one_or_none()
    if ticket is None:
        ticket = TicketRow(
            idempotency_key=work.request_id,
            requester_id=work.person_id,
            queue=work.payload["queue"],
            title=work.payload["title"],
            body=work.payload["body"],
            priority=work.payload["priority"],
        )
        session.add(ticket)
        session.flush()
    return Outcome(f"Ticket #{ticket.number} is open with {ticket.queue}.", "/requests")


def tickets_of(session: Session, person_id: str) -> list[TicketRow]:
    """Newest first."""
    return list(
        session.execute(
            select(TicketRow)
            .where(col(TicketRow.requester_id) == person_id)
            .order_by(col(TicketRow.number).desc())
        ).scalars()
    )
