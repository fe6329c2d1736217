"""Search and documents: what is near is found, what is not is left out, what SQL denies is withheld and counted."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, event, select
from sqlmodel import col

from app.db.tables import DocumentReaderRow, DocumentRow, EventRow
from app.domain import DataClass, Found, Person, Role
from app.errors import NotFound, Withheld
from tests.conftest import MakePerson
from tests.knowledge.conftest import EVERYONE, Desk

PAGES = {
    "holidays.md": "# Holidays\n\nEveryone has 28 days of annual leave. Book it in Almanac two weeks ahead.",
    "travel.md": "# Travel policy\n\nTake the train where it is under five hours. Hotels up to 120 pounds.",
    "on-call.md": "# On-call guide\n\nThe person on call answers within 15 minutes. Incident INC-2026-014.",
    "vpn.md": "# VPN\n\nReset your VPN token on the Keyring page, then sign in again.",
    "expenses.md": "# Expenses\n\nSend receipts by the 25th. Meals up to 30 pounds a day are paid.",
}


@pytest.fixture
def filled(desk: Desk) -> Desk:
    desk.write("access.toml", EVERYONE)
    for name, text in PAGES.items():
        desk.write(name, text)
    desk.run()
    return desk


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How much holiday do I get?", "Holidays"),
        ("What is the most I may pay for a hotel?", "Travel policy"),
        ("How quickly must the on-call engineer respond?", "On-call guide"),
        ("how do i reset my token", "VPN"),
        ("INC-2026-014", "On-call guide"),
        ("Almanac", "Holidays"),
    ],
)
def test_the_page_that_answers_comes_first(
    filled: Desk, make_person: MakePerson, question: str, title: str
) -> None:
    assert filled.find(question, make_person("Ada")).passages[0].title == title


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   ",
        "asdf qwer zxcv",
        "What is the capital of Mongolia?",
        "who won the world cup in 2018?",
        "write me a poem about spring",
        "the of and",
    ],
)
def test_nonsense_finds_nothing(filled: Desk, make_person: MakePerson, question: str) -> None:
    assert filled.find(question, make_person("Ada")) == Found()


def test_somebody_without_principals_finds_nothing(filled: Desk) -> None:
    nobody = Person("p", "p@example.test", "P", Role.ADMIN, "", frozenset())
    assert filled.find("How much holiday do I get?", nobody) == Found()


def test_a_stale_index_copy_is_withheld_counted_and_leaves_no_trace_in_the_ranking(
    filled: Desk, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    before = filled.find("How much holiday do I get? Is a hotel paid?", ada)
    assert before.passages[0].title == "Holidays"
    with filled.database.write() as session:
        holiday = session.execute(
            select(DocumentRow).where(col(DocumentRow.title) == "Holidays")
        ).scalar_one()
        session.execute(
            delete(DocumentReaderRow).where(col(DocumentReaderRow.document_id) == holiday.id)
        )
    after = filled.find("How much holiday do I get? Is a hotel paid?", ada)
    assert after.withheld == 1
    assert "Holidays" not in {passage.title for passage in after.passages}
    filled.index.set_access(holiday.id, [], int(DataClass.INTERNAL))
    settled = filled.find("How much holiday do I get? Is a hotel paid?", ada)
    assert settled.withheld == 0
    assert [(p.chunk_id, p.score) for p in settled.passages] == [
        (p.chunk_id, p.score) for p in after.passages
    ]


def test_one_document_does_not_fill_the_list_while_others_fit(
    filled: Desk, make_person: MakePerson
) -> None:
    parts = "\n\n".join(
        f"## Leave of kind {i}\n\n" + f"Annual leave rule {i} about days of leave. " * 20
        for i in range(8)
    )
    filled.write("leave-rules.md", f"# Leave rules\n\n{parts}")
    filled.run()
    found = filled.find("How many days of annual leave?", make_person("Ada"), limit=4)
    assert {passage.title for passage in found.passages} >= {"Leave rules", "Holidays"}
    assert [p.score for p in found.passages] == sorted(
        (p.score for p in found.passages), reverse=True
    )


def test_a_question_costs_two_statements(filled: Desk, make_person: MakePerson) -> None:
    ada = make_person("Ada")
    statements: list[str] = []

    @event.listens_for(filled.database.engine, "before_cursor_execute")
    def _count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    vector = filled.embedder.query("How much holiday do I get?")
    for _ in range(20):
        filled.search.search("How much holiday do I get?", vector, ada)
    assert len(statements) == 40


def test_a_document_opens_for_its_readers_and_is_silence_for_others(
    filled: Desk, make_person: MakePerson
) -> None:
    ada = make_person("Ada")
    document_id = filled.find("annual leave", ada).passages[0].document_id
    view = filled.documents.open(ada, document_id)
    assert view.title == "Holidays"
    assert "28 days" in view.text
    assert view.text.startswith("# Holidays")
    assert [chunk.text for chunk in view.chunks]
    assert view.source == "Files"
    filled.write("access.toml", '[access]\ngroups = ["hr"]\n')
    filled.run()
    with pytest.raises(Withheld) as withheld:
        filled.documents.open(ada, document_id)
    with pytest.raises(NotFound) as missing:
        filled.documents.open(ada, "doc_unknown")
    assert str(withheld.value) == str(missing.value)
    with filled.database.read() as session:
        denied = session.execute(
            select(EventRow).where(col(EventRow.type) == "access_denied")
        ).scalar_one()
    assert (denied.actor, denied.subject) == (ada.id, document_id)
