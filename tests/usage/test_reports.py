"""Reports: right numbers, only for those who may see them, nobody singled out, every reading recorded."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta

import pytest
from sqlmodel import select

from app.db import Database
from app.db.tables import EventRow, UsageFactRow
from app.domain import Person, Role
from app.errors import Denied, InputError, NotFound
from app.usage import Reports, UsageRow, csv_text, facts
from app.usage.reports import SMALL_TEAMS
from tests.conftest import MakePerson
from tests.usage.brute_force import count, grouped, within
from tests.usage.conftest import FIRST_DAY, Ask

END = FIRST_DAY + timedelta(days=6)


@pytest.fixture
def admin(make_person: MakePerson) -> Person:
    return make_person("Ada", role=Role.ADMIN, team="IT")


@pytest.fixture
def lead(make_person: MakePerson) -> Person:
    return make_person("Lea", role=Role.TEAM_LEAD, team="Sales")


def events(database: Database, kind: str) -> list[dict[str, object]]:
    with database.read() as session:
        rows = session.exec(select(EventRow).where(EventRow.type == kind).order_by("seq"))
        return [json.loads(row.body) for row in rows]


def comparable(row: UsageRow) -> tuple[object, ...]:
    return (
        row.questions,
        row.answered,
        row.stopped,
        row.failed,
        pytest.approx(row.cost_usd, abs=1e-5),
        row.satisfaction,
        row.with_sources,
        row.actions,
        row.prompt_tokens,
        row.completion_tokens,
    )


@pytest.mark.parametrize("team", [None, "Sales", "Legal", "Field", "Ops", "Nobody"])
@pytest.mark.parametrize(("first", "days"), [(0, 20), (7, 7), (13, 1), (40, 5)])
def test_every_number_equals_a_count_over_the_facts(
    reports: Reports,
    admin: Person,
    many_facts: list[UsageFactRow],
    team: str | None,
    first: int,
    days: int,
) -> None:
    start = FIRST_DAY + timedelta(days=first)
    end = start + timedelta(days=days - 1)
    report = reports.team(admin, team, start, end)
    rows = within(many_facts, start, end, team)
    before = within(many_facts, start - timedelta(days=days), start - timedelta(days=1), team)
    assert report.figures.active_people == len({r.person_id for r in rows})
    assert report.previous.active_people == len({r.person_id for r in before})
    assert comparable(report.figures.total) == comparable(count(rows))
    assert comparable(report.previous.total) == comparable(count(before))
    for series, expected in (
        (report.by_intent, grouped(rows, lambda r: r.intent)),
        (report.by_model, grouped(rows, lambda r: r.model)),
        (report.by_team, grouped(rows, lambda r: r.team) if team is None else {}),
    ):
        assert {r.key: comparable(r) for r in series} == {
            k: comparable(v) for k, v in expected.items()
        }
    assert [r.key for r in report.by_day] == [str(start + timedelta(days=n)) for n in range(days)]
    by_day = grouped(rows, lambda r: str(r.day))
    for row in report.by_day:
        assert comparable(row) == comparable(by_day.get(row.key, count([])))


def test_feedback_given_later_changes_the_figures(
    reports: Reports, lead: Person, ask: Ask, database: Database
) -> None:
    turn = ask(lead.id)
    assert reports.team(lead, "Sales", FIRST_DAY, END).figures.total.satisfaction is None
    with database.write() as session:
        facts.feedback_given(session, turn, 1)
    assert reports.team(lead, "Sales", FIRST_DAY, END).figures.total.satisfaction == 1.0
    with database.write() as session:
        facts.feedback_given(session, turn, 0)
    assert reports.team(lead, "Sales", FIRST_DAY, END).figures.total.satisfaction == 0.0


def test_a_lead_sees_the_own_team_only_and_the_refusal_is_recorded(
    reports: Reports, lead: Person, ask: Ask, database: Database
) -> None:
    ask("person_1", team="Legal")
    assert reports.scopes(lead) == ("Sales",)
    for other in ("Legal", None, ""):
        with pytest.raises(Denied) as caught:
            reports.team(lead, other, FIRST_DAY, END)
        assert caught.value.reason
    denied = events(database, "access_denied")
    assert [event["subject"] for event in denied] == ["Legal", "company", ""]
    assert all(event["actor"] == lead.id and event["reason"] for event in denied)
    assert events(database, "usage_read") == []


def test_an_employee_sees_no_team_but_the_own_numbers(
    reports: Reports, make_person: MakePerson, ask: Ask
) -> None:
    person = make_person("Eve")
    ask(person.id)
    ask("person_other")
    assert reports.scopes(person) == ()
    with pytest.raises(Denied):
        reports.team(person, "Sales", FIRST_DAY, END)
    mine = reports.mine(person, FIRST_DAY, END)
    assert (mine.figures.total.questions, mine.figures.active_people) == (1, 1)
    assert (mine.by_person, mine.by_team) == ((), ())


def test_an_admin_sees_the_company_and_each_team(
    reports: Reports, admin: Person, lead: Person, ask: Ask
) -> None:
    ask(lead.id, team="Sales")
    ask("person_gone", team="Closed")
    assert reports.scopes(admin) == (None, "Closed", "IT", "Sales")
    assert reports.team(admin, None, FIRST_DAY, END).figures.total.questions == 2


def test_four_active_people_are_not_broken_down_and_the_report_says_so(
    reports: Reports, lead: Person, ask: Ask
) -> None:
    for n in range(4):
        ask(f"person_{n}")
    ask("person_9", day=END + timedelta(days=1))
    report = reports.team(lead, "Sales", FIRST_DAY, END)
    assert report.figures.active_people == 4
    assert report.by_person == ()
    assert "fewer than five" in report.by_person_note


def test_five_active_people_are_named(
    reports: Reports, lead: Person, make_person: MakePerson, ask: Ask
) -> None:
    people = [make_person(name) for name in ("Ann", "Ben", "Cem", "Dia", "Eli")]
    for n, person in enumerate(people):
        for _ in range(n + 1):
            ask(person.id)
    report = reports.team(lead, "Sales", FIRST_DAY, END)
    assert [(r.name, r.questions) for r in report.by_person] == [
        ("Eli", 5),
        ("Dia", 4),
        ("Cem", 3),
        ("Ben", 2),
        ("Ann", 1),
    ]
    assert report.by_person_note == ""


def test_the_companys_list_of_people_names_nobody_of_a_small_team(
    reports: Reports, admin: Person, ask: Ask
) -> None:
    for n in range(5):
        ask(f"sales_{n}", team="Sales")
    for n in range(4):
        ask(f"legal_{n}", team="Legal")
    ask("sales_0", team="Legal")  # moved: with this the fifth in Legal
    ask("ops_0", team="Ops")
    ask("sales_1", team="Ops")  # named for Sales, pooled for Ops
    report = reports.team(admin, None, FIRST_DAY, END)
    by_key = {row.key: row for row in report.by_person}
    assert "ops_0" not in by_key
    assert (by_key[""].name, by_key[""].questions) == (SMALL_TEAMS, 2)
    assert (by_key["sales_0"].questions, by_key["sales_1"].questions) == (2, 1)
    assert sum(row.questions for row in report.by_person) == report.figures.total.questions
    assert report.by_person_note


def test_reading_a_teams_numbers_is_one_event_and_an_export_always_another(
    reports: Reports, lead: Person, ask: Ask, database: Database
) -> None:
    ask(lead.id)
    report = reports.team(lead, "Sales", FIRST_DAY, END)
    reports.team(lead, "Sales", FIRST_DAY, END)
    assert [e["exported"] for e in events(database, "usage_read")] == [False]
    reports.team(lead, "Sales", FIRST_DAY, FIRST_DAY)
    reports.export(lead, report, "by_day")
    reports.export(lead, report, "by_day")
    read = events(database, "usage_read")
    assert [e["exported"] for e in read] == [False, False, True, True]
    assert {e["team"] for e in read} == {"Sales"}
    assert read[0]["period"] == f"{FIRST_DAY}..{END}"


def test_the_own_numbers_leave_no_event_and_are_not_for_others(
    reports: Reports, lead: Person, make_person: MakePerson, ask: Ask, database: Database
) -> None:
    person = make_person("Eve")
    ask(person.id)
    report = reports.mine(person, FIRST_DAY, END)
    assert "travel" in reports.export(person, report, "by_intent")
    assert events(database, "usage_read") == []
    with pytest.raises(Denied):
        reports.export(lead, report, "by_intent")


def test_an_export_asks_the_policy_again(
    reports: Reports, admin: Person, make_person: MakePerson, ask: Ask
) -> None:
    ask("person_1")
    report = reports.team(admin, None, FIRST_DAY, END)
    with pytest.raises(Denied):
        reports.export(make_person("Eve"), report, "by_day")
    with pytest.raises(NotFound):
        reports.export(admin, report, "figures")


@pytest.mark.parametrize(("start", "end"), [(END, FIRST_DAY), (date(2020, 1, 1), date(2026, 1, 1))])
def test_a_period_that_makes_no_sense_is_refused(
    reports: Reports, admin: Person, start: date, end: date
) -> None:
    with pytest.raises(InputError):
        reports.team(admin, None, start, end)
    with pytest.raises(InputError):
        reports.mine(admin, start, end)


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1+1", "-cmd|' /C calc'!A0"]
)
def test_no_cell_of_a_csv_is_a_formula(name: str) -> None:
    row = UsageRow.of(name, name, 1, 0, 0, 1, 0, 0, 0, 0.25, 5, 6)
    header, line = list(csv.reader(io.StringIO(csv_text([row]), newline="")))
    assert header[:3] == ["key", "name", "questions"]
    assert line[:2] == ["'" + name, "'" + name]
    assert line[2:] == ["1", "1", "0", "0", "0.25", "", "1.0", "0", "5", "6"]
