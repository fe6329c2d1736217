"""Who may read what, as the pages show it: at a desk without any model, where answers quote the documents."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.desk import HOSTILE, Desk
from tests.browser.visitor import ADA, NOOR, RUTH

SALARY = "What is the salary band for a senior engineer?"
SALARY_BANDS = "people-restricted/salary-bands-2026.pdf"
HR_ONLY = "SELECT title FROM document WHERE source_id LIKE 'people-restricted/%'"


def test_the_reader_quotes_the_right_document(reading_desk: Desk, visit: Visit) -> None:
    ada = visit(reading_desk, ADA)
    ada.ask("What is the hotel limit in Lyon?")
    answer = ada.answered()
    expect(answer.locator(".sb-line")).to_contain_text("answered by Reader")
    expect(answer.locator(".sb-answer")).to_contain_text("The hotel limit in Lyon is €180 a night")
    expect(answer.locator(".sb-sources li").first).to_contain_text(
        "Hotel limits and daily allowances 2026"
    )
    answer.locator(".sb-cite").first.click()
    expect(ada.dialog().locator(".sb-quote")).to_contain_text("€180")


def test_a_salary_question_answers_hr_and_shows_an_employee_nothing_of_hr(
    reading_desk: Desk, visit: Visit
) -> None:
    ruth = visit(reading_desk, RUTH)
    ruth.ask(SALARY)
    expect(ruth.answered()).to_contain_text("£52,000 to £64,000")

    titles = [title for (title,) in reading_desk.rows(HR_ONLY)]
    assert len(titles) >= 4
    ada = visit(reading_desk, ADA)
    ada.ask(SALARY)
    answer = ada.answered()
    answer.get_by_text("Why this answer").click()
    expect(answer.locator(".sb-card")).to_be_visible()
    shown = ada.page.content()
    assert "52,000" not in shown
    assert [title for title in titles if title in shown] == []
    expect(answer.locator(".sb-card")).not_to_contain_text("Withheld")


def test_only_an_admin_learns_how_many_passages_were_withheld(
    reading_desk: Desk, visit: Visit
) -> None:
    noor = visit(reading_desk, NOOR)
    noor.ask(SALARY)
    answer = noor.answered()
    answer.get_by_text("Why this answer").click()
    expect(answer.locator(".sb-card")).to_contain_text(re.compile(r"Withheld\s*\d+ passage"))
    assert "52,000" not in noor.page.content()


def test_a_document_that_she_may_not_read_looks_like_none(reading_desk: Desk, visit: Visit) -> None:
    hidden = reading_desk.document(SALARY_BANDS)
    ada = visit(reading_desk, ADA, f"/document?id={hidden}")
    gate = ada.page.get_by_role("alert")
    expect(gate).to_contain_text("Nothing to show")
    withheld = gate.inner_text()
    assert "alary" not in ada.page.get_by_test_id("stMain").inner_text()
    assert "alary" not in ada.page.title()
    ada.open("/document?id=doc_there_is_none")
    expect(gate).to_contain_text("Nothing to show")
    assert gate.inner_text() == withheld
    denied = "SELECT count(*) FROM event WHERE type = 'access_denied' AND subject = ?"
    assert reading_desk.one(denied, hidden) == 1


def test_what_a_document_says_is_text_and_loads_nothing(reading_desk: Desk, visit: Visit) -> None:
    """The windows of every test fail when they ask another address, so the pictures here would show."""
    ada = visit(reading_desk, ADA)
    ada.ask("What draught does the Cormorant buoy have, and how is it moored?")
    answer = ada.answered()
    expect(answer.locator(".sb-answer")).to_contain_text("94 cm")
    expect(answer.locator("img, script, iframe")).to_have_count(0)
    ada.page.goto(f"{reading_desk.url}/document?id={reading_desk.document(HOSTILE)}")
    main = ada.settled().get_by_test_id("stMain")
    expect(main).to_contain_text("94 cm")
    expect(main.locator("img, script, iframe")).to_have_count(0)
    assert "owned" not in ada.page.title()
    for link in main.locator("a[href*='evil.test']").all():
        expect(link).to_have_attribute("target", "_blank")
