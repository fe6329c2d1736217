"""Under the question box: what is left of the own budget, and from its notice on how much is used and when it renews."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from streamlit.testing.v1 import AppTest

from app.budgets import EACH, Budget, Estimate, Spender, money
from app.db.tables import BudgetSumRow
from app.domain import now
from app.ui.screens import chat
from tests.ui.conftest import Desk, OpenPage
from tests.ui.test_chat_page import ask


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    for budget in desk.services.budgets.book.budgets():
        desk.services.budgets.book.remove(desk.people["Noor"], budget.id)


def allot(desk: Desk, scope: str, key: str, usd: float, period: str = "month") -> Budget:
    return desk.services.budgets.book.allot(desk.people["Noor"], scope, key, period, usd)


def spend(desk: Desk, who: str, usd: float) -> None:
    amount = money.micro(usd)
    reservations = desk.services.budgets.reservations
    spender = Spender.of(desk.people[who], "travel_expenses")
    held = reservations.reserve(spender, "turn_test", "model", Estimate(amount, 0, 0.0))
    assert held
    reservations.settle_all({held: amount})


def foot(test: AppTest) -> str:
    """What is drawn as HTML beside the question box."""
    bottom = test._tree.children[3]
    return "\n".join(element.proto.body for element in bottom.get("html"))


def said(test: AppTest) -> list[str]:
    return [toast.value.replace("\\", "") for toast in test.toast]


@contextmanager
def statements(desk: Desk) -> Iterator[list[str]]:
    """The SQL about budgets that runs meanwhile, on any thread."""
    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "budget" in statement:
            heard.append(statement)

    engine = desk.services.database.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


def test_what_is_left_stands_under_the_question_and_is_current_after_an_answer(
    desk: Desk, open_page: OpenPage
) -> None:
    allot(desk, "person", EACH, 0.05)
    test = open_page("Ada", "chat")
    assert ">$0.05 of $0.05 left this month<" in foot(test)
    assert "sb-bang" not in foot(test)
    test = ask(test)
    with desk.services.database.read() as session:
        (total,) = session.execute(select(BudgetSumRow)).scalars()
    assert total.spent_micro > 0  # the answer was paid from it
    assert total.reserved_micro == 0
    left = money.words(50_000 - total.spent_micro)
    assert f">{left} of $0.05 left this month<" in foot(test)


def test_a_notice_names_share_and_renewal_with_a_sign_and_pops_up_once(
    desk: Desk, open_page: OpenPage
) -> None:
    budget = allot(desk, "person", desk.people["Ada"].id, 5.0)
    spend(desk, "Ada", 4.15)
    renews = (now().replace(day=28) + timedelta(days=4)).replace(day=1)
    words = (
        f"You have used 83 % of your budget for this month; it renews on {renews.day} {renews:%B}."
    )
    test = open_page("Ada", "chat")
    assert f'<span class="sb-bang" aria-hidden="true">!</span><span>{words}</span>' in foot(test)
    assert said(test) == [words]
    test.run()
    assert words in foot(test)
    assert said(test) == []
    again = open_page("Ada", "chat")  # another session of hers
    assert words in foot(again)
    assert said(again) == []
    for kind in ("budget_notice", "budget_notice_shown"):
        assert [event["subject"] for event in desk.events(kind)].count(budget.id) == 1
    assert foot(open_page("Ben", "chat")) == ""


def test_of_the_teams_budget_only_that_it_runs_out(desk: Desk, open_page: OpenPage) -> None:
    allot(desk, "team", "Sales", 5.0)
    assert foot(open_page("Ada", "chat")) == ""
    spend(desk, "Tom", 4.5)
    test = open_page("Ada", "chat")
    assert "The budget of the team Sales for this month is nearly used up" in foot(test)
    assert "$" not in foot(test)
    assert "%" not in foot(test)
    assert len(said(test)) == 1
    assert foot(open_page("Ben", "chat")) == ""


def test_with_no_budget_nothing_is_shown_and_no_sql_is_run(
    desk: Desk, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = open_page("Ada", "chat")
    monkeypatch.setattr("app.budgets.book.REREAD_S", 3600.0)
    with statements(desk) as heard:
        test = ask(test)
    assert foot(test) == ""
    assert heard == []


def test_it_is_read_once_in_a_run_however_long_the_answer(
    desk: Desk, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    allot(desk, "person", EACH, 5.0)
    test = open_page("Ada", "chat")
    desk.pieces[:] = ["word "] * 300
    looked: list[str] = []
    of_person = desk.services.budgets.book.of_person

    def look(person: Any) -> Any:
        looked.append(person.id)
        return of_person(person)

    monkeypatch.setattr(desk.services.budgets.book, "of_person", look)
    drawn: list[str] = []
    answered = chat._answered

    def follow(*args: Any) -> Any:
        drawn.append(f"{len(looked)} reads before the answer")
        return answered(*args)

    monkeypatch.setattr(chat, "_answered", follow)
    test = ask(test)
    assert "left this month" in foot(test)
    # AppTest runs the whole script for the rerun of a fragment: one read in each run, none before an answer.
    assert len(looked) == len(drawn) <= 2
    assert drawn[0] == "0 reads before the answer"
