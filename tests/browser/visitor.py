"""A person at a browser: signing in, asking, and waiting for what the page shows. Nothing here sleeps."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    StorageState,
    TimeoutError,
    expect,
)

from tests.browser.desk import Desk

ADA, TOM, NOOR = (
    f"{name}@fernhill.example" for name in ("ada.lindqvist", "tom.okafor", "noor.haddad")
)
RUTH, LUC = "ruth.abernathy@fernhill.example", "luc.bertrand@fernhill.example"
TIMEOUT_MS = 45_000
AGAIN_MS = 5_000
PRESS_MS = 400
"""A slow press. Between its begin and its end a page has time to be drawn anew."""
DRAWN = ".sb-me, .sb-gate"
"""The sidebar's foot, or the page for somebody without a session."""
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'


@dataclass
class Visitor:
    """One browser context, so one cookie jar. `outside` collects every request that left the desk."""

    desk: Desk
    context: BrowserContext
    page: Page
    outside: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Goes there and waits until the page has drawn itself."""
        self.page.goto(f"{self.desk.url}{path}")
        return self.settled()

    def settled(self, page: Page | None = None) -> Page:
        page = page or self.page
        page.wait_for_selector(DRAWN, state="attached")
        page.wait_for_selector(IDLE)
        return page

    def tab(self, path: str) -> Page:
        """A second tab of the same browser."""
        page = self.context.new_page()
        page.goto(f"{self.desk.url}{path}")
        return page

    def ask(self, question: str, page: Page | None = None) -> None:
        """Types it and presses Enter; returns when the question stands in the conversation."""
        page = page or self.page
        box = chat_input(page)
        box.fill(question)
        box.press("Enter")
        expect(page.locator(".sb-q").last).to_have_text(question)

    def answered(self, page: Page | None = None) -> Locator:
        """The last answer, once it is over."""
        page = page or self.page
        expect(page.locator(".sb-pulse")).to_have_count(0)
        expect(page.locator(".st-key-bar")).to_be_visible()
        self.settled(page)
        return page.locator("article.sb-turn").last

    def new_chat(self) -> Page:
        return self.open("/")

    def conversation(self) -> str:
        """The id of the open conversation."""
        self.page.wait_for_url("**/?c=*")
        return self.page.url.rsplit("c=", 1)[1]

    def dialog(self) -> Locator:
        box = self.page.get_by_role("dialog")
        expect(box).to_be_visible()
        return box


def heading(page: Page, text: str) -> Locator:
    """A page's heading. While one page takes over from another both stand there for a moment."""
    return page.locator(".sb-page").get_by_role("heading", level=1, name=text, exact=True)


def chat_input(page: Page) -> Locator:
    return page.get_by_test_id("stChatInputTextArea")


def choose(box: Locator, label: str, option: str) -> None:
    """Picks an option of a select box. A page that is just being drawn again closes the list; a person would open it again."""
    wanted = box.page.get_by_role("option", name=option).first
    field = box.get_by_role("combobox", name=label)
    press(field, box.page.get_by_role("option").first)
    field.press_sequentially(option)  # a long list holds only what is in sight
    wanted.click()


def press(button: Locator, shows: Locator) -> None:
    """Presses until the result stands there. On a crowded machine the first press on a form that has just unfolded was seen
    to get lost; a person would press again."""
    for _ in range(2):
        button.click()
        with contextlib.suppress(TimeoutError):
            shows.wait_for(timeout=AGAIN_MS)
            return
    button.click()
    expect(shows).to_be_visible()


def growing(page: Page) -> Locator:
    """Words of the answer that is under way."""
    words = page.locator(".sb-pulse ~ span b")  # the line that names intent and model
    expect(words).to_be_visible()
    return page.locator(".sb-answer").last


def open_context(browser: Browser, desk: Desk, state: StorageState | None = None) -> Visitor:
    """A browser window that notes every request that does not go to the desk. `state` brings cookies along."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme="light",
        reduced_motion="reduce",
        storage_state=state,
    )
    context.set_default_timeout(TIMEOUT_MS)
    outside: list[str] = []
    home = urlsplit(desk.url).netloc

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != home:
            outside.append(url)

    context.on("request", lambda request: note(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: note(socket.url)))
    return Visitor(desk, context, context.new_page(), outside)


def sign_in(visitor: Visitor, email: str, path: str = "/") -> None:
    """Through the sign-in page of the demo issuer, as anybody would."""
    page = visitor.page
    page.goto(f"{visitor.desk.url}{path}")
    page.get_by_role("link", name="Sign in").click()
    page.locator(f'button.person[data-email="{email}"]').click()
    visitor.settled()
