"""Carries out approved requests, in the background and past the end of the process.

A run looks at its row first, so repeating it is harmless: what is done stays done, an effect of ours commits with the new
status, and one elsewhere carries the request's id as its idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Update, select, update
from sqlmodel import Session, col

from app.access import Policy
from app.access.policy import APPROVAL
from app.actions.definitions import ACTIONS, ActionDefinition
from app.actions.effects import InTransaction, Outcome, Work, payload_hash
from app.db import Database
from app.db.tables import ActionRequestRow, TurnRow
from app.domain import Json, Person, now
from app.durable import Durable
from app.errors import ActionError, SwitchboardError
from app.identity.accounts import Accounts
from app.records import Ledger
from app.records.events import ActionRun
from app.settings import Settings
from app.usage import facts

log = structlog.get_logger(__name__)

FUNCTION = "action"
OPEN = ("approved", "running")
BROKEN = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED")
CHANGED = "The request is not what was approved any more, so it did not run."


class ActionRuns:
    """Starts requests and runs them; registers itself with `durable`, which also starts what a crash left unstarted."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        policy: Policy,
        durable: Durable,
        accounts: Accounts,
        settings: Settings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._policy = policy
        self._durable = durable
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._definitions = {definition.name: definition for definition in ACTIONS}
        durable.register(FUNCTION, self.run)
        durable.after_launch(self.start_open)

    def start(self, row: ActionRequestRow) -> None:
        """Harmless to repeat: one workflow for each attempt of a request."""
        self._durable.start(FUNCTION, workflow_id(row), {"request": row.id})

    def start_open(self) -> None:
        """Requests that were recorded and never started, because the process ended in between.

        One whose run broke without being able to say so (the database was gone) is failed, so that its owner can retry.
        """
        with self._database.read() as session:
            rows = list(
                session.execute(
                    select(ActionRequestRow).where(col(ActionRequestRow.status).in_(OPEN))
                ).scalars()
            )
        for row in rows:
            if self._durable.status(workflow_id(row)) in BROKEN:
                self._fail(row, "It was interrupted before it could end. Try again.")
            else:
                self.start(row)

    def run(self, argument: Json) -> None:
        """Runs one request to `done` or `failed`. Never raises for what went wrong with the action itself."""
        with self._database.read() as session:
            row = session.get(ActionRequestRow, argument["request"])
        if row is None or row.status not in OPEN:
            return
        try:
            definition = self._checked(row)
            today = self._clock().astimezone(self._settings.zone).date()
            work = Work(row.id, row.person_id, row.payload, row.action, row.decided_by, today)
            if isinstance(definition.effect, InTransaction):
                self._run_inside(row, definition.effect, work)
                return
            self._mark_running(row.id)
            outcome = definition.effect.send(self._settings, work)
        except SwitchboardError as error:
            self._fail(row, f"{error.message} {error.fix}")
        except Exception as error:
            log.error("action broke", request=row.id, action=row.action, cause=type(error).__name__)
            self._fail(row, "Something unexpected went wrong. Try again, or tell your admin.")
        else:
            with self._database.write() as session:
                self._finish(session, row, outcome)

    def _checked(self, row: ActionRequestRow) -> ActionDefinition:
        """Everything that was true when it was sent must still be true. Raises ActionError."""
        definition = self._definitions.get(row.action)
        if definition is None or not definition.offered(self._settings):
            raise ActionError("This action is not available any more.")
        if payload_hash(row.payload) != row.payload_hash:
            raise ActionError(CHANGED, fix="Ask for it again.")
        person = self._accounts.person(row.person_id)
        if person is None:
            raise ActionError(
                "The account of the person who asked is not active.", fix="Ask for it again."
            )
        self._check_policy(row, person)
        return definition

    def _check_policy(self, row: ActionRequestRow, person: Person) -> None:
        decision = self._policy.run_action(person, row.action)
        if not decision.allowed:
            raise ActionError(f"It is not allowed any more. {decision.reason}")
        if APPROVAL in decision.obligations and row.decided_by is None:
            raise ActionError("It needs an approval now.", fix="Ask for it again.")

    def _run_inside(self, row: ActionRequestRow, effect: InTransaction, work: Work) -> None:
        with self._database.write() as session:
            status = session.execute(
                select(col(ActionRequestRow.status))
                .where(col(ActionRequestRow.id) == row.id)
                .with_for_update()
            ).scalar_one()
            if status in OPEN:
                self._finish(session, row, effect.apply(session, work))

    def _mark_running(self, request_id: str) -> None:
        """The intent is on disk before anything leaves the house."""
        with self._database.write() as session:
            session.execute(_change(request_id).values(status="running"))

    def _finish(self, session: Session, row: ActionRequestRow, outcome: Outcome) -> None:
        at = self._clock()
        changed = session.execute(
            _change(row.id).values(
                status="done",
                outcome=outcome.text,
                outcome_url=outcome.url,
                error="",
                finished_at=at,
            )
        )
        if changed.rowcount:  # type: ignore[attr-defined]
            self._ledger.append(
                session,
                ActionRun(
                    actor=row.person_id,
                    subject=row.id,
                    action=row.action,
                    outcome="done",
                    detail=outcome.text,
                ),
                *outcome.events,
            )
            facts.action_done(
                session,
                request_id=row.id,
                person_id=row.person_id,
                team=row.team,
                intent=_intent(session, row.turn_id),
                at=at,
            )

    def _fail(self, row: ActionRequestRow, error: str) -> None:
        with self._database.write() as session:
            changed = session.execute(
                _change(row.id).values(status="failed", error=error, finished_at=self._clock())
            )
            if changed.rowcount:  # type: ignore[attr-defined]
                self._ledger.append(
                    session,
                    ActionRun(
                        actor=row.person_id,
                        subject=row.id,
                        action=row.action,
                        outcome="failed",
                        detail=error,
                    ),
                )


def workflow_id(row: ActionRequestRow) -> str:
    """`action:<request id>`; after a failure with the time of it, so that each retry is one workflow of its own."""
    if row.finished_at is None:
        return f"action:{row.id}"
    return f"action:{row.id}:{int(row.finished_at.timestamp() * 1000)}"


def _change(request_id: str) -> Update:
    return update(ActionRequestRow).where(
        col(ActionRequestRow.id) == request_id, col(ActionRequestRow.status).in_(OPEN)
    )


def _intent(session: Session, turn_id: str) -> str:
    if not turn_id:
        return ""
    return (
        session.execute(select(col(TurnRow.intent)).where(col(TurnRow.id) == turn_id)).scalar()
        or ""
    )
