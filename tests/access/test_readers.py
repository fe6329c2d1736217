"""Nobody gets a document that SQL does not grant at this moment."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.access import readable
from app.access.readers import CHUNK
from app.db import Database
from app.db.tables import ConnectorRow, DocumentReaderRow, DocumentRow
from app.domain import EVERYONE, AccessBasis, Person
from tests.conftest import MakePerson

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Store = Callable[..., str]


@pytest.fixture
def connector(database: Database) -> str:
    row = ConnectorRow(kind="folder", name="Handbook", permissions_max_age_s=3600)
    with database.write() as session:
        session.add(row)
    return row.id


@pytest.fixture
def store(database: Database, connector: str) -> Store:
    numbers = itertools.count()

    def make(*readers: str, known: bool = True, checked_at: datetime = NOW) -> str:
        number = next(numbers)
        with database.write() as session:
            row = DocumentRow(
                connector_id=connector,
                source_id=str(number),
                title=f"Document {number}",
                access_known=known,
                permissions_checked_at=checked_at,
            )
            session.add(row)
            session.flush()
            session.add_all(DocumentReaderRow(document_id=row.id, principal=r) for r in readers)
        return row.id

    return make


def ask(
    database: Database, person: Person, *documents: str, at: datetime = NOW
) -> dict[str, AccessBasis]:
    with database.read() as session:
        return readable(session, person, documents, now=at)


def test_the_basis_is_the_most_specific_principal(
    database: Database, make_person: MakePerson, store: Store
) -> None:
    mara = make_person("Mara", groups=("sales", "a-team"))
    named = store(EVERYONE, "group:idp/sales", "user:mara@example.test")
    grouped = store(EVERYONE, "group:idp/sales", "group:idp/a-team")
    public = store(EVERYONE)
    found = ask(database, mara, named, grouped, public)
    assert {key: basis.principal for key, basis in found.items()} == {
        named: "user:mara@example.test",
        grouped: "group:idp/a-team",
        public: EVERYONE,
    }
    assert {basis.checked_at for basis in found.values()} == {NOW}


def test_no_matching_reader_means_no(
    database: Database, make_person: MakePerson, store: Store
) -> None:
    mara = make_person("Mara", groups=("sales",))
    others = store("user:tom@example.test", "group:idp/hr", "group:con_1/sales")
    assert ask(database, mara, others, store(), "doc_missing") == {}


def test_unknown_readers_mean_nobody(
    database: Database, make_person: MakePerson, store: Store
) -> None:
    assert ask(database, make_person("Mara"), store(EVERYONE, known=False)) == {}


def test_old_permissions_fail_closed(
    database: Database, make_person: MakePerson, store: Store
) -> None:
    mara, document = make_person("Mara"), store(EVERYONE)
    assert ask(database, mara, document, at=NOW + timedelta(seconds=3600))
    assert ask(database, mara, document, at=NOW + timedelta(seconds=3601)) == {}


def test_a_connector_being_removed_shows_nothing(
    database: Database, make_person: MakePerson, store: Store, connector: str
) -> None:
    mara, document = make_person("Mara"), store(EVERYONE)
    with database.write() as session:
        row = session.get(ConnectorRow, connector)
        assert row is not None
        row.status = "deleting"
    assert ask(database, mara, document) == {}


def test_hundreds_of_groups_and_documents_fit(
    database: Database, make_person: MakePerson, store: Store
) -> None:
    groups = tuple(f"g{number:04}" for number in range(CHUNK + 50))
    mara = make_person("Mara", groups=groups)
    first, last = store("group:idp/g0000"), store(f"group:idp/{groups[-1]}", EVERYONE)
    asked = [first, last, *(f"doc_{number}" for number in range(2 * CHUNK))]
    found = ask(database, mara, *asked)
    assert found[first].principal == "group:idp/g0000"
    assert found[last].principal == f"group:idp/{groups[-1]}"
    assert len(found) == 2


def test_nothing_asked_costs_nothing(database: Database, make_person: MakePerson) -> None:
    assert ask(database, make_person("Mara")) == {}
