"""Answers that people rated well, on the Routes page: one click makes a golden question, as long as its person shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete
from sqlmodel import col
from streamlit.testing.v1 import AppTest

from app.db.tables import ConversationRow, GoldenQuestionRow
from app.domain import Role
from tests.ui.conftest import Desk, OpenPage, html
from tests.ui.test_routes_page import TRAVEL

LYON = "How do I book a trip to Lyon at the travel desk?"
WELL = "Show the answers that people rated well"


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    desk.services.intents.corrections.share(desk.people["Ada"], False)
    with desk.services.database.write() as session:
        session.execute(delete(GoldenQuestionRow))
        mine = col(ConversationRow.person_id) == desk.people["Ada"].id
        session.execute(delete(ConversationRow).where(mine))


def asked(desk: Desk, question: str, verdict: int | None) -> str:
    """The turn of Ada's."""
    live = desk.services.turns.start(desk.people["Ada"], None, question)
    assert live.wait_done(90)
    desk.services.chats.feedback(desk.people["Ada"], live.turn_id, verdict)
    return live.turn_id


def opened(open_page: OpenPage) -> AppTest:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    return next(t for t in test.toggle if t.label == WELL).set_value(True).run()


def offered(test: AppTest) -> list[str]:
    return [str(b.key) for b in test.button if b.label == "Add to the golden set"]


def words(test: AppTest) -> str:
    return html(test) + "".join(element.value for element in test.markdown)


def test_a_shared_good_answer_is_added_with_one_click_and_its_form_opens(
    desk: Desk, open_page: OpenPage
) -> None:
    liked, disliked = asked(desk, LYON, 1), asked(desk, "May I fly business class?", 0)
    test = opened(open_page)
    assert offered(test) == []
    assert "Lyon" not in words(test)
    desk.services.intents.corrections.share(desk.people["Ada"], True)
    test = opened(open_page)
    assert offered(test) == [f"add_{liked}"]
    assert "cites Travel policy" in words(test)
    assert disliked not in str(offered(test))
    test = test.button(key=f"add_{liked}").click().run()
    (row,) = desk.services.rehearsals.golden.of(TRAVEL)
    assert (row.question, row.origin) == (LYON, "traffic")
    assert next(s for s in test.selectbox if s.label == "Question").value == row.id
    assert next(a for a in test.text_area if a.label == "What is asked").value == LYON
    assert offered(test) == []


def test_who_stops_sharing_while_the_page_is_open_is_not_added(
    desk: Desk, open_page: OpenPage
) -> None:
    turn = asked(desk, LYON, 1)
    desk.services.intents.corrections.share(desk.people["Ada"], True)
    test = opened(open_page)
    desk.services.intents.corrections.share(desk.people["Ada"], False)
    test = test.button(key=f"add_{turn}").click().run()
    assert desk.services.rehearsals.golden.of(TRAVEL) == []
    assert offered(test) == []
    assert "Lyon" not in words(test)


def test_somebody_who_is_no_admin_any_more_adds_nothing(desk: Desk, open_page: OpenPage) -> None:
    turn = asked(desk, LYON, 1)
    desk.services.intents.corrections.share(desk.people["Ada"], True)
    test = opened(open_page)
    accounts, noor = desk.services.identity.accounts, desk.people["Noor"]
    _role(desk, Role.EMPLOYEE)
    try:
        test.button(key=f"add_{turn}").click().run()
    finally:
        _role(desk, Role.ADMIN)
    assert desk.services.rehearsals.golden.of(TRAVEL) == []
    assert accounts.person(noor.id) is not None


def _role(desk: Desk, role: Role) -> None:
    with desk.services.database.write() as session:
        desk.services.identity.accounts.upsert(
            session,
            issuer="test",
            subject="Noor",
            email="noor@example.test",
            name="Noor Example",
            role=role,
            team="Operations",
            groups=(),
        )
