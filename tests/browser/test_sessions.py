"""The end of a session reaches every tab: by signing out, by an admin, and after the server was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.bench.processes import free_port
from tests.browser.conftest import DELAY_MS, Visit
from tests.browser.desk import Desk, running_desk, slowly, until
from tests.browser.visitor import ADA, NOOR, chat_input, growing, heading, open_context, sign_in

HANNAH = "hannah.whitcombe@fernhill.example"


def test_signing_out_in_one_tab_ends_the_other(desk: Desk, visit: Visit) -> None:
    ada = visit(desk)
    sign_in(ada, ADA, "/requests")
    expect(heading(ada.page, "My requests")).to_be_visible()  # where she wanted to go
    second = ada.tab("/")
    box = chat_input(second)
    expect(box).to_be_visible()
    ada.page.get_by_role("link", name="Sign out").click()
    expect(ada.page.get_by_role("link", name="Sign in")).to_be_visible()
    box.fill("Am I still here?")
    box.press("Enter")
    expect(second.get_by_role("link", name="Sign in")).to_be_visible()
    assert desk.one("SELECT count(*) FROM turn WHERE question = 'Am I still here?'") == 0


def test_an_admin_ends_a_session_and_the_next_click_is_signed_out(desk: Desk, visit: Visit) -> None:
    hannah = visit(desk)
    sign_in(hannah, HANNAH)
    noor = visit(desk, NOOR, "/people")
    noor.page.get_by_role("link", name="Hannah Whitcombe").click()
    main = noor.page.get_by_test_id("stMain")
    expect(main).to_contain_text("1 session")
    main.get_by_role("button", name="End", exact=True).click()
    expect(main).to_contain_text("0 sessions")
    hannah.page.get_by_role("link", name="My requests").click()
    expect(hannah.page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_killed_server_leaves_an_interrupted_answer_and_a_retry(
    browser: Browser, model: str, tmp_path: Path
) -> None:
    environment = {
        "SWITCHBOARD_COMPATIBLE_BASE_URL": model,
        "SWITCHBOARD_COMPATIBLE_MODELS": "scripted",
        "SWITCHBOARD_DEMO": "false",  # no documents are needed
    }
    port = free_port()
    with slowly(model, DELAY_MS), running_desk(tmp_path / "data", environment, port=port) as desk:
        ada = open_context(browser, desk)
        sign_in(ada, ADA)
        ada.ask("Write a short thank-you note to a customer")
        growing(ada.page)
        partly = "SELECT count(*) FROM turn WHERE status = 'running' AND answer LIKE 'The policy says so%'"
        until(lambda: desk.one(partly), "nothing of the answer was kept")
        os.kill(desk.pid, signal.SIGKILL)
    with running_desk(tmp_path / "data", environment, port=port):
        ada.open(f"/?c={ada.conversation()}")
        expect(ada.page.locator(".sb-turn")).to_contain_text("Interrupted.")
        expect(ada.page.locator(".sb-answer")).to_contain_text("The policy says so")
        with slowly(model, DELAY_MS):
            ada.page.get_by_role("button", name="Retry").click()
            growing(ada.page)
        answer = ada.answered()
        expect(answer).not_to_contain_text("Interrupted.")
        expect(ada.page.locator("article.sb-turn")).to_have_count(1)
        assert ada.outside == []
        ada.context.close()
