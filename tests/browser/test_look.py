"""Every page, for each of the three, by day, by night and on a phone. (That nothing is fetched from elsewhere is checked by
the windows of every test.)"""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.desk import Desk, until
from tests.browser.visitor import ADA, IDLE, NOOR, TOM, Visitor

PAGES = (
    "/",
    "/requests",
    "/my-usage",
    "/keys",
    "/waiting",
    "/usage",
    "/connectors",
    "/models",
    "/routes",
    "/routes?id=travel_expenses",
    "/intents",
    "/budgets",
    "/people",
    "/audit",
)
PHONE, DESKTOP = ViewportSize(width=390, height=800), ViewportSize(width=1280, height=800)
Scheme = Literal["light", "dark"]
GROUNDS: dict[Scheme, str] = {"light": "rgb(252, 251, 249)", "dark": "rgb(16, 21, 26)"}

WIDER_THAN_THE_WINDOW = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  const scrolls = document.documentElement.scrollWidth > innerWidth || main.scrollWidth > main.clientWidth;
  if (!scrolls) return [];
  return [...main.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}`).slice(0, 5);
}"""

# WCAG 2.2's contrast, for every visible piece of text on the ground that it stands on. Controls that are switched off are
# exempt there, too.
TOO_FAINT = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const parse = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => [0, 1, 2].map(i => top[i] * top[3] + ground[i] * (1 - top[3]));
  const light = rgb => {
    const [r, g, b] = rgb.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest('style, script, noscript, template, svg, :disabled, [aria-disabled=true], [data-stale=true], [aria-hidden=true], [data-testid=stSkipToContent]')) continue;
    const below = ground(element);
    let text = parse(getComputedStyle(element).color), opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
    text[3] *= opacity;
    const [a, b] = [light(over(text, below)), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.45) faint.add(`${ratio.toFixed(2)} ${element.tagName}.${element.className} ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return [...faint].slice(0, 8);
}"""


def complaints(page: Page, scheme: Scheme) -> list[str]:
    """What is wrong with the page as it stands, in this light and at this width."""
    page.emulate_media(color_scheme=scheme)
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", GROUNDS[scheme])
    page.wait_for_selector(IDLE)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("This page broke.")).to_have_count(0)
    faint = [f"faint: {text}" for text in page.evaluate(TOO_FAINT)]
    wide = [f"too wide: {element}" for element in page.evaluate(WIDER_THAN_THE_WINDOW)]
    width = page.viewport_size["width"] if page.viewport_size else 0
    return [f"{page.url} {scheme} {width}: {found}" for found in faint + wide]


def look_at(visitor: Visitor, path: str) -> list[str]:
    """On a phone in the light, then in the dark at a desk."""
    page = visitor.page
    page.set_viewport_size(PHONE)
    visitor.open(path)
    expect(page.locator("h1").first).to_be_visible()
    found = complaints(page, "light")
    page.set_viewport_size(DESKTOP)
    return found + complaints(page, "dark")


@pytest.mark.parametrize("email", [ADA, TOM, NOOR])
def test_every_page_stands_in_light_dark_and_on_a_phone(
    desk: Desk, visit: Visit, email: str
) -> None:
    visitor = visit(desk, email)
    found = [complaint for path in PAGES for complaint in look_at(visitor, path)]
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_goes_on_says_so_at_its_edge(desk: Desk, visit: Visit, scheme: Scheme) -> None:
    """The shade stays at the edge, what covers it scrolls along: so it shows exactly where there is more."""
    noor = visit(desk, NOOR)
    noor.page.set_viewport_size(PHONE)
    noor.page.emulate_media(color_scheme=scheme)
    noor.open("/models")
    table = noor.page.locator(".sb-table").first
    assert table.evaluate("e => e.scrollWidth > e.clientWidth")
    expect(table).to_have_css("background-attachment", "local, local, scroll, scroll")
    grounds = table.evaluate(
        "e => [...e.querySelectorAll('table, tr, th, td')].map(e => getComputedStyle(e).backgroundColor)"
    )
    assert {ground for ground in grounds if not ground.startswith("rgba")} == set()


def test_an_answer_with_everything_open_stands_too(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    ada.ask("What discount may I give without approval?")
    ada.answered()
    conversation = ada.conversation()
    found = look_at(ada, f"/document?id={desk.document('handbook/travel-policy.md')}")
    views: tuple[tuple[ViewportSize, Scheme], ...]
    views = ((PHONE, "light"), (DESKTOP, "light"), (DESKTOP, "dark"))
    for size, scheme in views:
        ada.page.set_viewport_size(size)
        ada.open(f"/?c={conversation}")
        ada.answered().get_by_text("Why this answer").click()
        expect(ada.page.locator(".sb-card")).to_be_visible()
        found += complaints(ada.page, scheme)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_form_and_a_passage_in_a_dialog_stand_too(
    desk: Desk, visit: Visit, scheme: Scheme
) -> None:
    """Dialogs are drawn outside of the app, where a colour must find the theme by itself."""
    ada = visit(desk, ADA)
    ada.page.emulate_media(color_scheme=scheme)
    ada.ask("What discount may I give a utility customer?")
    ada.answered().locator(".sb-cite").first.click()
    expect(ada.dialog().locator(".sb-quote")).to_be_visible()
    found = complaints(ada.page, scheme)
    ada.page.keyboard.press("Escape")
    expect(ada.page.get_by_role("dialog")).to_have_count(0)
    offers = ada.page.locator(".st-key-offers")
    offers.get_by_role("button", name="Send a message").click()
    expect(ada.dialog().locator(".sb-origin").first).to_be_visible()
    assert found + complaints(ada.page, scheme) == []


def test_on_a_phone_a_question_can_be_asked_and_the_list_opened(desk: Desk, visit: Visit) -> None:
    tom = visit(desk, TOM)
    tom.page.set_viewport_size(PHONE)
    tom.open("/")
    expect(tom.page.locator(".sb-brand")).not_to_be_in_viewport()
    tom.ask("Good morning!")
    tom.answered()
    tom.page.get_by_test_id("stExpandSidebarButton").click()
    expect(tom.page.locator(".sb-chats")).to_be_in_viewport()


def test_a_request_to_another_address_would_be_noticed(desk: Desk, visit: Visit) -> None:
    """Proves the check that every other test relies on."""
    ada = visit(desk, ADA)
    ada.page.evaluate("() => { new Image().src = 'http://evil.test/x.png'; }")
    until(lambda: ada.outside, "the picture was not noticed")
    assert ada.outside == ["http://evil.test/x.png"]
    ada.outside.clear()
