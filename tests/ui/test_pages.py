"""Every other page: what it shows, to whom, and that its buttons do what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.access.catalogue import PAGES
from app.db.tables import UsageFactRow
from app.domain import DataClass, Role
from app.ui import navigation
from tests.ui.conftest import Desk, OpenPage, html, press

MAIN = Path(navigation.__file__).with_name("main.py")
ADMIN_PAGES = [page.name for page in PAGES if page.name.startswith("admin_")]


def test_without_a_session_there_is_only_the_way_in(desk: Desk) -> None:  # noqa: ARG001
    test = AppTest.from_file(MAIN, default_timeout=90)
    test.query_params["c"] = "chat_1"
    page = html(test.run())
    assert "/auth/login?next=%2F%3Fc%3Dchat_1" in page
    assert not test.chat_input
    assert not test.button
    assert not test.sidebar.button


@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_every_page_opens_for_an_admin_without_an_error(open_page: OpenPage, name: str) -> None:
    test = open_page("Noor", name)
    assert not test.exception
    assert "This page broke" not in html(test)


@pytest.mark.parametrize("name", [*ADMIN_PAGES, "waiting", "usage"])
def test_a_page_for_others_is_denied_with_its_reason_and_recorded(
    desk: Desk, open_page: OpenPage, name: str
) -> None:
    before = len(desk.events("access_denied"))
    test = open_page("Ada", name)
    assert "Not for you" in html(test)
    assert "No rule allows an employee" in html(test)
    assert not test.button
    assert len(desk.events("access_denied")) == before + 1


def test_a_document_shows_why_one_may_read_it(desk: Desk, open_page: OpenPage) -> None:
    page = html(open_page("Ada", "document", id=desk.document("Escalation list")))
    assert "Zirkon Ltd" in page
    assert "sales (group)" in page


def test_a_denied_document_looks_like_one_that_does_not_exist(
    desk: Desk, open_page: OpenPage
) -> None:
    denied = html(open_page("Ben", "document", id=desk.document("Escalation list")))
    missing = html(open_page("Ben", "document", id="doc_nowhere"))
    assert "Nothing to show" in denied
    assert denied == missing
    assert desk.events("access_denied")[-1]["action"] == "read_document"


def test_a_key_is_shown_once_and_can_be_revoked(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Ben", "keys")
    assert "No keys yet" in html(test)
    test.text_input[0].set_value("Nightly report")
    press(test, "Create key")
    secret = test.code[-1].value
    person, _ = desk.services.identity.keys.resolve(secret)
    assert person.id == desk.people["Ben"].id
    again = open_page("Ben", "keys")
    assert secret not in [code.value for code in again.code]
    assert "Nightly report" in html(again)
    press(again, "Revoke")
    assert "revoked" in html(again)


def sent(desk: Desk, who: str = "Ada") -> str:
    """A request that waits for its lead."""
    arguments = {"subject": "Escalate Zirkon", "message": "Please call them.", "requested_for": ""}
    offer = f"offer_{len(desk.services.actions.mine(desk.people[who]))}_{who}"
    row = desk.services.actions.submit(desk.people[who], offer, "send_webhook", arguments)
    assert row.status == "waiting"
    return row.id


def test_a_lead_sees_what_waits_in_full_and_a_rejection_needs_a_reason(
    desk: Desk, open_page: OpenPage
) -> None:
    request = sent(desk)
    test = open_page("Tom", "waiting")
    page = html(test)
    assert "Ada Example wants to send a message" in page
    assert "Please call them." in page
    assert '"subject": "Escalate Zirkon"' in test.code[0].value
    test.button(key=f"Reject_{request}").click().run()
    assert "A rejection needs a reason" in html(test)
    test.run()
    assert "A rejection needs a reason" in html(test), "it has gone before it could be acted upon"
    test.text_input(key=f"reason_{request}").set_value("They called already")
    test.button(key=f"Reject_{request}").click().run()
    assert "A rejection needs a reason" not in html(test)
    assert "What you decided before" in html(open_page("Tom", "waiting"))
    mine = html(open_page("Ada", "requests"))
    assert "rejected" in mine
    assert "They called already" in mine
    assert "Tom Example" in mine


def test_a_request_that_somebody_else_decided_says_so(desk: Desk, open_page: OpenPage) -> None:
    request = sent(desk)
    test = open_page("Tom", "waiting")
    assert 'role="alert"' not in html(test)
    desk.services.actions.decide(desk.people["Tom"], request, False, "Called them")
    test.button(key=f"Approve_{request}").click().run()
    assert f"Approve_{request}" not in [button.key for button in test.button]
    for _ in range(2):
        assert 'role="alert"' in html(test)
        test.run()


def test_nobody_finds_their_own_request_waiting(desk: Desk, open_page: OpenPage) -> None:
    waiting = {row.id for row in desk.services.actions.waiting_for(desk.people["Ada"])}
    assert sent(desk) not in waiting
    assert "Not for you" in html(open_page("Ada", "waiting"))


def test_requests_teach_when_there_are_none(open_page: OpenPage) -> None:
    assert "Nothing sent yet" in html(open_page("Ben", "requests"))


@pytest.fixture
def facts(desk: Desk) -> None:
    today = datetime.now(UTC).date()
    with desk.services.database.write() as session:
        for number, name in enumerate(("Ada", "Tom", "Ben", "Noor")):
            person = desk.people[name]
            session.merge(
                UsageFactRow(
                    id=f"fact_{number}",
                    kind="question",
                    day=today,
                    person_id=person.id,
                    team=person.team,
                    intent="it_help",
                    model="scripted",
                    status="finished",
                    cost_usd=0.01,
                    with_sources=True,
                )
            )


@pytest.mark.usefixtures("facts")
def test_a_lead_sees_their_team_only_and_nobody_by_name_in_a_small_one(open_page: OpenPage) -> None:
    test = open_page("Tom", "usage")
    assert not [box for box in test.selectbox if box.label == "Team"]
    assert "fewer than five" in html(test)
    assert "Ada Example" not in html(test)


@pytest.mark.usefixtures("facts")
def test_an_admin_chooses_the_company_or_a_team(open_page: OpenPage) -> None:
    test = open_page("Noor", "usage")
    team = next(box for box in test.selectbox if box.label == "Team")
    assert {"Sales", "Support", "Operations"} <= set(team.options)
    for question in ("When do people ask?", "What do people ask about?", "Which teams ask most?"):
        assert question in html(test)
    assert html(test).count('class="sb-figure"') == 5
    assert "data as of" in html(test)
    assert not test.exception


@pytest.mark.usefixtures("facts")
def test_everybody_sees_their_own_numbers(open_page: OpenPage) -> None:
    page = html(open_page("Ben", "my_usage"))
    assert "When did I ask?" in page
    assert "IT help" in page


def test_a_change_of_a_model_is_kept_and_recorded(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_models")
    before = len(desk.events("model_changed"))
    form = next(e for e in test.expander if e.label == "Change Scripted model")
    form.selectbox[0].set_value(DataClass.PUBLIC)
    next(b for b in form.button if b.label == "Save").click().run()
    assert desk.services.catalogue.card("scripted").clearance is DataClass.PUBLIC
    assert desk.events("model_changed")[before]["change"] == {"clearance": 0}
    desk.services.catalogue.change(desk.people["Noor"], "scripted", clearance=DataClass.RESTRICTED)


def test_a_test_call_says_how_it_went(open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_models")
    form = next(e for e in test.expander if e.label == "Change Scripted model")
    next(b for b in form.button if b.label == "Test").click().run()
    assert "Answers: passed." in html(test)


def test_an_admin_pins_a_role_and_ends_a_session(desk: Desk, open_page: OpenPage) -> None:
    ben = desk.people["Ben"]
    token = desk.services.identity.sessions.create(ben.id)
    session = desk.services.identity.sessions.resolve(token)
    assert session is not None
    test = open_page("Noor", "admin_people", id=ben.id)
    test.button(key=f"end_{session.session_id}").click().run()
    assert desk.services.identity.sessions.resolve(token) is None
    test.selectbox(key=f"role_{ben.id}").set_value(Role.TEAM_LEAD).run()
    test.button(key=f"save_role_{ben.id}").click().run()
    row = desk.services.identity.accounts.get(ben.id)
    assert row is not None
    assert (row.role, row.role_pinned) == ("team_lead", True)
    desk.services.identity.accounts.set_role(desk.people["Noor"], ben.id, Role.EMPLOYEE)


def test_the_connector_page_tells_health_failures_and_who_sees_what(
    desk: Desk, open_page: OpenPage
) -> None:
    assert "Notes" in html(open_page("Noor", "admin_connectors"))
    test = open_page("Noor", "admin_connectors", id=desk.connector)
    assert "Permissions confirmed" in html(test)
    assert "What changed" in html(test)
    test.selectbox(key="preview").set_value(desk.people["Ben"].id).run()
    page = html(test)
    assert "Travel policy" in page
    assert "Only for group:idp/sales." in page
    assert desk.events("previewed_as")[-1]["person"] == desk.people["Ben"].id


def test_a_source_is_tested_in_words(open_page: OpenPage, desk: Desk) -> None:
    test = open_page("Noor", "admin_connectors", id=desk.connector)
    press(test, "Test")
    assert "passed." in html(test)


def test_the_log_is_shown_filtered_and_verified(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_audit")
    assert "signed in" in html(test)
    test.selectbox[0].set_value("connector_changed").run()
    assert "connector changed" in html(test)
    assert "question asked" not in html(test)
    press(test, "Verify the chain")
    assert "The chain holds." in html(test)
    assert desk.services.ledger.verify().broken is None
