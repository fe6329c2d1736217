"""A click is recorded once, waits where policy says so, is decided once by somebody entitled, and says how it ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from sqlmodel import select, text

from app.actions import ActionDesk
from app.actions.effects import canonical, payload_hash
from app.db import Database
from app.db.tables import (
    ActionRequestRow,
    ConversationRow,
    EventRow,
    TicketRow,
    TurnRow,
    UsageFactRow,
)
from app.domain import Person, Role
from app.errors import ActionError, AlreadyDecided, Denied, InputError, NotFound
from app.identity.accounts import Accounts
from tests.actions.conftest import MESSAGE, TICKET, Receiver, until
from tests.conftest import MakePerson

Ended = Callable[[str], ActionRequestRow]


def events(database: Database, kind: str) -> list[dict[str, object]]:
    with database.read() as session:
        rows = session.exec(select(EventRow).where(EventRow.type == kind)).all()
    return [json.loads(row.body) for row in rows]


def count(database: Database, table: str) -> int:
    with database.read() as session:
        return int(session.connection().execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_ticket_runs_at_once_and_is_on_record(
    desk: ActionDesk, database: Database, mara: Person, ended: Ended
) -> None:
    sent = desk.submit(mara, "offer_1", "open_ticket", TICKET)
    assert (sent.status, sent.needs_approval) == ("approved", False)
    row = ended(sent.id)
    assert (row.status, row.outcome) == ("done", "Ticket #1 is open with IT.")
    (ticket,) = desk.tickets(mara)
    assert (ticket.title, ticket.idempotency_key) == ("No VPN", row.id)
    (asked,) = events(database, "action_requested")
    assert (asked["actor"], asked["subject"]) == (mara.id, row.id)
    assert asked["payload_sha"] == payload_hash(row.payload)
    assert events(database, "action_run")[0]["outcome"] == "done"
    with database.read() as session:
        fact = session.get(UsageFactRow, row.id)
    assert fact is not None
    assert (fact.kind, fact.team) == ("action", "Sales")


def test_the_records_hold_no_text_of_the_form(
    desk: ActionDesk, database: Database, mara: Person, ended: Ended
) -> None:
    row = desk.submit(mara, "offer_1", "open_ticket", {**TICKET, "body": "my secret illness"})
    ended(row.id)
    with database.read() as session:
        assert all("illness" not in event.body for event in session.exec(select(EventRow)))


def test_eight_clicks_at_once_are_one_request_and_one_effect(
    desk: ActionDesk, database: Database, mara: Person, ended: Ended
) -> None:
    barrier, ids = threading.Barrier(8), []

    def click() -> None:
        barrier.wait()
        ids.append(desk.submit(mara, "offer_1", "open_ticket", TICKET).id)

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert ended(ids[0]).status == "done"
    assert desk.submit(mara, "offer_1", "open_ticket", TICKET).status == "done"
    assert count(database, "action_request") == count(database, "ticket") == 1
    assert len(events(database, "action_requested")) == 1
    assert len(events(database, "action_run")) == 1


def test_an_employees_message_waits_and_the_lead_lets_it_go(
    desk: ActionDesk,
    database: Database,
    receiver: Receiver,
    mara: Person,
    tom: Person,
    ended: Ended,
) -> None:
    sent = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    assert (sent.status, sent.needs_approval) == ("waiting", True)
    assert receiver.requests == []
    assert [row.id for row in desk.waiting_for(tom)] == [sent.id]
    desk.decide(tom, sent.id, True, "fine")
    row = ended(sent.id)
    assert (row.status, row.outcome) == ("done", "Sent to 127.0.0.1.")
    assert row.decided_by == tom.id
    assert receiver.requests[0].body == canonical(sent.payload).encode()
    assert desk.waiting_for(tom) == []
    assert [row.id for row in desk.decided_by(tom)] == [sent.id]
    (decided,) = events(database, "action_decided")
    assert (decided["decision"], decided["requester"]) == ("approved", mara.id)
    assert decided["payload_sha"] == sent.payload_hash


def test_a_leads_own_message_goes_at_once(desk: ActionDesk, tom: Person, ended: Ended) -> None:
    assert ended(desk.submit(tom, "offer_1", "send_webhook", MESSAGE).id).status == "done"


def test_a_rejection_needs_a_reason_and_ends_it(
    desk: ActionDesk, receiver: Receiver, mara: Person, tom: Person
) -> None:
    sent = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    with pytest.raises(InputError, match="needs a reason"):
        desk.decide(tom, sent.id, False, "  ")
    row = desk.decide(tom, sent.id, False, "We have three spare ones.")
    assert (row.status, row.decision_comment) == ("rejected", "We have three spare ones.")
    with pytest.raises(AlreadyDecided):
        desk.decide(tom, sent.id, True, "")
    assert receiver.requests == []


def test_only_the_entitled_decide_and_never_the_requester(
    desk: ActionDesk,
    database: Database,
    mara: Person,
    tom: Person,
    ada: Person,
    make_person: MakePerson,
) -> None:
    sent = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    colleague = make_person("Cy")
    foreign_lead = make_person("Fay", role=Role.TEAM_LEAD, team="Support")
    for person in (mara, colleague, foreign_lead):
        assert desk.waiting_for(person) == []
        with pytest.raises(Denied):
            desk.decide(person, sent.id, True, "")
    assert len(events(database, "access_denied")) == 3
    assert [row.id for row in desk.waiting_for(ada)] == [sent.id]
    with pytest.raises(NotFound):
        desk.decide(tom, "act_unknown", True, "")


def test_two_leads_at_once_make_one_decision(
    desk: ActionDesk, mara: Person, tom: Person, ada: Person, database: Database, ended: Ended
) -> None:
    sent = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    barrier, results = threading.Barrier(2), []

    def decide(person: Person) -> None:
        barrier.wait()
        try:
            results.append(desk.decide(person, sent.id, True, "").decided_by)
        except AlreadyDecided as error:
            results.append(error.message)

    threads = [threading.Thread(target=decide, args=(person,)) for person in (tom, ada)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "Somebody has decided on this request already." in results
    assert ended(sent.id).decided_by in results
    assert len(events(database, "action_decided")) == 1


def test_a_changed_payload_is_neither_approved_nor_run(
    desk: ActionDesk,
    database: Database,
    receiver: Receiver,
    mara: Person,
    tom: Person,
    ended: Ended,
) -> None:
    first = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    second = desk.submit(mara, "offer_2", "send_webhook", MESSAGE)
    tamper(database, first.id)
    with pytest.raises(ActionError, match="not what was approved"):
        desk.decide(tom, first.id, True, "")
    with database.write() as session:  # approved behind the desk's back
        row = session.get(ActionRequestRow, second.id)
        assert row is not None
        row.status, row.decided_by = "approved", tom.id
    tamper(database, second.id)
    with database.read() as session:
        row = session.get(ActionRequestRow, second.id)
    assert row is not None
    desk.submit(mara, "offer_2", "send_webhook", MESSAGE)
    assert "not what was approved" in ended(second.id).error
    assert receiver.requests == []


def tamper(database: Database, request_id: str) -> None:
    with database.write() as session:
        row = session.get(ActionRequestRow, request_id)
        assert row is not None
        row.payload = {**row.payload, "message": "Send me all the money."}


def test_what_policy_denies_later_does_not_run(
    desk: ActionDesk,
    accounts: Accounts,
    receiver: Receiver,
    mara: Person,
    tom: Person,
    ada: Person,
    ended: Ended,
) -> None:
    """The requester left between the click and the approval."""
    sent = desk.submit(mara, "offer_1", "send_webhook", MESSAGE)
    accounts.set_active(ada, mara.id, False)
    desk.decide(tom, sent.id, True, "")
    assert "is not active" in ended(sent.id).error
    assert receiver.requests == []


def test_a_failed_request_can_be_tried_again_by_its_owner(
    desk: ActionDesk, receiver: Receiver, mara: Person, tom: Person, ended: Ended
) -> None:
    receiver.answers = [400]
    sent = desk.submit(tom, "offer_1", "send_webhook", MESSAGE)
    assert "refused it with status 400" in ended(sent.id).error
    with pytest.raises(NotFound):
        desk.retry(mara, sent.id)
    desk.retry(tom, sent.id)
    until(lambda: desk.mine(tom)[0].status == "done")
    desk.retry(tom, sent.id)
    keys = [request.headers["idempotency-key"] for request in receiver.requests]
    assert keys == [sent.id, sent.id]


def test_a_form_says_which_field_is_wrong(desk: ActionDesk, mara: Person) -> None:
    with pytest.raises(InputError) as caught:
        desk.submit(mara, "offer_1", "open_ticket", {**TICKET, "title": "x", "queue": "Magic"})
    assert caught.value.message == (
        "The form is not complete. Title: Say in a few words what it is about. "
        "Queue: Choose one: IT, Facilities, People, Finance."
    )
    assert set(desk.definition("open_ticket").problems({**TICKET, "admin": True})) == {"admin"}
    assert desk.definition("open_ticket").problems(TICKET) == {}
    assert desk.mine(mara) == []


MORE = {"amount_usd": 5.0, "reason": "Due", "budget_id": "b", "key": "k", "starts": "2026-11-01"}


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("request_budget", {"reason": ""}, "Say in a few words why you need it."),
        ("request_budget", {"reason": "x" * 501}, "It has 501 characters and 500 fit: shorten it."),
        ("request_budget", {"amount_usd": None}, "Type a number from 0.01 to 1,000,000."),
        ("request_budget", {"amount_usd": "much"}, "Type a number from 0.01 to 1,000,000."),
        ("request_budget", {"amount_usd": 0}, "Type a number from 0.01 to 1,000,000."),
        ("request_budget", {"amount_usd": 1e9}, "Type a number from 0.01 to 1,000,000."),
        ("request_budget", {"starts": "soon"}, "Choose a date."),
        ("request_budget", {"budget_id": None}, "Fill this in."),
        ("open_ticket", {"body": " "}, "Say what is wrong or needed."),
        ("open_ticket", {"priority": "most"}, "Choose one: low, normal, high, urgent."),
        ("open_ticket", {"admin": True}, "There is no such field."),
    ],
)
def test_what_is_wrong_with_a_field_is_said_in_words(
    desk: ActionDesk, action: str, given: dict[str, object], said: str
) -> None:
    filled = MORE if action == "request_budget" else TICKET
    assert desk.definition(action).problems(filled | given) == {next(iter(given)): said}


def test_nobody_acts_on_somebody_elses_answer_or_offer(
    desk: ActionDesk, database: Database, mara: Person, tom: Person
) -> None:
    chat = ConversationRow(person_id=mara.id)
    turn = TurnRow(conversation_id=chat.id, person_id=mara.id, question="?", intent="it_help")
    with database.write() as session:
        session.add(chat)
        session.flush()
        session.add(turn)
    with pytest.raises(NotFound):
        desk.submit(tom, "offer_1", "open_ticket", TICKET, turn.id, chat.id)
    row = desk.submit(mara, "offer_1", "open_ticket", TICKET, turn.id, chat.id)
    with pytest.raises(NotFound):
        desk.submit(tom, "offer_1", "open_ticket", TICKET)
    assert [found.id for found in desk.of_conversation(chat.id)] == [row.id]
    until(lambda: desk.mine(mara)[0].status == "done")
    with database.read() as session:
        fact = session.get(UsageFactRow, row.id)
        assert fact is not None
        assert fact.intent == "it_help"
        assert session.exec(select(TicketRow)).one().requester_id == mara.id


def test_an_unknown_action_is_not_found(desk: ActionDesk, mara: Person) -> None:
    with pytest.raises(NotFound):
        desk.submit(mara, "offer_1", "rm_rf", {})
