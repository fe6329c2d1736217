"""An admin swaps a model without fear: adds it in the browser, drafts it, reads the dry run, rehearses it, gives it to people as a canary, and sees it
roll back by itself when the new model starts failing. The two models are two processes; the new one is ended."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.routing.swaps.laid_over import in_canary
from tests.browser.conftest import Visit
from tests.browser.desk import Desk, first_sync, running_desk, scripted_model, until
from tests.browser.visitor import ADA, NOOR, TOM, choose, heading, press

LYON = "What is the hotel limit in Lyon?"
GOLDEN = [
    {"question": LYON, "must_say": ["180 EUR | 180 euros"], "must_not_say": ["500 euros"]},
    {"question": "May I fly business class?"},
]
OLD = "A hotel in Lyon may cost up to 180 euros a night [1]."
NEW = "In Lyon a hotel may cost up to 180 euros [1]. Book through the travel desk [2]."
SAMPLES = 20
"""Turns that each side needs before the guard judges; see Margins."""


@pytest.fixture
def new_model(tmp_path: Path) -> Iterator[tuple[str, contextlib.ExitStack]]:
    """Its base URL, and what ends it when closed."""
    (tmp_path / "new").mkdir()
    with contextlib.ExitStack() as life:
        says = {"newcomer": NEW}
        url = life.enter_context(scripted_model(tmp_path / "new", tokens=5, delay_ms=1, says=says))
        yield url, life


@pytest.fixture
def swap_desk(
    browser: Browser,  # noqa: ARG001 - without a browser no server is started
    tmp_path: Path,
) -> Iterator[Desk]:
    """Its compatible model is the one in use; nobody has told it of the newcomer."""
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"veteran": OLD}) as url:
        environment = {
            "SWITCHBOARD_COMPATIBLE_BASE_URL": url,
            "SWITCHBOARD_COMPATIBLE_MODELS": "veteran",
        }
        with running_desk(tmp_path / "desk", environment) as desk:
            first_sync(desk)
            yield desk


def add_model(page: Page, url: str) -> None:
    """On the Models page: the newcomer, reached as OpenAI's would be, which the page refuses inside the network until told so."""
    form = page.get_by_test_id("stExpander").filter(has_text="Add a model")
    form.get_by_text("Add a model").click()
    choose(form, "Provider", "OpenAI")
    form.get_by_role("textbox", name="Model id").fill("newcomer")
    form.get_by_role("textbox", name="What people see").fill("OpenAI newcomer")
    form.get_by_role("textbox", name="Address").fill(url)
    form.get_by_label("Key", exact=True).and_(form.locator("input")).fill("sk-newcomer-0001")
    form.get_by_role("button", name="Add and test").click()
    expect(page.get_by_text("lies inside a private network")).to_be_visible()
    form.get_by_text("This address is in our own network", exact=True).click()
    form.get_by_role("button", name="Add and test").click()
    row = page.locator(".sb-table tr", has_text="OpenAI newcomer")
    expect(row).to_contain_text("answers")


def models(page: Page, *wanted: str) -> None:
    """Puts these into the draft, in this order, and saves it."""
    box = page.get_by_test_id("stMultiSelect")
    box.get_by_role("button", name=re.compile("clear all", re.IGNORECASE)).click()
    for name in wanted:
        choose(page.get_by_test_id("stMain"), "Models, in order of preference", name)
        expect(box.get_by_role("group")).to_contain_text(name)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_text("There is a draft.")).to_be_visible()


def ask(desk: Desk, key: str, times: int) -> None:
    """By the API, as programs of the person's do."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": LYON}]}).encode()
    for _ in range(times):
        request = urllib.request.Request(
            f"{desk.url}/v1/chat/completions",
            body,
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["choices"][0]["message"]["content"]


def key_of(page: Page) -> str:
    """Makes a personal key on the Keys page."""
    page.get_by_label("What is it for?").fill("Swap")
    page.get_by_role("button", name="Create key").click()
    shown = page.get_by_test_id("stCode").filter(has_text="sb_")
    expect(shown).to_be_visible()
    return shown.inner_text().strip()


def of_canary(desk: Desk, keys: dict[str, str]) -> str:
    """The key of somebody, by address, who is among the canary's 99 %."""
    version = desk.one("SELECT id FROM route_version WHERE status = 'canary'")
    for email, key in keys.items():
        if in_canary(desk.one("SELECT id FROM person WHERE email = ?", email), version, 0.99):
            return key
    raise AssertionError("nobody is in the canary")


def test_a_model_is_swapped_and_rolls_back_when_it_fails(
    swap_desk: Desk,
    new_model: tuple[str, contextlib.ExitStack],
    visit: Visit,
    tmp_path: Path,
) -> None:
    noor = visit(swap_desk, NOOR, "/models")
    page = noor.page
    add_model(page, new_model[0])
    noor.open("/routes")
    page.get_by_role("link", name="Travel and expenses").click()
    expect(heading(page, "Travel and expenses")).to_be_visible()
    noor.settled()
    models(page, "OpenAI-compatible server")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("Version 1, published here.")).to_be_visible()

    keys = {email: key_of(visit(swap_desk, email, "/keys").page) for email in (ADA, TOM)}
    ask(swap_desk, keys[ADA], SAMPLES)

    models(page, "OpenAI newcomer", "OpenAI-compatible server")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text(f"{SAMPLES} of {SAMPLES} questions")).to_be_visible()

    noor.settled()
    press(
        page.get_by_text("Import and export"), page.get_by_role("button", name="Import", exact=True)
    )
    file = tmp_path / "golden.jsonl"
    file.write_text("\n".join(map(json.dumps, GOLDEN)), encoding="utf-8")
    page.locator('input[type="file"]').set_input_files(file)
    expect(page.get_by_text("golden.jsonl")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".sb-table", has_text="Must not say")).to_contain_text("500 euros")
    page.get_by_role("button", name="Rehearse…").click()
    expect(page.get_by_text("2 questions, 4 calls, at most")).to_be_visible()
    page.get_by_role("button", name="Start the rehearsal").click()
    pair = page.locator(".sb-pair", has_text=LYON)
    expect(pair).to_be_visible(timeout=60_000)
    pair.locator("summary").click()
    expect(pair.locator("section").first).to_contain_text("up to 180 euros a night")
    expect(pair.locator("section").last).to_contain_text("Book through the travel desk")

    share = page.get_by_role("spinbutton", name=re.compile("share of people"))
    share.fill("99")
    share.press("Tab")
    page.get_by_role("button", name="Start the canary").click()
    expect(page.get_by_text("A canary runs.")).to_be_visible()
    key = of_canary(swap_desk, keys)
    ask(swap_desk, key, 3)
    new_model[1].close()
    ask(swap_desk, key, SAMPLES)
    state = "SELECT status FROM route_version WHERE number = 2"
    until(lambda: swap_desk.one(state) == "rolled_back", "the guard never rolled it back", 60)
    page.reload()
    expect(page.get_by_text("Version 2 was rolled back.")).to_be_visible()
    expect(page.get_by_text("failed or needed a fallback").first).to_be_visible()
    ask(swap_desk, key, 1)
    receipt = json.loads(swap_desk.one("SELECT receipt FROM turn ORDER BY started_at DESC LIMIT 1"))
    assert (receipt["route"]["version"], receipt["route"]["arm"]) == (1, "")
