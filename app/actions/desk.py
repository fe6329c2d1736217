"""The desk where actions are offered, sent, approved and looked up. `ActionRuns` carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlmodel import col

from app.access import Policy, require
from app.access.policy import APPROVAL
from app.actions import more_budget
from app.actions.definitions import ACTIONS, ActionDefinition
from app.actions.effects import payload_hash
from app.actions.offers import make_offers, more_offer, next_step
from app.actions.prefill import Conversation
from app.actions.requests import Requests, no_request, requested
from app.actions.runs import CHANGED, ActionRuns
from app.actions.tickets import tickets_of
from app.budgets import Standing, SumKey
from app.db import Database
from app.db.tables import ActionRequestRow, TicketRow
from app.domain import Decision, Json, Offer, Passage, Person, now
from app.durable import Durable
from app.errors import ActionError, AlreadyDecided, InputError, NotFound
from app.identity.accounts import Accounts
from app.records import Ledger
from app.records.events import ActionDecided
from app.settings import Settings


class ActionDesk:
    """Offers and takes requests. One offer makes one request, whoever sends it how often; each step is recorded."""

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
        """Before `durable.launch()`: it registers what runs the requests."""
        self._database = database
        self._ledger = ledger
        self._policy = policy
        self._settings = settings
        self._clock = clock
        self._definitions = {definition.name: definition for definition in ACTIONS}
        self._requests = Requests(database, ledger)
        self._runs = ActionRuns(database, ledger, policy, durable, accounts, settings, clock)

    # What can be done.

    def definition(self, name: str) -> ActionDefinition:
        """Raises NotFound for an action that does not exist or that this installation does not offer."""
        definition = self._definitions.get(name)
        if definition is None or not definition.offered(self._settings):
            raise NotFound("This action is not available.", fix="Go back to the chat.")
        return definition

    def offers(
        self,
        names: Sequence[str],
        person: Person,
        question: str,
        answer_text: str,
        passages: Sequence[Passage],
        turn_id: str,
    ) -> tuple[Offer, ...]:
        """A pre-filled form for each action that is available and allowed. At most one small query; nothing is written."""
        said = Conversation(person, question, answer_text, passages)
        available = [
            definition
            for name in names
            if (definition := self._definitions.get(name))
            and definition.after_answers
            and definition.offered(self._settings)
        ]
        return make_offers(self._database, self._policy, available, said, turn_id)

    def more_budget(self, person: Person, standing: Standing, turn_id: str = "") -> Offer | None:
        """The button that asks for more of a budget; None where that is forbidden or waits for a decision already."""
        definition = self._definitions[more_budget.name_of(standing)]
        said = Conversation(person, "", "", (), standing)
        return more_offer(self._database, self._policy, definition, said, turn_id)

    def waits_for_more(self, standing: Standing) -> bool:
        """Has somebody asked for more of it, and nobody decided?"""
        with self._database.read() as session:
            return more_budget.waits(session, standing.sum)

    def next_step(self, person: Person, decision: Decision) -> str:
        """What follows `person`'s click, such as "Goes to Tom Okafor for approval"; `decision` is policy's on the action."""
        return next_step(self._database, person, decision)

    def payload(self, name: str, person: Person, arguments: Mapping[str, Any]) -> Json:
        """Exactly what will happen or be sent. Raises InputError with what is wrong, field by field."""
        definition = self.definition(name)
        try:
            form = definition.parameters.model_validate(dict(arguments))
        except ValidationError as error:
            fields = definition.parameters.model_fields
            problems = " ".join(
                f"{fields[field].title if field in fields else field}: {problem}"
                for field, problem in definition.problems(arguments).items()
            )
            raise InputError(
                f"The form is not complete. {problems}", fix="Correct it and send it again."
            ) from error
        return definition.payload(person, form)

    def sum_of(self, row: ActionRequestRow) -> SumKey | None:
        """What a request for more money is about; None for any other."""
        return more_budget.key_of(row.payload) if row.action in more_budget.NAMES else None

    # Sending.

    def submit(
        self,
        person: Person,
        offer_id: str,
        name: str,
        arguments: Mapping[str, Any],
        turn_id: str = "",
        conversation_id: str = "",
    ) -> ActionRequestRow:
        """Records the click and starts it, or lets it wait for approval; the same offer again gives the same request.

        Raises NotFound for an unknown action or somebody else's turn or offer, InputError for a faulty form and Denied.
        """
        row = self._requests.of_offer(person, offer_id)
        if row is None:
            definition = self.definition(name)
            decision = self._policy.run_action(person, name)
            require(decision, person, f"use '{definition.label}'", self._ledger)
            payload = self.payload(name, person, arguments)
            waits = APPROVAL in decision.obligations
            row = self._requests.record(
                person,
                ActionRequestRow(
                    offer_id=offer_id,
                    action=name,
                    person_id=person.id,
                    team=person.team,
                    turn_id=turn_id,
                    conversation_id=conversation_id,
                    arguments=dict(arguments),
                    payload=payload,
                    payload_hash=payload_hash(payload),
                    needs_approval=waits,
                    policy_reason=decision.reason,
                    status="waiting" if waits else "approved",
                    created_at=self._clock(),
                ),
            )
        if row.status == "approved":
            self._runs.start(row)
        return row

    def retry(self, person: Person, request_id: str) -> ActionRequestRow:
        """Runs a failed request of one's own again, with the same payload and idempotency key. Twice is once.

        Raises NotFound for somebody else's.
        """
        with self._database.write() as session:
            row = session.get(ActionRequestRow, request_id)
            if row is None or row.person_id != person.id:
                raise no_request()
            if row.status == "failed":
                row.status, row.error = "approved", ""
                session.add(row)
                self._ledger.append(session, requested(row, "tried again"))
        if row.status == "approved":
            self._runs.start(row)
        return row

    # Deciding.

    def decide(
        self, person: Person, request_id: str, approve: bool, comment: str = ""
    ) -> ActionRequestRow:
        """Approves or rejects what waits; the approval is bound to the payload's hash. A rejection needs a comment.

        Raises NotFound, Denied for somebody not entitled (the requester never is), InputError without a comment,
        AlreadyDecided when somebody was quicker, ActionError when the payload is not the one that was sent.
        """
        comment = comment.strip()
        if not approve and not comment:
            raise InputError("A rejection needs a reason.", fix="Write one sentence and send it.")
        row = self._requests.get(request_id)
        decision = self._policy.approve(person, row.action, row.person_id, row.team)
        require(decision, person, "decide on this request", self._ledger)
        if approve and payload_hash(row.payload) != row.payload_hash:
            raise ActionError(CHANGED, fix="Reject it and have it sent again.")
        with self._database.write() as session:
            changed = session.execute(
                update(ActionRequestRow)
                .where(
                    col(ActionRequestRow.id) == request_id,
                    col(ActionRequestRow.status) == "waiting",
                    col(ActionRequestRow.payload_hash) == row.payload_hash,
                )
                .values(
                    status="approved" if approve else "rejected",
                    decided_by=person.id,
                    decided_at=self._clock(),
                    decision_comment=comment,
                )
            )
            if not changed.rowcount:  # type: ignore[attr-defined]
                raise AlreadyDecided("Somebody has decided on this request already.")
            self._ledger.append(
                session,
                ActionDecided(
                    actor=person.id,
                    subject=request_id,
                    action=row.action,
                    decision="approved" if approve else "rejected",
                    payload_sha=row.payload_hash,
                    requester=row.person_id,
                ),
            )
        row = self._requests.get(request_id)
        if approve:
            self._runs.start(row)
        return row

    # Looking up; newest first.

    def waiting_for(self, person: Person) -> list[ActionRequestRow]:
        """What this person may decide on, oldest first: never their own."""
        with self._database.read() as session:
            rows = session.execute(
                select(ActionRequestRow)
                .where(col(ActionRequestRow.status) == "waiting")
                .order_by(col(ActionRequestRow.created_at))
            ).scalars()
            return [
                row
                for row in rows
                if self._policy.approve(person, row.action, row.person_id, row.team)
            ]

    def decided_by(self, person: Person) -> list[ActionRequestRow]:
        return self._requests.newest_first(col(ActionRequestRow.decided_by) == person.id)

    def mine(self, person: Person) -> list[ActionRequestRow]:
        return self._requests.newest_first(col(ActionRequestRow.person_id) == person.id)

    def of_conversation(self, conversation_id: str) -> list[ActionRequestRow]:
        """For a conversation whose ownership the caller has checked."""
        return self._requests.newest_first(col(ActionRequestRow.conversation_id) == conversation_id)

    def tickets(self, person: Person) -> list[TicketRow]:
        """The person's own tickets at the built-in request desk."""
        with self._database.read() as session:
            return tickets_of(session, person.id)
