"""A team lead's main task besides approving: the usage of the own team, and no more."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.desk import Desk, until
from tests.browser.visitor import ADA, TOM

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
