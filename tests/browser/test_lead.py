"""A team lead's main task besides approving: the usage of the own team, and no more."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.desk import Desk, until
from tests.browser.visitor import ADA, NOOR, TOM, choose

ADMIN_PAGES = ("connectors", "models", "people", "audit")


def test_usage_shows_the_own_team_only_with_a_csv(desk: Desk, visit: Visit, tmp_path: Path) -> None:
    ada = visit(desk, ADA)
    ada.ask("Good evening")
    ada.answered()
    counted = "SELECT count(*) FROM usage_fact WHERE team = 'Sales' AND rolled_up"
    until(lambda: desk.one(counted) > 0, "nothing was rolled up", 90)

    tom = visit(desk, TOM, "/usage")
    figures = tom.page.locator(".sb-figures")
    expect(figures).to_contain_text("Active people")
    expect(figures).to_contain_text("Questions")
    expect(tom.page.get_by_test_id("stMain")).to_contain_text("data as of")
    expect(tom.page.get_by_role("combobox", name="Team")).to_have_count(0)
    expect(tom.page.get_by_text("Engineering")).to_have_count(0)
    with tom.page.expect_download() as download:
        tom.page.get_by_role("button", name="CSV").first.click()
    download.value.save_as(tmp_path / "usage.csv")
    with (tmp_path / "usage.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) > 1
    read = "SELECT body FROM event WHERE type = 'usage_read' ORDER BY seq DESC LIMIT 1"
    assert '"exported":true' in desk.one(read)


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_admin_pages_are_refused_in_plain_words(desk: Desk, visit: Visit, name: str) -> None:
    tom = visit(desk, TOM, f"/{name}")
    gate = tom.page.get_by_role("alert")
    expect(gate).to_contain_text("Not for you")
    expect(tom.page.locator(".sb-table")).to_have_count(0)
    expect(tom.page.get_by_test_id("stSidebar")).not_to_contain_text("Connectors")


def test_more_money_is_set_asked_for_and_granted_by_the_three(desk: Desk, visit: Visit) -> None:
    noor = visit(desk, NOOR, "/budgets")
    main = noor.page.get_by_test_id("stMain")
    choose(main, "For", "A person")
    choose(main, "Which", "Ada Lindqvist")
    main.get_by_label("Limit in US dollars").fill("2")
    main.get_by_label("Limit in US dollars").press("Enter")
    main.get_by_role("button", name="Set the budget").click()
    expect(noor.page.get_by_text("The budget is set.")).to_be_visible()
    try:
        ada = visit(desk, ADA, "/my-usage")
        ada.page.get_by_role("button", name="Request more of your budget for this month").click()
        form = ada.dialog()
        expect(form).to_contain_text("Goes to Tom Okafor for approval.")
        form.get_by_label("What for").fill("The Calderbeck offer is due on Monday.")
        form.get_by_label("What for").press("Control+Enter")
        form.get_by_text("Exactly what is sent").click()
        expect(form.locator("code")).to_contain_text("Calderbeck")
        form.get_by_role("button", name="Request more of your budget").click()
        expect(ada.page.get_by_text("A request for more waits for a decision")).to_be_visible()
        tom = visit(desk, TOM, "/waiting")
        card = tom.page.get_by_test_id("stMain")
        expect(card).to_contain_text("Ada Lindqvist asks for more of their own budget")
        expect(card).to_contain_text("$0.00 of $2.00")
        card.get_by_role("button", name="Approve").click()
        expect(tom.page.get_by_text("Approved. It runs now.")).to_be_visible()
        ada.open("/requests")
        expect(ada.page.get_by_test_id("stMain")).to_contain_text(
            "Your budget has $1.00 more for this month. Approved by Tom Okafor."
        )
        ada.open("/my-usage")
        expect(ada.page.get_by_text("You have $3.00 of $3.00 left")).to_be_visible()
    finally:
        noor.open("/budgets")
        choose(noor.page.get_by_test_id("stMain"), "Remove a budget", "The person Ada Lindqvist")
        noor.page.get_by_role("button", name="Remove it").click()
        noor.page.get_by_role("button", name="Remove the budget").click()
        expect(noor.page.get_by_text("No budget is set")).to_be_visible()
