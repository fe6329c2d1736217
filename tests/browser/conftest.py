"""One browser and two desks for all tests of this folder: `desk` has a slow scripted model, `reading_desk` has no model at
all and quotes the documents.

A test gets people with `visit`, each in a window of their own. Whatever a test does, it fails when one of its windows
asked anything of another address than the desk's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.desk import (
    HOSTILE_ANSWER,
    Desk,
    Receiver,
    company_with_a_hostile_document,
    first_sync,
    running_desk,
    scripted_model,
)
from tests.browser.visitor import TIMEOUT_MS, Visitor, open_context, sign_in

HERE = Path(__file__).parent
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
TOKENS, DELAY_MS = 60, 40
Visit = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed; `apt-get install chromium` runs these tests.")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a model that takes about two and a half seconds to answer, and of one that means harm."""
    folder = tmp_path_factory.mktemp("model")
    says = {"hostile": HOSTILE_ANSWER}
    with scripted_model(folder, tokens=TOKENS, delay_ms=DELAY_MS, says=says) as url:
        yield url


@pytest.fixture(scope="package")
def desk(
    browser: Browser,  # noqa: ARG001 - without a browser no server is started
    model: str,
    receiver: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    environment = {
        "SWITCHBOARD_COMPATIBLE_BASE_URL": model,
        "SWITCHBOARD_COMPATIBLE_MODELS": "scripted,hostile",
        "SWITCHBOARD_WEBHOOK_URL": receiver.url,
    }
    with running_desk(tmp_path_factory.mktemp("desk") / "data", environment) as desk:
        first_sync(desk)
        yield desk


@pytest.fixture(scope="package")
def reading_desk(
    browser: Browser,  # noqa: ARG001 - without a browser no server is started
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    data = tmp_path_factory.mktemp("reading-desk") / "data"
    company_with_a_hostile_document(data)
    with running_desk(data, {}) as desk:
        first_sync(desk)
        yield desk


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture
def windows(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Visitor]]:
    """Every window of a test. Closed at its end; a test that failed leaves a picture of each in its folder."""
    opened: list[Visitor] = []
    yield opened
    failed = request.node.stash.get(FAILED, False)
    for number, visitor in enumerate(opened):
        if failed:
            picture = tmp_path / f"window-{number}.png"
            visitor.page.screenshot(path=picture)
            print(f"window {number} at {visitor.page.url}: {picture}")
        visitor.context.close()
    assert [url for visitor in opened for url in visitor.outside] == []


@pytest.fixture
def visit(browser: Browser, windows: list[Visitor]) -> Visit:
    """`visit(desk, email, path)` opens the desk in a new window, signed in; the sign-in itself happens once for each person.
    Without an address the window is nobody's and still empty."""

    def open_window(desk: Desk, email: str | None = None, path: str = "/") -> Visitor:
        if email is not None and email not in desk.states:
            first = open_context(browser, desk)
            sign_in(first, email)
            desk.states[email] = first.context.storage_state()
            first.context.close()
        visitor = open_context(browser, desk, desk.states[email] if email else None)
        windows.append(visitor)
        if email is not None:
            visitor.open(path)
        return visitor

    return open_window
