"""From an answer to an effect: the form, the approval by another person, the outcome back in the conversation."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.desk import Desk, Receiver, until
from tests.browser.visitor import ADA, LUC, PRESS_MS, TOM, Visitor

REQUESTS = "SELECT count(*) FROM action_request WHERE conversation_id = ?"


def offered(visitor: Visitor, question: str, button: str) -> Locator:
    """Asks, presses the button under the answer and returns the form."""
    visitor.ask(question)
    visitor.answered()
    visitor.page.locator(".st-key-offers").get_by_role("button", name=button).click()
    return visitor.dialog()


def test_a_message_waits_for_the_team_lead_and_is_sent_once(
    desk: Desk, receiver: Receiver, visit: Visit
) -> None:
    question = "What discount may I give a utility customer?"
    ada = visit(desk, ADA)
    form = offered(ada, question, "Send a message")
    expect(form.get_by_label("Subject")).to_have_value(question)
    expect(form.locator(".sb-origin")).to_have_text(["from your question", "from the answer"])
    expect(form).to_contain_text("Goes to Tom Okafor for approval")
    message = form.get_by_label("Message")
    message.fill("Calderbeck asks for 10 percent.")
    message.press("Control+Enter")
    form.get_by_text("Exactly what is sent").click()
    expect(form.locator("code")).to_contain_text("Calderbeck asks for 10 percent.")
    payload = json.loads(form.locator("code").inner_text())
    assert payload["requested_by"]["email"] == ADA

    form.get_by_role("button", name="Send a message").dblclick()
    line = ada.page.locator(".sb-note", has_text="Send a message")
    expect(line).to_contain_text("waiting")
    expect(line).to_contain_text("Tom Okafor")
    ada.page.reload()
    expect(line).to_contain_text("waiting")
    expect(ada.page.get_by_role("button", name="Send a message")).to_have_count(0)
    assert desk.one(REQUESTS, ada.conversation()) == 1
    assert receiver.about(question) == []

    tom = visit(desk, TOM, "/waiting")
    expect(tom.page.get_by_test_id("stSidebar")).to_contain_text(
        re.compile(r"Waiting for you · \d")
    )
    request = desk.one(
        "SELECT id FROM action_request WHERE conversation_id = ?", ada.conversation()
    )
    card = tom.page.locator(f".st-key-card_{request}")
    expect(card).to_contain_text("Ada Lindqvist wants to send a message")
    expect(card).to_contain_text("medium risk")
    expect(card).to_contain_text("Calderbeck asks for 10 percent.")
    card.get_by_text("Exactly what will be sent").click()
    assert json.loads(card.locator("code").inner_text()) == payload
    card.get_by_role("button", name="Approve").click()
    expect(card).to_have_count(0)

    expect(line).to_contain_text(
        "Send a message: done."
    )  # by itself, in the page that Ada left open
    expect(line).to_contain_text("Approved by Tom Okafor")
    until(lambda: receiver.about(question), "the message never arrived")
    assert receiver.about(question) == [payload]
    tom.page.reload()
    expect(tom.page.get_by_text("What you decided before")).to_be_visible()


def test_a_rejection_needs_a_reason_and_sends_nothing(
    desk: Desk, receiver: Receiver, visit: Visit
) -> None:
    question = "Who signs off a price below the list?"
    luc = visit(desk, LUC)
    form = offered(luc, question, "Send a message")
    form.get_by_role("button", name="Send a message").click()
    line = luc.page.locator(".sb-note", has_text="Send a message")
    expect(line).to_contain_text("waiting")

    tom = visit(desk, TOM, "/waiting")
    request = desk.one(
        "SELECT id FROM action_request WHERE conversation_id = ?", luc.conversation()
    )
    card = tom.page.locator(f".st-key-card_{request}")
    card.get_by_role("button", name="Reject").click()
    expect(tom.page.get_by_role("alert")).to_be_visible()
    expect(card).to_be_visible()
    card.get_by_label("Comment").fill("Ask me in person first")
    card.get_by_role("button", name="Reject").click()
    expect(card).to_have_count(0)

    expect(line).to_contain_text("Send a message: rejected.")
    expect(line).to_contain_text("Ask me in person first")
    assert receiver.about(question) == []


def test_a_ticket_is_opened_at_once_and_listed(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    form = offered(ada, "My laptop does not start", "Open a ticket")
    conversation = ada.conversation()
    expect(form).to_contain_text("Runs at once")
    title = form.get_by_label("Title")
    title.fill("X")
    send = form.get_by_role("button", name="Open a ticket")
    send.click(delay=PRESS_MS)
    expect(form.get_by_role("alert")).to_contain_text("Say in a few words what it is about.")
    title.fill("Laptop")
    title.press("Enter")
    expect(form.locator("code")).to_contain_text("Laptop")
    title.fill("X")
    title.press("Enter")
    expect(form.get_by_role("alert")).to_be_visible()
    title.fill("Laptop stays dark")
    send.click(delay=PRESS_MS)  # what is wrong no longer stands above the button when it ends
    line = ada.page.locator(".sb-note", has_text="Open a ticket")
    expect(line).to_contain_text("Open a ticket: done.")
    number = desk.one("SELECT number FROM ticket WHERE title = 'Laptop stays dark'")
    expect(line).to_contain_text(f"{number}")

    ada.open("/requests")
    table = ada.page.locator(".sb-table")
    expect(table).to_contain_text(f"#{number}")
    expect(table).to_contain_text("Laptop stays dark")
    link = ada.page.get_by_role("link", name="open the chat").first
    assert link.get_attribute("href") == f"/?c={conversation}"
    assert desk.one(REQUESTS, conversation) == 1
