"""More of a budget for one day or month: asked for where a budget is in the way, granted once somebody else has agreed.

A person's own budget is decided by their team lead, one that several share by an admin. The limit itself stays as it is.
"""

from __future__ import annotations

import math
from datetime import date

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.actions.effects import Outcome, Work
from app.actions.forms import MOST_USD, MoreBudgetForm
from app.actions.prefill import USUAL, Conversation, Prefilled
from app.budgets import Standing, SumKey, book, money
from app.budgets.periods import renews
from app.db.tables import ActionRequestRow
from app.domain import Json, Person
from app.errors import ActionError

OWN, SHARED = NAMES = ("request_budget", "request_shared_budget")
USUAL_USD = 5.0
WAITING = ("waiting", "approved", "running")


def name_of(standing: Standing) -> str:
    return OWN if standing.budget.scope == "person" else SHARED


def prefilled(conversation: Conversation) -> Prefilled:
    """Half as much again of one's own budget, and of a shared one, whose amounts are not told, the usual sum; but enough for the
    answer that there was no room for."""
    standing = conversation.standing
    if standing is None:
        return Prefilled({}, {})
    half = _cents_up(standing.budget.limit_micro // 2) if standing.budget.scope == "person" else 0.0
    amount, origin = (half, "half of your limit") if half else (USUAL_USD, USUAL)
    answer = min(_cents_up(standing.wanted_micro), MOST_USD)
    if answer > amount:
        amount, origin = answer, "enough for one more answer"
    return Prefilled(
        {
            "amount_usd": amount,
            "reason": "",
            "budget_id": standing.sum.budget_id,
            "key": standing.sum.key,
            "starts": standing.sum.starts.isoformat(),
        },
        {"amount_usd": f"{origin}, for {standing.when} only"},
    )


def _cents_up(amount_micro: int) -> float:
    """Dollars, to the next cent."""
    return math.ceil(money.usd(amount_micro) * 100) / 100


def payload(person: Person, form: MoreBudgetForm) -> Json:
    return {
        "type": "switchboard.more_budget",
        "budget": form.budget_id,
        "of": form.key,
        "period_from": form.starts.isoformat(),
        "amount_usd": form.amount_usd,
        "reason": form.reason,
        "requested_by": person.email,
    }


def grant(session: Session, work: Work) -> Outcome:
    """Raises ActionError for a period that is over or a budget that the action is not for, NotFound for one that is gone."""
    asked = work.payload
    key = key_of(asked)
    budget = book.find(session, key.budget_id)
    own = budget.scope == "person"
    if own != (work.action == OWN) or (own and key.key != work.person_id):
        raise ActionError("The request does not fit this budget.", fix="Ask for it again.")
    if work.today >= renews(budget.period, key.starts):
        raise ActionError("What it was for is over: the budget has begun anew since.")
    amount = money.micro(float(asked["amount_usd"]))
    event = book.grant(session, work.decided_by or work.person_id, budget, key, amount)
    whose = Standing(budget, key).whose()
    period = "today" if budget.period == "day" else "this month"
    return Outcome(
        f"{whose[:1].upper()}{whose[1:]} has {money.words(amount)} more for {period}",
        events=(event,),
    )


def key_of(asked: Json) -> SumKey:
    """The sum that a request's payload names."""
    return SumKey(str(asked["budget"]), str(asked["of"]), date.fromisoformat(asked["period_from"]))


def waits(session: Session, key: SumKey) -> bool:
    """Has somebody asked for more of this sum already, and it is not decided?"""
    rows = session.execute(
        select(col(ActionRequestRow.payload)).where(
            col(ActionRequestRow.action).in_(NAMES),
            col(ActionRequestRow.status).in_(WAITING),
        )
    ).scalars()
    return any(key_of(asked) == key for asked in rows)


def asked_before(session: Session, person: Person) -> int:
    """How often this person has asked for more of any budget: what makes the next click outside a chat a new request."""
    counted = select(func.count()).where(
        col(ActionRequestRow.action).in_(NAMES),
        col(ActionRequestRow.person_id) == person.id,
    )
    return int(session.execute(counted).scalar_one())
