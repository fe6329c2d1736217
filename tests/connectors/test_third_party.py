"""A package from elsewhere becomes a source by its entry point alone: no list here names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.db import Database
from app.domain import Person, Role
from app.durable import Durable
from app.errors import InputError
from app.identity.groups import Directory
from app.knowledge.embed import MiniLM, load_embedder
from app.knowledge.index import EdgeIndex
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.knowledge.sync.sources import Sources
from app.records import Ledger
from app.settings import Settings
from connectors.contract import Connector
from connectors.suite import ConnectorContract
from tests.conftest import MakePerson

SAMPLE = Path(__file__).parent / "sample"
BOARD: dict[str, Any] = {
    "notes": [
        {
            "id": "1",
            "title": "Kitchen",
            "text": "The coffee machine is cleaned every Friday.",
            "version": "a",
            "users": [],
            "groups": ["staff"],
        },
        {
            "id": "2",
            "title": "Safe",
            "text": "The combination of the safe is with Ada.",
            "version": "a",
            "users": ["ada@example.test"],
            "groups": [],
        },
    ],
    "groups": {"staff": ["group:kitchen", "bob@example.test"], "kitchen": ["cleo@example.test"]},
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLE))


@pytest.fixture
def board(tmp_path: Path) -> Path:
    file = tmp_path / "board.json"
    file.write_text(json.dumps(BOARD))
    return file


def pinboard(file: Path) -> Connector:
    from pinboard import Pinboard, PinboardSettings

    connector: Connector = Pinboard(PinboardSettings(file=file))
    return connector


class TestPinboard(ConnectorContract):
    @pytest.fixture
    def connector(self, board: Path) -> Connector:
        return pinboard(board)

    @pytest.fixture
    def broken_connector(self, tmp_path: Path) -> Connector:
        return pinboard(tmp_path / "missing.json")

    @pytest.fixture
    def changed_connector(self, board: Path) -> Callable[[], Connector]:
        def change() -> Connector:
            notes = [dict(BOARD["notes"][0], version="b"), dict(BOARD["notes"][0], id="3")]
            board.write_text(json.dumps({"notes": notes, "groups": {}}))
            return pinboard(board)

        return change


def test_it_is_found_beside_the_built_ins_and_a_broken_one_is_left_out() -> None:
    kinds = {kind.kind: kind for kind in Sources().kinds()}
    assert {"folder", "pinboard"} <= kinds.keys()
    assert "broken" not in kinds
    assert "file" in kinds["pinboard"].settings_model.model_fields
    with pytest.raises(InputError, match="no connector 'nothing'"):
        Sources().connector("nothing", {})


def test_its_documents_and_nested_groups_reach_the_right_people(
    board: Path,
    database: Database,
    ledger: Ledger,
    settings: Settings,
    make_person: MakePerson,
) -> None:
    people = [make_person(name) for name in ("Ada", "Bob", "Cleo", "Dan")]
    embedder = load_embedder()
    index = EdgeIndex(settings.data_dir / "index", dimension=384, embedder=MiniLM.name)
    durable = Durable(settings, database)
    sync = Sync(database, ledger, index, embedder, Directory(database), durable, settings)
    connector_id = sync.add(None, "pinboard", "Board", {"file": str(board)})
    assert sync.run_once(connector_id).status == "finished"
    search = Search(database, index, embedder)

    def seen(person: Person, text: str) -> set[str]:
        now = Person(
            person.id, person.email, person.name, Role.EMPLOYEE, "", principals(database, person)
        )
        return {passage.title for passage in search.search(text, None, now).passages}

    who = [bool(seen(person, "When is the coffee machine cleaned?")) for person in people]
    assert who == [False, True, True, False]
    who = [bool(seen(person, "combination of the safe")) for person in people]
    assert who == [True, False, False, False]
    index.close()


def principals(database: Database, person: Person) -> frozenset[str]:
    from sqlalchemy import select
    from sqlmodel import col

    from app.db.tables import PersonPrincipalRow

    with database.read() as session:
        return frozenset(
            session.execute(
                select(col(PersonPrincipalRow.principal)).where(
                    col(PersonPrincipalRow.person_id) == person.id
                )
            ).scalars()
        )
