"""What comes next after an answer: the allowed actions as pre-filled forms, each saying what its click leads to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import col

from app.access import Policy
from app.access.policy import APPROVAL
from app.actions import more_budget
from app.actions.definitions import ActionDefinition
from app.actions.prefill import Conversation
from app.db import Database
from app.db.tables import PersonRow
from app.domain import Decision, Offer, Person, Role

RUNS_AT_ONCE = "Runs at once"


def make_offers(
    database: Database,
    policy: Policy,
    definitions: Sequence[ActionDefinition],
    said: Conversation,
    turn_id: str,
) -> tuple[Offer, ...]:
    """One offer for each definition that policy allows. Its id follows from turn and action: one answer, one effect each."""
    offers = []
    for definition in definitions:
        decision = policy.run_action(said.person, definition.name)
        if not decision:
            continue
        filled = definition.prefill(said)
        offers.append(
            Offer(
                id=f"offer_{turn_id}_{definition.name}",
                action=definition.name,
                label=definition.label,
                arguments=filled.arguments,
                origins=filled.origins,
                next_step=next_step(database, said.person, decision),
            )
        )
    return tuple(offers)


def more_offer(
    database: Database,
    policy: Policy,
    definition: ActionDefinition,
    said: Conversation,
    turn_id: str,
) -> Offer | None:
    """The button that asks for more of `said.standing`; None where policy forbids it or somebody's request for it waits already.

    Outside a turn its id follows from how often the person has asked, so that a double click is one request.
    """
    assert said.standing is not None
    with database.read() as session:
        if more_budget.waits(session, said.standing.sum):
            return None
        before = more_budget.asked_before(session, said.person)
    place = turn_id or f"{said.standing.sum.budget_id}_{said.person.id}_{before}"
    made = make_offers(database, policy, [definition], said, place)
    return made[0] if made else None


def next_step(database: Database, person: Person, decision: Decision) -> str:
    """What happens after the click, naming who would decide."""
    if APPROVAL not in decision.obligations:
        return RUNS_AT_ONCE
    names = (
        _leads_of(database, person)
        if decision.obligations[APPROVAL] == Role.TEAM_LEAD.value
        else []
    )
    return f"Goes to {' or '.join(names) if names else 'an admin'} for approval"


def _leads_of(database: Database, person: Person) -> list[str]:
    """The names of at most two active leads of the person's team."""
    if not person.team:
        return []
    with database.read() as session:
        return list(
            session.execute(
                select(col(PersonRow.name))
                .where(
                    col(PersonRow.team) == person.team,
                    col(PersonRow.role) == Role.TEAM_LEAD.value,
                    col(PersonRow.active),
                    col(PersonRow.id) != person.id,
                )
                .order_by(col(PersonRow.name))
                .limit(2)
            ).scalars()
        )
