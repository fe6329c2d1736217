"""Golden sets: put together by hand and from files; every step is recorded. From answers: test_answers.py."""

from __future__ import annotations

import json

import pytest

from app.db import Database, migrate
from app.db.tables import PersonRow, RehearsalRow
from app.domain import EVERYONE, Person, Role, now
from app.errors import InputError, NotFound, TooLarge
from app.records import Ledger
from app.rehearsal import Golden, GoldenSets, Runs, golden_csv, golden_jsonl, read_golden
from app.rehearsal.exchange import LARGEST_FILE
from app.rehearsal.golden import MOST_QUESTIONS
from app.rehearsal.measure import Side
from app.rehearsal.runs import Result
from app.rehearsal.sources import UNREADABLE
from app.routing.spending import Purse
from app.routing.voice import Attempt
from tests.conftest import MakePerson
from tests.rehearsal.conftest import LYON, TRAVEL, Stage
from tests.servers.postgres import postgres

SET = [
    Golden(LYON, ("Travel policy", "https://x.test/a"), ("180 euros | €180",), ("500",)),
    Golden("=HYPERLINK(1)\n+ a second line", (), ('"quoted", with a comma',), ("-1",)),
    Golden("Ünïcode?", ("Ordnung",)),
]


@pytest.fixture
def sets(database: Database, ledger: Ledger) -> GoldenSets:
    return GoldenSets(database, ledger)


@pytest.mark.parametrize(("write", "name"), [(golden_csv, "a.csv"), (golden_jsonl, "a.jsonl")])
def test_what_is_exported_is_read_again(write: object, name: str) -> None:
    text = write(SET)  # type: ignore[operator]
    assert read_golden(text.encode(), name) == SET
    assert read_golden(b"\xef\xbb\xbf" + text.encode(), name.upper()) == SET


def test_an_exported_cell_runs_nothing_in_a_spreadsheet() -> None:
    assert "'=HYPERLINK" in golden_csv(SET)
    assert "\n=" not in golden_csv(SET)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "text,label\nx,y\n", "no column 'question'"),
        ("a.csv", "question\n\n", "no question"),
        ("a.jsonl", '{"question": "x"}\nnonsense', "Line 2 is no JSON"),
        ("a.jsonl", '{"question": "x"}\n{"q": 1}', "Line 2: question"),
        ("a.jsonl", '{"question": "x", "must_say": "y"}', "Line 1: must_say"),
        ("a.jsonl", "[1]", "Line 1"),
        ("a.jsonl", "", "no question"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(name: str, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        read_golden(text.encode(), name)
    assert error.value.fix
    with pytest.raises(InputError, match="UTF-8"):
        read_golden(b"\xff\xfe", name)
    with pytest.raises(TooLarge):
        read_golden(b" " * (LARGEST_FILE + 1), name)


def test_a_set_is_edited_by_hand_and_each_step_is_recorded(
    sets: GoldenSets, make_person: MakePerson, ledger: Ledger
) -> None:
    noor = make_person("noor", role=Role.ADMIN)
    row = sets.add(noor, TRAVEL, Golden(f"  {LYON}\n", must_say=("180", " 180 ", "")))
    assert (row.question, row.must_say) == (LYON, ["180"])
    with pytest.raises(InputError, match="already"):
        sets.add(noor, TRAVEL, Golden(LYON.upper()))
    sets.add(noor, "general", Golden(LYON))
    other = sets.add(noor, TRAVEL, Golden("Another?"))
    with pytest.raises(InputError, match="already"):
        sets.change(noor, other.id, Golden(LYON))
    sets.change(noor, row.id, Golden(LYON, must_not_say=("500",)))
    assert Golden.of(sets.of(TRAVEL)[0]) == Golden(LYON, must_not_say=("500",))
    assert sets.sizes() == {TRAVEL: 2, "general": 1}
    sets.remove(noor, other.id)
    with pytest.raises(NotFound):
        sets.remove(noor, other.id)
    events = [json.loads(line)["event"] for line in ledger.export()]
    assert [e["change"] for e in events] == ["added", "added", "added", "changed", "removed"]
    assert LYON not in json.dumps(events)


def test_an_import_adds_and_changes_all_or_nothing(
    sets: GoldenSets, make_person: MakePerson
) -> None:
    noor = make_person("noor", role=Role.ADMIN)
    sets.add(noor, TRAVEL, Golden(LYON))
    brought = sets.bring(noor, TRAVEL, SET)
    assert (brought.added, brought.changed) == (2, 1)
    assert sets.exported(noor, TRAVEL) == SET
    with pytest.raises(InputError):
        sets.bring(noor, TRAVEL, [Golden("New?"), Golden("x" * 5000)])
    with pytest.raises(InputError, match=str(MOST_QUESTIONS)):
        sets.bring(noor, TRAVEL, [Golden(f"{n}?") for n in range(MOST_QUESTIONS)])
    assert len(sets.of(TRAVEL)) == 3


@pytest.mark.parametrize(
    "golden",
    [
        Golden(" "),
        Golden("x" * 4001),
        Golden("?", must_say=("a" * 301,)),
        Golden("?", tuple(map(str, range(21)))),
        Golden("?", must_say=("A",), must_not_say=("a",)),
    ],
)
def test_a_question_that_cannot_be_checked_is_refused(
    sets: GoldenSets, make_person: MakePerson, golden: Golden
) -> None:
    with pytest.raises(InputError):
        sets.add(make_person("noor"), TRAVEL, golden)


def test_titles_are_shown_to_those_who_may_read_the_document(stage: Stage) -> None:
    hal = stage.house.person("hal", "hr", role=Role.ADMIN)
    sets = stage.rehearsals.golden
    row = sets.add(hal, TRAVEL, Golden("Bands?", ("salary bands", "No such title")))
    document, unknown = row.sources
    assert document.startswith("doc_")
    assert sets.names.titles(hal, row.sources)[document] == "Salary bands"
    assert sets.names.titles(stage.noor, row.sources) == {document: UNREADABLE, unknown: unknown}
    blind = sets.add(stage.noor, TRAVEL, Golden("Bands!", ("Salary bands",)))
    assert blind.sources == ["Salary bands"]  # whether there is such a document stays unsaid


def test_everything_is_kept_on_postgresql_too() -> None:
    with postgres() as url:
        database = Database(url)
        migrate(database)
        noor = _admin(database)
        sets, runs = GoldenSets(database, Ledger(database)), Runs(database, Ledger(database))
        assert sets.bring(noor, TRAVEL, SET).added == 3
        with pytest.raises(InputError, match="already"):
            sets.add(noor, TRAVEL, SET[0])
        route = {"version": 0, "models": ["a"], "prompt": "p", "temperature": 0.0, "max_tokens": 9}
        row = RehearsalRow(
            intent=TRAVEL, version_id="route_1", number=1, before=route, after=route,
            person_id=noor.id, questions=3, started_at=now(), heartbeat_at=now(),
        )  # fmt: skip
        runs.open(row)
        runs.pay(row.id, Purse(attempts=[Attempt("a", "A", cost_usd=0.25)]))
        result = Result("rres_1", SET[0], Side(cost_usd=0.25), Side(), "same", (), None)
        runs.keep(row.id, 0, result)
        runs.pay(row.id, Purse(attempts=[Attempt("b", "B", cost_usd=0.5)]))
        assert runs.beat(row.id)
        assert runs.end(row.id, "cancelled")
        assert not runs.end(row.id, "finished")
        assert not runs.beat(row.id)
        kept = runs.get(row.id)
        assert (kept.status, kept.done, kept.cost_usd) == ("cancelled", 1, 0.75)
        assert runs.results(noor, row.id) == [result]
        runs.remove(noor, row.id)
        database.close()


def _admin(database: Database) -> Person:
    with database.write() as session:
        session.add(PersonRow(id="p1", email="noor@example.test", name="Noor", role="admin"))
    return Person("p1", "noor@example.test", "Noor", Role.ADMIN, "", frozenset({EVERYONE}))
