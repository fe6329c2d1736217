"""The requests as they are stored, one for each offer, and how they are found."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import ActionRequestRow, TurnRow
from app.domain import Person
from app.errors import NotFound
from app.records import Ledger
from app.records.events import ActionRequested


class Requests:
    """A new one goes into the log in the transaction that stores it."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def get(self, request_id: str) -> ActionRequestRow:
        """Raises NotFound."""
        with self._database.read() as session:
            row = session.get(ActionRequestRow, request_id)
        if row is None:
            raise no_request()
        return row

    def of_offer(self, person: Person, offer_id: str) -> ActionRequestRow | None:
        """Raises NotFound for somebody else's."""
        with self._database.read() as session:
            return _own(session, person, offer_id)

    def record(self, person: Person, row: ActionRequestRow) -> ActionRequestRow:
        """Stores it, unless its offer has one: then that one is returned. Raises NotFound for somebody else's turn or offer."""
        try:
            with self._database.write() as session:
                known = _own(session, person, row.offer_id)
                if known is not None:
                    return known
                _check_turn(session, row)
                session.add(row)
                self._ledger.append(session, requested(row, row.policy_reason))
        except IntegrityError:  # another process was quicker with the same offer
            known = self.of_offer(person, row.offer_id)
            if known is None:
                raise
            return known
        return row

    def newest_first(self, condition: ColumnElement[bool]) -> list[ActionRequestRow]:
        with self._database.read() as session:
            return list(
                session.execute(
                    select(ActionRequestRow)
                    .where(condition)
                    .order_by(col(ActionRequestRow.created_at).desc())
                ).scalars()
            )


def _own(session: Session, person: Person, offer_id: str) -> ActionRequestRow | None:
    row = session.execute(
        select(ActionRequestRow).where(col(ActionRequestRow.offer_id) == offer_id)
    ).scalar_one_or_none()
    if row is not None and row.person_id != person.id:
        raise no_request()
    return row


def _check_turn(session: Session, row: ActionRequestRow) -> None:
    """A request belongs to a turn of the person's own, in the conversation it says; or to none."""
    if not row.turn_id and not row.conversation_id:
        return
    found = session.execute(
        select(col(TurnRow.person_id), col(TurnRow.conversation_id)).where(
            col(TurnRow.id) == row.turn_id
        )
    ).one_or_none()
    if found is None or tuple(found) != (row.person_id, row.conversation_id):
        raise NotFound("There is no such answer to act on.")


def requested(row: ActionRequestRow, reason: str) -> ActionRequested:
    return ActionRequested(
        actor=row.person_id,
        subject=row.id,
        action=row.action,
        payload_sha=row.payload_hash,
        needs_approval=row.needs_approval,
        reason=reason,
    )


def no_request() -> NotFound:
    return NotFound("There is no such request.", fix="Go back to your requests.")
