"""Where a budget is in the way, a person asks for more; once somebody else has agreed, the next question is answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlmodel import col, select

from app.budgets import EACH
from app.db.tables import ActionRequestRow
from app.domain import Offer, Person, Role
from app.errors import Denied
from app.records.events import BudgetChanged
from tests.budgets.test_turns import LYON, allot, desk, only, root, sums
from tests.chat.house import House, house

__all__ = ["desk"]
REASON = "The offer for Zirkon is due today."


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as built:
        built.services.durable.launch()
        only(built, "first", "second")
        yield built
        built.services.durable.shutdown()


@pytest.fixture(autouse=True)
def none_asked(desk: House) -> Iterator[None]:
    yield
    with desk.services.database.write() as session:
        for row in session.exec(select(ActionRequestRow)):
            session.delete(row)


def refused(desk: House, person: Person) -> tuple[str, tuple[Offer, ...]]:
    turn = desk.ask(person, LYON)
    assert turn.status == "failed"
    return turn.error, turn.offers


def send(desk: House, person: Person, offer: Offer, usd: float = 1.0) -> ActionRequestRow:
    arguments = {**offer.arguments, "amount_usd": usd, "reason": REASON}
    return desk.services.actions.submit(person, offer.id, offer.action, arguments)


def ended(desk: House, request_id: str) -> ActionRequestRow:
    for _ in range(900):
        with desk.services.database.read() as session:
            row = session.exec(
                select(ActionRequestRow).where(col(ActionRequestRow.id) == request_id)
            ).one()
        if row.status in ("done", "failed"):
            return row
        time.sleep(0.05)
    raise AssertionError("the request did not end")


def test_a_lead_grants_more_of_a_persons_budget_and_the_question_is_answered(desk: House) -> None:
    ann, lead = desk.person("ann"), desk.person("tom", role=Role.TEAM_LEAD)
    budget = allot(desk, "person", EACH, "day", 0.0005)
    error, (offer,) = refused(desk, ann)
    assert error.endswith("Ask again then, or request more.")
    assert (offer.action, offer.label) == ("request_budget", "Request more of your budget")
    assert offer.next_step == "Goes to Tom for approval"
    row = send(desk, ann, offer)
    assert (row.status, row.needs_approval) == ("waiting", True)
    assert send(desk, ann, offer).id == row.id
    assert [one.id for one in desk.services.actions.waiting_for(lead)] == [row.id]
    desk.services.actions.decide(lead, row.id, approve=True)
    done = ended(desk, row.id)
    assert (done.status, done.outcome) == ("done", "Your budget has $1.00 more for today")
    assert sums(desk)[budget, ann.id].extra_micro == 1_000_000
    assert desk.ask(ann, LYON).status == "finished"
    granted = [e for e in desk.events(budget) if e["type"] == "budget_changed"][-1]
    assert (granted["change"], granted["actor"], granted["amount_usd"]) == ("granted", lead.id, 1.0)
    assert BudgetChanged.model_validate(granted).scope == "person"


def test_what_is_suggested_is_enough_for_one_more_answer(desk: House) -> None:
    """Half of a small limit may be less than what an answer costs."""
    ann, lead = desk.person("ann"), desk.person("tom", role=Role.TEAM_LEAD)
    for name in ("first", "second"):
        desk.services.catalogue.change(root(desk), name, price_out=100.0)
    try:
        allot(desk, "person", EACH, "day", 0.03)
        error, (offer,) = refused(desk, ann)
        assert "$0.03 of $0.03 are left, and an answer may cost up to $0.0" in error
        usd = offer.arguments["amount_usd"]
        assert 0.08 <= usd < 0.1
        assert offer.origins["amount_usd"] == "enough for one more answer, for today only"
        row = send(desk, ann, offer, usd)
        desk.services.actions.decide(lead, row.id, approve=True)
        assert ended(desk, row.id).status == "done"
        assert desk.ask(ann, LYON).status == "finished"
    finally:
        for name in ("first", "second"):
            desk.services.catalogue.change(root(desk), name, price_out=2.0)


def test_of_a_shared_budget_no_amount_is_told_and_only_an_admin_decides(desk: House) -> None:
    ann, lead = desk.person("ann"), desk.person("tom", role=Role.TEAM_LEAD)
    budget = allot(desk, "team", "Sales", "month", 0.0005)
    _, (offer,) = refused(desk, ann)
    assert (offer.action, offer.arguments["amount_usd"]) == ("request_shared_budget", 5.0)
    assert offer.next_step == "Goes to an admin for approval"
    row = send(desk, ann, offer)
    assert desk.services.actions.waiting_for(lead) == []
    with pytest.raises(Denied, match="Only admins decide about a budget that several people share"):
        desk.services.actions.decide(lead, row.id, approve=True)
    desk.services.actions.decide(root(desk), row.id, approve=True)
    assert (
        ended(desk, row.id).outcome == "The budget of the team Sales has $1.00 more for this month"
    )
    assert sums(desk)[budget, "Sales"].extra_micro == 1_000_000
    assert desk.ask(ann, LYON).status == "finished"


def test_nobody_grants_themselves_more(desk: House) -> None:
    lead, admin = desk.person("tom", role=Role.TEAM_LEAD), root(desk)
    allot(desk, "person", EACH, "day", 0.0005)
    for person in (lead, admin):
        _, (offer,) = refused(desk, person)
        row = send(desk, person, offer)
        assert row.status == "waiting"
        with pytest.raises(Denied):
            desk.services.actions.decide(person, row.id, approve=True)


def test_while_one_request_waits_no_second_is_offered(desk: House) -> None:
    ann = desk.person("ann")
    allot(desk, "person", EACH, "day", 0.0005)
    _, (offer,) = refused(desk, ann)
    row = send(desk, ann, offer)
    error, offers = refused(desk, ann)
    assert offers == ()
    assert error.endswith("Ask again then; a request for more waits for a decision.")
    desk.services.actions.decide(root(desk), row.id, approve=False, comment="Not today.")
    assert len(refused(desk, ann)[1]) == 1


def test_a_request_for_somebody_elses_budget_grants_nothing(desk: House) -> None:
    ann, ben = desk.person("ann"), desk.person("ben")
    budget = allot(desk, "person", EACH, "day", 0.0005)
    _, (offer,) = refused(desk, ann)
    arguments = {**offer.arguments, "key": ben.id, "amount_usd": 1.0, "reason": REASON}
    row = desk.services.actions.submit(ann, offer.id, offer.action, arguments)
    desk.services.actions.decide(root(desk), row.id, approve=True)
    done = ended(desk, row.id)
    assert (done.status, done.error[:38]) == ("failed", "The request does not fit this budget. ")
    assert (budget, ben.id) not in sums(desk)


def test_what_was_approved_too_late_or_for_a_removed_budget_says_so(desk: House) -> None:
    ann = desk.person("ann")
    budget = allot(desk, "person", EACH, "day", 0.0005)
    _, (offer,) = refused(desk, ann)
    (standing,) = desk.services.budgets.book.of_person(ann)
    before = (standing.sum.starts - timedelta(days=1)).isoformat()
    late = desk.services.actions.submit(
        ann,
        offer.id,
        offer.action,
        {**offer.arguments, "starts": before, "amount_usd": 1.0, "reason": REASON},
    )
    desk.services.actions.decide(root(desk), late.id, approve=True)
    assert "the budget has begun anew" in ended(desk, late.id).error
    gone = send(desk, ann, refused(desk, ann)[1][0])
    desk.services.budgets.book.remove(root(desk), budget)
    desk.services.actions.decide(root(desk), gone.id, approve=True)
    assert "The budget has been removed meanwhile." in ended(desk, gone.id).error


def test_no_route_can_offer_it(desk: House) -> None:
    names = ("request_budget", "request_shared_budget")
    assert desk.services.actions.offers(names, desk.person("ann"), LYON, "", (), "turn_1") == ()
