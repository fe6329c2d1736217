"""An employee's main task: ask, watch the answer arrive, open its sources, take it further."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import DELAY_MS, TOKENS, Visit
from tests.browser.desk import Desk, model_stats, slowly, until
from tests.browser.visitor import (
    ADA,
    PRESS_MS,
    TOM,
    Visitor,
    chat_input,
    choose,
    growing,
    heading,
    sign_in,
)

TRIP = "How do I book a trip to Lyon for two nights?"
LAST_WORDS = re.compile(r"The policy says so in\s+1\s*\.")


def words(page: Page) -> int:
    """How many words of the last answer are on the page."""
    return len(page.locator(".sb-answer").last.inner_text().split())


def turns(desk: Desk, conversation: str, *, hidden: bool = False) -> int:
    wanted = "NOT NULL" if hidden else "NULL"
    sql = f"SELECT count(*) FROM turn WHERE conversation_id = ? AND hidden_at IS {wanted}"
    return int(desk.one(sql, conversation))


def test_signs_in_asks_and_reads_an_answer_that_arrives_word_by_word(
    desk: Desk, model: str, visit: Visit
) -> None:
    ada = visit(desk)
    sign_in(ada, ADA)
    expect(ada.page.get_by_role("heading", name="What do you need, Ada?")).to_be_visible()
    with slowly(model, DELAY_MS):
        ada.ask(TRIP)
        growing(ada.page)
        seen = words(ada.page)
        assert seen < TOKENS
        ada.page.wait_for_function(
            "seen => [...document.querySelectorAll('.sb-answer')].at(-1).innerText.split(/\\s+/).length > seen",
            arg=seen,
        )
    answer = ada.answered()
    expect(answer.locator(".sb-line")).to_have_text(
        re.compile("Travel and expenses.*answered by scripted from 1 source")
    )
    expect(answer.locator(".sb-answer")).to_have_text(LAST_WORDS)
    expect(answer.locator(".sb-sources")).to_contain_text("Travel policy")
    expect(answer.locator(".sb-sources")).to_contain_text("everyone · synced")


def test_a_citation_opens_its_passage_and_the_document(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    ada.ask(TRIP)
    ada.answered().locator(".sb-cite").first.click()
    box = ada.dialog()
    expect(box.get_by_role("heading", name="Travel policy")).to_be_visible()
    passage = box.locator(".sb-quote").inner_text()
    kept = desk.rows(
        "SELECT text FROM chunk WHERE document_id = ?", desk.document("handbook/travel-policy.md")
    )
    assert " ".join(passage.split()) in {" ".join(text.split()) for (text,) in kept}
    expect(box.locator(".sb-grid")).to_contain_text("Synced")
    expect(box.locator("time.sb-ago").last).to_have_attribute("title", re.compile(r"\d\d:\d\d"))
    box.get_by_role("link", name="Open the document").click()
    ada.page.wait_for_url("**/document?id=*")
    expect(heading(ada.page, "Travel policy")).to_be_visible()
    expect(ada.page.get_by_test_id("stMain")).to_contain_text("travel@fernhill.example")


def test_why_this_answer_names_intent_model_prompt_and_permissions(
    desk: Desk, visit: Visit
) -> None:
    ada = visit(desk, ADA)
    ada.ask(TRIP)
    answer = ada.answered()
    expect(answer.locator(".sb-card")).not_to_be_visible()
    answer.get_by_text("Why this answer").click()
    card = answer.locator(".sb-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text("Travel and expenses")
    expect(card).to_contain_text("First model that may and can answer")
    expect(card).to_contain_text("ANTHROPIC_API_KEY is not set")
    expect(card).to_contain_text(re.compile(r"grounded · v\d+"))
    expect(card).to_contain_text("you may read it as: everyone")
    expect(card).to_contain_text(f"400 read, {TOKENS} written")
    expect(card).not_to_contain_text("Withheld")


def test_a_suggested_question_is_one_click(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    suggestion = ada.page.locator(".st-key-suggestions button").first
    text = suggestion.inner_text()
    suggestion.click()
    expect(ada.page.locator(".sb-q")).to_have_text(text)
    ada.answered()


def test_a_reload_in_mid_answer_changes_nothing(desk: Desk, model: str, visit: Visit) -> None:
    ada = visit(desk, ADA)
    with slowly(model, DELAY_MS):
        ada.ask(TRIP)
        growing(ada.page)
        ada.page.reload()
        growing(ada.page)
    expect(ada.answered().locator(".sb-answer")).to_have_text(LAST_WORDS)
    expect(ada.page.locator("article.sb-turn")).to_have_count(1)
    assert turns(desk, ada.conversation()) == 1


def test_a_second_tab_follows_the_same_answer(desk: Desk, model: str, visit: Visit) -> None:
    ada = visit(desk, ADA)
    with slowly(model, DELAY_MS):
        ada.ask(TRIP)
        growing(ada.page)
        second = ada.tab(f"/?c={ada.conversation()}")
        growing(second)
        assert words(second) < TOKENS
    for page in (ada.page, second):
        expect(ada.answered(page).locator(".sb-answer")).to_have_text(LAST_WORDS)
    assert turns(desk, ada.conversation()) == 1


def test_stop_ends_the_answer_and_the_call_of_the_model(
    desk: Desk, model: str, visit: Visit
) -> None:
    ada = visit(desk, ADA)
    before = model_stats(model)["abandoned"]
    with slowly(model, DELAY_MS):
        ada.ask(TRIP)
        growing(ada.page)
        ada.page.get_by_role("button", name="Stop").click()
        answer = ada.answered()
        expect(answer).to_contain_text("Stopped.")
        expect(ada.page.get_by_role("button", name="Stop")).to_have_count(0)
        assert words(ada.page) < TOKENS
        until(lambda: model_stats(model)["abandoned"] > before, "the model went on writing")
    ada.page.reload()
    expect(ada.answered()).to_contain_text("Stopped.")


def test_regenerate_and_edit_take_the_place_of_the_answer(
    desk: Desk, model: str, visit: Visit
) -> None:
    ada = visit(desk, ADA)
    ada.ask(TRIP)
    ada.answered()
    conversation = ada.conversation()
    with slowly(model, DELAY_MS):
        ada.page.get_by_role("button", name="Regenerate").click()
        growing(ada.page)
    ada.answered()
    expect(ada.page.locator(".sb-q")).to_have_text([TRIP])
    assert (turns(desk, conversation), turns(desk, conversation, hidden=True)) == (1, 1)

    ada.page.get_by_role("button", name="Edit question").click()
    box = ada.page.get_by_label("Your question")
    expect(box).to_have_value(TRIP)
    box.fill("How many days of holiday do I get?")
    ada.page.get_by_role("button", name="Send again").click(delay=PRESS_MS)
    expect(ada.page.locator(".sb-q")).to_have_text(["How many days of holiday do I get?"])
    expect(ada.answered().locator(".sb-line")).to_contain_text("Time off and benefits")
    assert (turns(desk, conversation), turns(desk, conversation, hidden=True)) == (1, 2)


def test_what_is_unfolded_stays_so_while_something_else_is_pressed(
    desk: Desk, visit: Visit
) -> None:
    ada = visit(desk, ADA)
    ada.ask(TRIP)
    answer = ada.answered()
    answer.get_by_text("Why this answer").click()
    opened = answer.locator("details[open]")
    expect(opened).to_have_count(1)
    ada.page.get_by_role("radio", name="Thumbs up").click()
    expect(ada.page.get_by_role("button", name="Comment")).to_be_visible()
    expect(opened).to_have_count(1)
    ada.page.get_by_role("button", name="Edit question").click()
    ada.page.get_by_label("Your question").press("Control+Enter")
    expect(ada.page.locator(".sb-q")).to_have_text([TRIP])
    until(lambda: turns(desk, ada.conversation(), hidden=True) == 1, "it was not asked again")


def test_a_verdict_and_a_comment_stay_with_the_answer(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    ada.ask("Hello")
    ada.answered()
    ada.page.get_by_role("radio", name="Thumbs down").click()
    ada.page.get_by_role("button", name="Comment").click()
    box = ada.page.get_by_label("What should we know?")
    box.fill("Too short for me")
    box.press("Enter")
    expect(ada.page.get_by_text("your comment is kept")).to_be_visible()
    sql = "SELECT feedback, feedback_comment FROM turn WHERE conversation_id = ?"
    assert desk.rows(sql, ada.conversation()) == [(0, "Too short for me")]
    ada.page.reload()
    ada.answered()
    expect(ada.page.get_by_role("radio", name="Thumbs down")).to_have_attribute(
        "aria-checked", "true"
    )


def test_chats_are_renamed_found_deleted_and_brought_back(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    ada.ask("Hello, are you a robot?")
    ada.answered()
    conversation = ada.conversation()
    sidebar = ada.page.get_by_test_id("stSidebar")
    open_menu(ada)
    ada.dialog().get_by_label("Name").fill("Robots at large")
    ada.dialog().get_by_role("button", name="Rename").click()
    expect(sidebar.locator(".sb-on")).to_contain_text("Robots at large")

    search = sidebar.get_by_placeholder("Search your chats")
    search.fill("at large")
    expect(sidebar.locator(".sb-row")).to_have_count(1)
    expect(sidebar.locator(".sb-row")).to_contain_text("Robots at large")
    search.fill("")

    open_menu(ada)
    ada.dialog().get_by_role("button", name="Delete").click()
    expect(sidebar.locator(f'a[data-sb="chat:{conversation}"]')).to_have_count(0)
    expect(ada.page.get_by_role("heading", name="What do you need, Ada?")).to_be_visible()
    sidebar.get_by_role("button", name="Undo").click()
    expect(sidebar.locator(".sb-on")).to_contain_text("Robots at large")
    expect(ada.page.locator(".sb-q")).to_have_text("Hello, are you a robot?")


def open_menu(visitor: Visitor) -> None:
    row = visitor.page.locator(".sb-row.sb-on")
    row.hover()
    row.locator(".sb-more").click()


def test_a_link_to_a_chat_opens_it_for_its_owner_and_nobody_else(desk: Desk, visit: Visit) -> None:
    ada = visit(desk, ADA)
    ada.ask("Good morning, this is Ada!")
    ada.answered()
    link = f"/?c={ada.conversation()}"
    again = visit(desk, ADA, link)
    expect(again.page.locator(".sb-q")).to_have_text("Good morning, this is Ada!")
    tom = visit(desk, TOM, link)
    expect(tom.page.get_by_role("heading", name="No such chat")).to_be_visible()
    expect(tom.page.get_by_text("Good morning, this is Ada!")).to_have_count(0)


def test_an_answer_of_a_model_picked_by_hand_can_load_and_run_nothing(
    desk: Desk, visit: Visit
) -> None:
    """The windows of every test fail when they ask another address, so its pictures would show."""
    ada = visit(desk, ADA)
    choose(ada.page.get_by_test_id("stBottom"), "Model", "hostile")
    ada.ask("Write a note about <img src=http://evil.test/question.png> and **stars**")
    answer = ada.answered()
    expect(answer.locator(".sb-line")).to_contain_text("answered by hostile")
    words = answer.locator(".sb-answer")
    expect(words).to_contain_text('<img src="http://evil.test/raw.png">')
    expect(words).to_contain_text("<script>")
    expect(words).to_contain_text("Image: a picture (evil.test)")
    expect(words).to_contain_text("click me (evil.test)")
    expect(ada.page.get_by_test_id("stMain").locator("img, script, iframe")).to_have_count(0)
    expect(words.locator("a")).to_have_count(
        2
    )  # the picture's address and the link, never javascript:
    for link in words.locator("a").all():
        expect(link).to_have_attribute("href", re.compile("^http://evil.test/"))
        expect(link).to_have_attribute("target", "_blank")
    assert "owned" not in ada.page.title()


def test_the_keyboard_is_enough(desk: Desk, model: str, visit: Visit) -> None:
    ada = visit(desk, ADA)
    page = ada.page
    expect(page.locator(".st-key-suggestions button")).to_have_count(4)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(12):  # the suggestions, the model, the input
        page.keyboard.press("Tab")
        if chat_input(page).evaluate("box => box === document.activeElement"):
            break
    expect(chat_input(page)).to_be_focused()
    page.keyboard.type("Tell me a joke")
    with slowly(model, DELAY_MS):
        page.keyboard.press("Enter")
        growing(page)
        page.keyboard.press("Escape")
        expect(ada.answered()).to_contain_text("Stopped.")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("heading", name="What do you need, Ada?")).to_be_visible()
