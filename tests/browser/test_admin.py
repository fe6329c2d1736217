"""An admin's main tasks: sources, models, the log. (People are in test_sessions.py.)"""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.desk import Desk
from tests.browser.visitor import ADA, NOOR, choose, heading, press

PHRASE = "The spare key to the otter pen hangs behind the third barrel."
QUESTION = "Where does the spare key to the otter pen hang?"
EVERYONE = "[access]\neveryone = true\n"
NOBODY_OF_SALES = '[access]\ngroups = ["hr-restricted"]\n'


RUNS = "SELECT count(*) FROM sync_run WHERE scope = 'content' AND status"


def synced(page: Page, desk: Desk) -> None:
    """Presses Sync now and waits until it is over. A watched folder may have begun by itself; then that one counts."""
    button = page.get_by_role("button", name="Sync now")
    finished = int(desk.one(f"{RUNS} = 'finished'"))
    expect(button).to_be_enabled()
    button.click()
    for _ in range(150):
        active = int(desk.one(f"{RUNS} IN ('queued', 'running')"))
        if int(desk.one(f"{RUNS} = 'finished'")) > finished and not active:
            break
        page.wait_for_timeout(100)
    expect(page.locator(".sb-table:visible tbody tr", has_text="finished").first).to_be_visible()
    expect(button).to_be_enabled()


def test_a_folder_is_tested_added_and_its_readers_follow_the_access_file(
    reading_desk: Desk, visit: Visit, tmp_path: Path
) -> None:
    folder = tmp_path / "otters"
    folder.mkdir()
    (folder / "otter-pen.md").write_text(f"# Otter pen\n\n{PHRASE}\n", encoding="utf-8")
    (folder / "torn.pdf").write_bytes(b"%PDF-1.7\nthis is not a PDF any more")
    (folder / "access.toml").write_text(EVERYONE, encoding="utf-8")

    noor = visit(reading_desk, NOOR, "/connectors")
    page = noor.page
    expect(page.locator(".sb-table")).to_contain_text("up to date")
    page.get_by_role("button", name="Add a connector").click()
    form = noor.dialog()
    choose(form, "Source", "Files · Folder")
    form.get_by_label("Name").fill("Otters")
    form.get_by_label("Name").press("Enter")
    path = form.get_by_role("textbox", name=re.compile("Folder|Path")).first
    path.fill(str(tmp_path / "not-there"))
    path.press("Enter")
    form.get_by_role("button", name="Test", exact=True).click()
    expect(form.locator(".sb-note .sb-red").first).to_be_visible()
    path.fill(str(folder))
    path.press("Enter")
    form.get_by_role("button", name="Test", exact=True).click()
    expect(form.locator(".sb-note .sb-green").first).to_be_visible()
    expect(form.locator(".sb-note .sb-red")).to_have_count(0)
    form.get_by_role("button", name="Dry run").click()
    expect(form.get_by_text("+2 added")).to_be_visible()
    expect(form.locator(".sb-table")).to_contain_text("everyone")
    form.get_by_role("button", name="Add and sync").click()

    expect(heading(page, "Otters")).to_be_visible()
    failures = page.locator(".sb-table", has_text="What went wrong")
    expect(failures).to_contain_text("torn.pdf")  # by itself, when the sync is over
    expect(page.get_by_test_id("stMain")).to_contain_text("Documents1")

    page.get_by_role("button", name="Dry run").click()
    found = page.get_by_text("+1 added, ~0 changed")  # a dry run does not open files
    expect(found).to_be_visible()
    page.wait_for_timeout(3_500)  # the state above redraws itself meanwhile
    expect(found).to_be_visible()

    otters = reading_desk.document("otter-pen.md")
    ada = visit(reading_desk, ADA, f"/document?id={otters}")
    expect(ada.page.get_by_test_id("stMain")).to_contain_text(PHRASE)
    ada.open("/")
    ada.ask(QUESTION)
    expect(ada.answered().locator(".sb-answer")).to_contain_text("behind the third barrel")

    choose(page.get_by_test_id("stMain"), "View as", "Ada Lindqvist")
    expect(page.get_by_text("Ada Lindqvist finds 1 of 1 document of this source.")).to_be_visible()

    (folder / "access.toml").write_text(NOBODY_OF_SALES, encoding="utf-8")
    synced(page, reading_desk)
    ran = reading_desk.one(
        "SELECT json_group_array(json(counts)) FROM sync_run WHERE scope = 'content' AND connector_id ="
        " (SELECT id FROM connector WHERE name = 'Otters') AND json_extract(counts, '$.added') = 0"
    )
    later = json.loads(ran)
    assert sum(counts["access"] for counts in later) == 1
    assert sum(counts["embedded"] for counts in later) == 0
    expect(page.get_by_text("Ada Lindqvist finds 0 of 1 document of this source.")).to_be_visible()

    ada.open(f"/document?id={otters}")
    expect(ada.page.get_by_role("alert")).to_contain_text("Nothing to show")
    assert PHRASE not in ada.page.content()
    ada.open("/")
    ada.ask(QUESTION)
    expect(ada.answered().locator(".sb-answer")).not_to_contain_text("barrel")


def test_a_source_that_is_away_is_told_in_words_and_can_be_paused_resumed_and_removed(
    reading_desk: Desk, visit: Visit, tmp_path: Path
) -> None:
    folder = tmp_path / "herons"
    folder.mkdir()
    (folder / "heron.md").write_text("# Herons\n\nThe heron waits.\n", encoding="utf-8")
    (folder / "access.toml").write_text(EVERYONE, encoding="utf-8")
    noor = visit(reading_desk, NOOR, "/connectors")
    page = noor.page
    page.get_by_role("button", name="Add a connector").click()
    form = noor.dialog()
    choose(form, "Source", "Files · Folder")
    form.get_by_label("Name").fill("Herons")
    path = form.get_by_role("textbox", name=re.compile("Folder|Path")).first
    path.fill(str(folder))
    path.press("Enter")
    form.get_by_role("button", name="Add and sync").click()
    expect(heading(page, "Herons")).to_be_visible()
    expect(page.get_by_test_id("stMain")).to_contain_text("Documents1")
    heron = reading_desk.document("heron.md")

    folder.rename(tmp_path / "elsewhere")
    page.get_by_role("button", name="Sync now").click()
    state = page.locator(".sb-note", has=page.locator(".sb-red")).first
    expect(state).to_contain_text(str(folder))
    expect(state).to_contain_text("There is no folder")
    ada = visit(reading_desk, ADA, f"/document?id={heron}")
    expect(ada.page.get_by_test_id("stMain")).to_contain_text("The heron waits.")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Sync now")).to_be_disabled()
    (tmp_path / "elsewhere").rename(folder)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    synced(page, reading_desk)
    expect(page.get_by_text("Up to date.").first).to_be_visible()

    page.get_by_text("Remove", exact=True).last.click()
    page.get_by_text(re.compile("Remove 'Herons' and its 1 document")).click()
    page.get_by_role("button", name="Remove this connector").click()
    expect(heading(page, "Connectors")).to_be_visible()  # when all it brought is gone
    expect(heading(page, "Herons")).to_have_count(0)
    kept = page.locator(".sb-table", has_text="Fernhill Instruments documents")
    expect(kept.first).to_be_visible()  # the page before may stand there for a moment
    expect(page.locator(".sb-table", has_text="Herons")).to_have_count(0)
    ada.open(f"/document?id={heron}")
    expect(ada.page.get_by_role("alert")).to_contain_text("Nothing to show")


def test_an_old_citation_of_a_document_that_she_lost_stays_closed(
    reading_desk: Desk, visit: Visit
) -> None:
    """The answer that she was given stays hers; what it rests on is asked for again at each click."""
    rules = reading_desk.data / "demo-company" / "handbook" / "lyon" / "access.toml"
    before = rules.read_text(encoding="utf-8")
    luc = visit(reading_desk, "luc.bertrand@fernhill.example")
    luc.ask("What is the door code in Lyon?")
    answer = luc.answered()
    expect(answer.locator(".sb-answer")).to_contain_text("4712A")
    noor = visit(reading_desk, NOOR, "/connectors")
    noor.page.get_by_role("link", name="Fernhill Instruments documents").click()
    try:
        rules.write_text(NOBODY_OF_SALES, encoding="utf-8")
        synced(noor.page, reading_desk)
        luc.page.reload()
        luc.answered().locator(".sb-cite").first.click()
        box = luc.dialog()
        expect(box.get_by_role("alert")).to_contain_text("There is no such document")
        expect(box).not_to_contain_text("4712A")
    finally:
        rules.write_text(before, encoding="utf-8")
        synced(noor.page, reading_desk)


def test_a_models_test_says_what_passed_and_how_long_it_took(desk: Desk, visit: Visit) -> None:
    noor = visit(desk, NOOR, "/models")
    row = noor.page.locator(".sb-table tr", has_text="scripted")
    expect(row).to_contain_text("confidential")
    noor.page.get_by_text("Change scripted").click()
    form = noor.page.get_by_test_id("stExpander").filter(has_text="Change scripted")
    press(form.get_by_role("button", name="Test", exact=True), form.get_by_text("Answers: passed."))
    expect(form.get_by_text("Address reachable: passed.")).to_be_visible()
    expect(form.get_by_text(re.compile(r"after [\d.]+ m?s"))).to_be_visible()


def test_the_log_lists_what_happened_and_holds_together(desk: Desk, visit: Visit) -> None:
    noor = visit(desk, NOOR, "/audit")
    table = noor.page.locator(".sb-table")
    expect(table).to_contain_text("signed in")
    noor.page.get_by_role("button", name="Verify the chain").click()
    expect(noor.page.get_by_text("The chain holds.")).to_be_visible()
    choose(noor.page.get_by_test_id("stMain"), "Kind", "Sync done")
    expect(table.locator("tbody tr")).to_have_count(
        desk.one("SELECT count(*) FROM event WHERE type = 'sync_done'")
    )
    with noor.page.expect_download() as download:
        noor.page.get_by_role("button", name="Download a copy").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
