"""The page on which admins set budgets, and what it tells the people they are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update
from sqlmodel import col
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import NumberInput

from app.budgets import EACH, Estimate, Spender
from app.db.tables import ModelRow
from app.routing.added import NewModel
from tests.ui.conftest import Desk, OpenPage, form_of, html, press


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    for budget in desk.services.budgets.book.budgets():
        desk.services.budgets.book.remove(desk.people["Noor"], budget.id)


def test_a_budget_is_set_seen_and_removed(desk: Desk, open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_budgets")
    assert "No budget is set" in html(test)
    test.selectbox(key="budget_scope").set_value("team").run()
    test.selectbox(key="budget_team").set_value("Sales")
    field(test.run(), "Limit").set_value(12.5)
    page = html(press(test, "Set the budget"))
    assert "The team Sales" in page
    assert "$12.50" in page
    (budget,) = desk.services.budgets.book.budgets()
    assert (budget.scope, budget.scope_id, budget.period) == ("team", "Sales", "month")
    assert (budget.limit_micro, budget.notice_share) == (12_500_000, 0.8)
    test = removing(open_page("Noor", "admin_budgets"), budget.id)
    assert "**The team Sales, \\$12\\.50 a month.** Nothing limits it" in test.markdown[0].value
    assert "No budget is set" in html(press(test, "Remove the budget"))
    assert [event["change"] for event in desk.events("budget_changed")][-2:] == ["set", "removed"]


def removing(test: AppTest, budget_id: str) -> AppTest:
    """With a budget chosen to be removed; nothing is until it is confirmed."""
    assert not [button for button in test.button if button.label == "Remove the budget"]
    box = next(box for box in test.selectbox if box.label == "Remove a budget")
    return box.set_value(budget_id).run()


def test_of_several_budgets_the_chosen_one_goes_and_a_name_is_no_markdown(
    desk: Desk, open_page: OpenPage
) -> None:
    book, noor = desk.services.budgets.book, desk.people["Noor"]
    kept = book.allot(noor, "team", "Sales", "month", 5.0)
    gone = book.allot(noor, "team", "**Old** [team](https://x.test)", "month", 5.0)
    test = removing(open_page("Noor", "admin_budgets"), gone.id)
    said = test.markdown[0].value
    assert "\\*\\*Old\\*\\* \\[team\\]" in said
    assert "The team **Old**" not in said
    press(test, "Remove the budget")
    assert book.budgets() == (kept,)


def test_a_limit_for_each_of_whom_none_has_spent_says_so(desk: Desk, open_page: OpenPage) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "person", EACH, "day", 2.0)
    page = html(open_page("Noor", "admin_budgets"))
    assert "Each person<small>a day; nobody has spent yet</small>" in page


def field(test: AppTest, label: str) -> NumberInput:
    return next(n for n in test.number_input if n.label.startswith(label))


def test_the_form_begins_with_the_budget_that_is_set_and_changes_only_what_is_typed(
    desk: Desk, open_page: OpenPage
) -> None:
    book, noor = desk.services.budgets.book, desk.people["Noor"]
    book.allot(noor, "company", "", "month", 5000.0, 0.9)
    book.allot(noor, "team", "Sales", "month", 0.0125, 0.75)
    test = open_page("Noor", "admin_budgets")
    assert "notice at 90%" in html(test)
    assert (field(test, "Limit").value, field(test, "Notice").value) == (5000.0, 90.0)
    assert any("This changes it" in one.value for one in test.caption)
    field(test, "Notice").set_value(70.0)
    press(test, "Change the budget")
    company = book.named("company", "", "month")
    assert company is not None
    assert (company.limit_micro, company.notice_share) == (5_000_000_000, 0.7)
    test.selectbox(key="budget_scope").set_value("team").run()
    test.selectbox(key="budget_team").set_value("Sales").run()
    assert (field(test, "Limit").value, field(test, "Notice").value) == (0.0125, 75.0)
    test.selectbox(key="budget_period").set_value("day").run()
    assert (field(test, "Limit").value, field(test, "Notice").value) == (None, 80.0)
    assert "Set the budget" in [button.label for button in test.button]


@pytest.mark.parametrize(
    ("label", "typed", "said"),
    [
        ("Limit", -50.0, "A limit is between 0 and 1,000,000,000 dollars."),
        ("Limit", 1e30, "A limit is between 0 and 1,000,000,000 dollars."),
        ("Notice", 0.0, "between 1 % and 100 %"),
    ],
)
def test_what_cannot_be_a_limit_or_a_notice_is_refused_in_words(
    desk: Desk, open_page: OpenPage, label: str, typed: float, said: str
) -> None:
    book = desk.services.budgets.book
    before = book.allot(desk.people["Noor"], "company", "", "month", 5.0)
    test = open_page("Noor", "admin_budgets")
    field(test, label).set_value(typed)
    assert said in html(press(test, "Change the budget"))
    assert book.budgets() == (before,)


def test_a_limit_for_each_shows_who_has_spent_and_tells_them_what_is_left(
    desk: Desk, open_page: OpenPage
) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "person", EACH, "day", 2.0)
    spent(desk, 1_700_000)
    page = html(open_page("Noor", "admin_budgets"))
    assert "Ada" in page
    assert "85% spent" in page
    mine = html(open_page("Ada", "my_usage"))
    assert "You have $0.30 of $2.00 left for today." in mine
    assert "You have $2.00 of $2.00 left for today." in html(open_page("Ben", "my_usage"))


def test_of_a_teams_budget_people_hear_no_amount_and_only_when_it_runs_out(
    desk: Desk, open_page: OpenPage
) -> None:
    desk.services.budgets.book.allot(desk.people["Noor"], "team", "Sales", "month", 2.0)
    assert "budget" not in html(open_page("Ada", "my_usage")).lower()
    spent(desk, 1_900_000)
    mine = html(open_page("Ada", "my_usage"))
    assert "The budget of the team Sales is nearly used up for this month." in mine
    assert "$2.00" not in mine
    assert "Sales" not in html(open_page("Ben", "my_usage"))
    spent(desk, 100_000)
    assert "is used up" in html(open_page("Tom", "my_usage"))


def test_more_of_ones_own_budget_is_asked_for_on_my_usage_and_agreed_to_by_the_lead(
    desk: Desk, open_page: OpenPage
) -> None:
    """Somebody who has no budget of their own has no button."""
    ada = desk.people["Ada"]
    desk.services.budgets.book.allot(desk.people["Noor"], "person", ada.id, "month", 2.0)
    assert not asks_for_more(open_page("Ben", "my_usage"))
    spent(desk, 1_700_000)
    (label,) = asks_for_more(test := open_page("Ada", "my_usage"))
    assert label == "Request more of your budget for this month"
    assert "Request more of your budget" in [b.label for b in press(test, label).button]
    (standing,) = desk.services.budgets.book.of_person(ada)
    offer = desk.services.actions.more_budget(ada, standing)
    assert offer
    test = form_of(ada, offer)
    amount = next(n for n in test.number_input if n.label.startswith("How much more"))
    assert amount.value == 1.0
    assert not [t for t in test.text_input if t.label in ("Budget id", "Key", "Starts")]
    assert "Goes to Tom Example for approval." in [c.value for c in test.caption]
    assert not [c.value for c in test.caption if "day or month" in c.value]
    assert "half of your limit, for this month only" in html(test)
    test = press(test, "Request more of your budget")
    assert "Say in a few words why you need it." in html(test)
    next(t for t in test.text_area if t.label == "What for").set_value("The year's offers.").run()
    press(test, "Request more of your budget")
    page = open_page("Ada", "my_usage")
    assert not asks_for_more(page)
    assert "A request for more waits for a decision: see *My requests*." in [
        c.value for c in page.caption
    ]
    waiting = open_page("Tom", "waiting")
    for said in (
        "How much more, in US dollars",
        "That of Ada Example, a month",
        "$1.70 of $2.00;",
        "asks for more of their own budget",
    ):
        assert said in html(waiting)
    assert "Budget id" not in html(waiting)
    decided = html(press(waiting, "Approve"))
    assert "<td>More of their own budget</td><td>Ada Example</td>" in decided
    assert "of your budget" not in decided
    (row,) = desk.services.actions.decided_by(desk.people["Tom"])
    assert row.status in ("approved", "running", "done")
    assert row.payload["amount_usd"] == 1.0


def asks_for_more(test: AppTest) -> list[str]:
    return [button.label for button in test.button if button.label.startswith("Request more")]


def test_nobody_but_admins_sees_the_page(open_page: OpenPage) -> None:
    for name in ("Ada", "Tom"):
        assert "Not for you" in html(open_page(name, "admin_budgets"))


def spent(desk: Desk, amount_micro: int) -> None:
    """Ada has a call's price held and settled."""
    spender = Spender.of(desk.people["Ada"], "travel_expenses")
    reservations = desk.services.budgets.reservations
    held = reservations.reserve(spender, "turn_test", "model", Estimate(amount_micro, 0, 0.0))
    assert held
    reservations.settle_all({held: amount_micro})


def test_models_that_budgets_leave_out_for_want_of_a_price_are_named(
    desk: Desk, open_page: OpenPage
) -> None:
    noor, catalogue = desk.people["Noor"], desk.services.catalogue
    model_id = catalogue.add_model(noor, NewModel("openai", "newcomer", label="Newcomer"))
    try:
        assert "Newcomer" not in html(open_page("Noor", "admin_budgets"))
        desk.services.budgets.book.allot(noor, "company", "", "month", 10)
        page = html(open_page("Noor", "admin_budgets"))
        assert "Left out where a budget applies:</b> Newcomer." in page
        catalogue.change(noor, model_id, free=True)
        assert "Newcomer" not in html(open_page("Noor", "admin_budgets"))
    finally:
        catalogue.remove_model(noor, model_id)


def test_models_of_one_name_are_told_apart(desk: Desk, open_page: OpenPage) -> None:
    """A person's choice comes back from the browser as the words of its option. Today a second model of that name is refused;
    a database may have one from before."""
    noor, services = desk.people["Noor"], desk.services
    ids = [
        services.catalogue.add_model(noor, NewModel("openai", name, label=name, free=True))
        for name in ("costly-one", "costly-two")
    ]
    with services.database.write() as session:
        session.execute(update(ModelRow).where(col(ModelRow.id).in_(ids)).values(label="Costly"))
    services.catalogue.change(noor, ids[0], enabled=True)  # so that the cards are read anew
    try:
        test = open_page("Noor", "admin_budgets")
        test.selectbox(key="budget_scope").set_value("model").run()
        box = test.selectbox(key="budget_model")
        assert len(set(box.options)) == len(box.options)
        assert len([name for name in box.options if name.startswith("Costly (")]) == 2
        box.set_value(ids[1]).run()
        field(test, "Limit").set_value(3.0)
        page = html(press(test, "Set the budget"))
        assert services.budgets.book.named("model", ids[1], "month")
        assert f"The model Costly ({ids[1]})" in page
    finally:
        for model_id in ids:
            services.catalogue.remove_model(noor, model_id)


def test_an_empty_limit_is_told_where_none_is_set_and_is_the_stored_one_otherwise(
    desk: Desk, open_page: OpenPage
) -> None:
    book = desk.services.budgets.book
    test = open_page("Noor", "admin_budgets")
    assert "The limit is missing." in html(press(test, "Set the budget"))
    assert book.named("company", "", "month") is None
    book.allot(desk.people["Noor"], "company", "", "month", 5.0, 0.7)
    test = open_page("Noor", "admin_budgets")
    for label in ("Limit", "Notice"):
        field(test, label).set_value(None)
    press(test, "Change the budget")
    kept = book.named("company", "", "month")
    assert kept is not None
    assert (kept.limit_micro, kept.notice_share) == (5_000_000, 0.7)
