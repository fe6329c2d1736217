"""On the Routes page: easy questions to the cheaper model, turned on in a draft, with what is learned and what it would change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

import pytest
from sqlalchemy import delete
from sqlmodel import col
from streamlit.testing.v1 import AppTest

from app.db.tables import ConversationRow, DifficultyRow, TurnRow
from app.domain import now
from app.routing import RoutingTable
from app.routing.difficulty.expectation import State
from app.routing.swaps import Spread
from app.routing.table import Tradeoff
from app.ui.widgets.difficulty_html import difficulty_html
from tests.ui.conftest import Desk, OpenPage, html, press
from tests.ui.test_routes_page import TRAVEL, clean

__all__ = ["clean"]

ENTRY = RoutingTable.load().entry(TRAVEL)
ON = ENTRY.model_copy(update={"difficulty": Tradeoff(worth_usd=0.05)})
EASY = "Easy questions to the cheaper model"


@pytest.fixture(autouse=True)
def forget(desk: Desk) -> Iterator[None]:
    yield
    with desk.services.database.write() as session:
        session.execute(delete(DifficultyRow))
        mine = col(ConversationRow.person_id) == desk.people["Ada"].id
        session.execute(delete(ConversationRow).where(mine))
    desk.services.difficulty._read_at = None


def judged(desk: Desk, per_model: int) -> None:
    """The scripted model is good with all questions, the reader too: so the cheaper one is enough."""
    ada = desk.people["Ada"]
    with desk.services.database.write() as session:
        chat = ConversationRow(person_id=ada.id)
        session.add(chat)
        session.flush()
        for number in range(per_model):
            for model in ("scripted", "reader"):
                session.add(
                    TurnRow(
                        conversation_id=chat.id, person_id=ada.id, position=2 * number,
                        question=f"How do I book trip number {number} to Lyon?", model=model,
                        intent=TRAVEL, status="finished", feedback=1,
                        receipt={
                            "usage": {"prompt_tokens": 500, "completion_tokens": 100},
                            "passages": [{}],
                        },
                    )
                )  # fmt: skip


def weighed(open_page: OpenPage) -> AppTest:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    test.multiselect[0].set_value(["compatible", "reader"])
    next(t for t in test.toggle if t.label == EASY).set_value(True)
    next(n for n in test.number_input if "worth" in n.label).set_value(0.2)
    return press(test, "Save the draft")


def test_it_is_turned_on_in_a_draft_and_says_how_much_is_missing(
    desk: Desk, open_page: OpenPage
) -> None:
    judged(desk, 12)
    assert "Off: models are asked in the order above." in html(
        open_page("Noor", "admin_routes", id=TRAVEL)
    )
    page = html(weighed(open_page))
    for words in (
        "On, without effect so far",
        "Not enough outcomes yet",
        "Scripted model: 12 of 50 judged answers, 38 missing.",
        "Reader: 12 of 50 judged answers, 38 missing.",
    ):
        assert words in page
    draft = desk.services.versions.open_version(TRAVEL)
    assert draft is not None
    assert draft.worth_usd == 0.2
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    toggle = next(t for t in test.toggle if t.label == EASY)
    assert toggle.value is True
    toggle.set_value(False)
    press(test, "Save the draft")
    draft = desk.services.versions.open_version(TRAVEL)
    assert draft is not None
    assert draft.worth_usd is None


def test_its_effect_is_seen_in_the_dry_run_and_it_is_published_and_rolled_back(
    desk: Desk, open_page: OpenPage
) -> None:
    judged(desk, 55)
    test = press(weighed(open_page), "Dry run")
    page = html(test)
    for words in (
        "<b>110 of 110 questions</b> of the last week would go to another model",
        "first asked: Reader 110 (100%)",
        "from 110 judged answers: Reader 55, Scripted model 55.",
        "Of 100 questions of the last week: Reader 100%.",
    ):
        assert words in page
    test = press(test, "Publish")
    assert "On: easy questions go to the cheaper model." in html(test)
    entry = desk.services.versions.entry(TRAVEL)
    assert entry.difficulty == Tradeoff(worth_usd=0.2)
    live = desk.services.turns.start(desk.people["Ada"], None, "How do I book a trip to Lyon?")
    assert live.wait_done(90)
    answered = desk.services.chats.turn(desk.people["Ada"], live.turn_id)
    assert answered.receipt is not None
    assert answered.receipt.model == "reader"
    test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Roll back")
    assert "Off: models are asked in the order above." in html(test)
    assert "easy questions to the cheaper model, a good answer worth" in html(test)


def test_what_was_learned_is_told_or_why_nothing_is() -> None:
    labels = {"a": "Model <A>"}
    assert difficulty_html(ENTRY, State(), ["a", "b"], labels, UTC).startswith("Off:")
    alone = difficulty_html(ON, State(), ["a"], labels, UTC)
    assert "nothing to choose between" in alone
    few = difficulty_html(ON, State(0, None, {"a": 12}, "Too few."), ["a", "b"], labels, UTC)
    assert "Too few." in few
    assert "Model &lt;A&gt;: 12 of 50 judged answers, 38 missing." in few
    assert "b: 0 of 50 judged answers, 50 missing." in few
    state = State(3, now(), {"a": 60, "b": 70})
    sent = Spread(4, (("a", 3), ("refused", 1)))
    on = difficulty_html(ON, state, ["a", "b", "c"], labels, UTC, sent)
    assert "Version 3, learned" in on
    assert "from 130 judged answers: Model &lt;A&gt; 60, b 70." in on
    assert "c: 0 of 50 judged answers, 50 missing." in on
    assert "Of 4 questions of the last week: Model &lt;A&gt; 75%, refused 25%." in on
    assert "No question of this kind" in difficulty_html(
        ON, state, ["a", "b"], labels, UTC, Spread(0, ())
    )
