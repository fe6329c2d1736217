"""The page on which an admin swaps a route: draft, dry run, canary, publish, roll back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import Desk, OpenPage, html, press

TRAVEL = "travel_expenses"


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    """Each test begins and ends with the routes as delivered."""
    yield
    versions, noor = desk.services.versions, desk.people["Noor"]
    for row in versions.history(TRAVEL):
        if versions.get(row.id).status in {"canary", "published"}:
            versions.roll_back(noor.id, row.id, "The test is over.")
        elif versions.get(row.id).status == "draft":
            versions.discard(noor, row.id)


def drafted(open_page: OpenPage) -> AppTest:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    test.multiselect[0].set_value(["reader", "compatible"])
    return press(test, "Save the draft")


def test_the_list_names_every_intent_and_its_state(desk: Desk, open_page: OpenPage) -> None:
    page = html(open_page("Noor", "admin_routes"))
    for entry in desk.services.table.entries:
        assert entry.label in page
    assert "as delivered" in page
    drafted(open_page)
    assert "draft" in html(open_page("Noor", "admin_routes"))


def test_an_unknown_route_is_told(open_page: OpenPage) -> None:
    assert "There is no intent" in html(open_page("Noor", "admin_routes", id="nowhere"))


def test_a_draft_is_dry_run_published_and_rolled_back(desk: Desk, open_page: OpenPage) -> None:
    live = desk.services.turns.start(desk.people["Ada"], None, "How do I book a train to Lyon?")
    assert live.wait_done(90)
    test = drafted(open_page)
    assert "There is a draft" in html(test)
    test = press(test, "Dry run")
    assert re.search(r"<b>(\d+) of \1 questions?</b>", html(test))
    assert "Scripted model" in html(test)
    assert "Reader" in html(test)
    test = press(test, "Publish")
    assert "Version 1, published here." in html(test) or "published here" in html(test)
    published = desk.services.versions.entry(TRAVEL)
    assert published.models == ("reader", "compatible")
    test = press(open_page("Noor", "admin_routes", id=TRAVEL), "Roll back")
    assert "was rolled back" in html(test)
    assert desk.services.versions.entry(TRAVEL).version == 0


def test_a_canary_is_shown_beside_the_others_and_can_be_stopped(
    desk: Desk, open_page: OpenPage
) -> None:
    test = drafted(open_page)
    next(n for n in test.number_input if "share of people" in n.label).set_value(25)
    test = press(test, "Start the canary")
    page = html(test)
    assert "A canary runs" in page
    assert "25%" in page
    assert "Too few questions to tell" in page
    assert not [b for b in test.button if b.label == "Save the draft"]
    assert "canary, 25% of people" in html(open_page("Noor", "admin_routes"))
    test = press(test, "Stop the canary")
    assert "There is a draft" in html(test)
    assert [e["change"] for e in desk.events("route_changed")][-2:] == [
        "canary_started",
        "canary_stopped",
    ]


def test_a_draft_without_models_is_refused_in_words(open_page: OpenPage) -> None:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    test.multiselect[0].set_value([])
    assert "at least one model" in html(press(test, "Save the draft"))
