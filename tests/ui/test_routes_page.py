"""The page on which an admin swaps a route: draft, dry run, canary, publish, roll back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from app.errors import InputError
from app.routing.added import NewModel
from app.routing.swaps import Draft
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


def button(test: AppTest, label: str) -> Button:
    return next(b for b in test.button if b.label == label)


def test_what_is_not_saved_is_neither_published_nor_tried(desk: Desk, open_page: OpenPage) -> None:
    test = drafted(open_page)
    assert not button(test, "Publish").disabled
    next(n for n in test.number_input if n.label == "Temperature").set_value(1.7)
    test = press(test, "Publish")  # the figure and the click come together
    assert desk.services.versions.entry(TRAVEL).version == 0
    assert "Not saved yet." in html(test)
    for label in ("Publish", "Dry run", "Start the canary"):
        assert button(test, label).disabled
    test = press(test, "Save the draft")
    assert "Not saved yet." not in html(test)
    press(test, "Publish")
    assert desk.services.versions.entry(TRAVEL).temperature == 1.7


def test_a_draft_whose_model_was_removed_is_not_published(desk: Desk, open_page: OpenPage) -> None:
    services, noor = desk.services, desk.people["Noor"]
    added = NewModel("compatible", "passing", base_url="http://127.0.0.1:1/v1", inside=True)
    model = services.catalogue.add_model(noor, added)
    row = services.versions.draft(noor, TRAVEL, Draft((model,), "grounded"))
    services.catalogue.remove_model(noor, model)
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert f"No longer here: {model}." in html(test)
    assert button(test, "Publish").disabled
    for step in (
        lambda: services.versions.publish(noor, row.id),
        lambda: services.versions.start_canary(noor, row.id, 0.5),
    ):
        with pytest.raises(InputError, match=f"names {model}, which is not here any more") as told:
            step()
        assert told.value.fix
    assert services.versions.entry(TRAVEL).version == 0


def test_a_roll_back_says_what_answers_then(desk: Desk, open_page: OpenPage) -> None:
    services, noor = desk.services, desk.people["Noor"]
    numbers = []
    for models in (("reader",), ("compatible", "reader")):
        row = services.versions.draft(noor, TRAVEL, Draft(models, "grounded"))
        services.versions.publish(noor, row.id)
        numbers.append(row.number)
        test = open_page("Noor", "admin_routes", id=TRAVEL)
        words = " ".join(m.value for m in test.markdown)
        then = f"version {numbers[0]}" if len(numbers) > 1 else "the route as delivered"
        assert f"Version {row.number} ends for everybody, and {then} answers again." in words
        assert "The canary goes on" not in words
    services.versions.draft(noor, TRAVEL, Draft(("reader",), "grounded"))
    open_version = services.versions.open_version(TRAVEL)
    assert open_version is not None
    services.versions.start_canary(noor, open_version.id, 0.5)
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert "The canary goes on: stop it below." in " ".join(m.value for m in test.markdown)
    press(test, "Roll back")
    assert services.versions.entry(TRAVEL).version == numbers[0]
