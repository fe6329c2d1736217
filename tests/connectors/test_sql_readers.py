"""Who may read a row, what the settings say when they are wrong, and SQLite."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from connectors.contract import Access, Capability, Check, Connector, Outcome, Reader, SourceFault
from connectors.sql import SqlConnector
from connectors.sql.readers import admits, readers
from connectors.sql.settings import SqlSecrets, SqlSettings
from connectors.suite import ConnectorContract, listing

NOBODY = Access.nobody()
KIND = """
[[kind]]
name = "notes"
query = "SELECT * FROM note"
id = "id"
title = "title"
content = "body"
cursor = "at"
readers = "readers"
deleted = "gone"
"""


class World:
    """A SQLite file as its owner sees it, and connectors to it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "notes of all?#.db"
        self.run(
            "CREATE TABLE note (id INTEGER PRIMARY KEY, title, body, at, gone, readers);"
            "CREATE TABLE team (name, member);"
            "INSERT INTO note VALUES (1, 'One', 'First.', '2024-03-01 10:00:00', 0, 'ada@example.test, group:staff'),"
            " (2, 'Two', 'Second.', '2024-03-01T10:00:00Z', 0, '[\"bob@example.test\"]'),"
            " (3, 'Three', 'Third.', '2024-03-02T12:00:00+02:00', 0, NULL);"
            "INSERT INTO team VALUES ('staff', 'cy@example.test')"
        )

    def run(self, sql: str, *rows: tuple[object, ...]) -> None:
        connection = sqlite3.connect(self.file)
        with connection:
            if rows:
                connection.executemany(sql, rows)
            else:
                connection.executescript(sql)
        connection.close()

    def connector(self, kinds: str = KIND, **settings: object) -> SqlConnector:
        values = {
            "url": f"sqlite:///{self.file}",
            "kinds": kinds,
            "groups_query": "SELECT * FROM team",
            **settings,
        }
        return SqlConnector(SqlSettings.model_validate(values))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: World) -> Connector:
        return world.connector()

    @pytest.fixture
    def broken_connector(self, world: World) -> Connector:
        return world.connector(url="sqlite:////no/such/file.db")

    @pytest.fixture
    def changed_connector(self, world: World) -> Callable[[], Connector]:
        def change() -> Connector:
            world.run(
                "UPDATE note SET body = 'Now.', at = datetime('now') WHERE id = 1;"
                "UPDATE note SET gone = 1, at = datetime('now') WHERE id = 2;"
                "INSERT INTO note VALUES (9, 'New', 'New.', datetime('now'), 0, NULL)"
            )
            return world.connector()

        return change


# --- The readers column -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "access"),
    [
        (None, NOBODY),
        ("", Access.of()),
        ([], Access.of()),
        ("Ada@Example.TEST ; group: HR\nbob@example.test", Access.of(["ada@example.test", "bob@example.test"], ["HR"])),
        ('["ada@example.test", null]', Access.of(["ada@example.test"])),
        (["group:a,b", "GROUP:c"], Access.of(groups=["a,b", "c"])),
        # One entry that cannot be understood admits nobody; the others stay.
        ("everyone, ada@example.test", Access.of(["ada@example.test"])),
        ("*, all, @example.test, ada@, Ada <ada@example.test>, group:", Access.of()),
        # What cannot be understood as a whole, or takes away, is nobody's.
        ("-ada@example.test, group:staff", NOBODY),
        (["group:staff", "!ada@example.test"], NOBODY),
        ('["ada@example.test"', NOBODY),
        ("{ada@example.test}", NOBODY),
        ({"users": ["ada@example.test"]}, NOBODY),
        ([["ada@example.test"]], NOBODY),
        (7, NOBODY),
        (True, NOBODY),
    ],
)  # fmt: skip
def test_what_a_readers_column_means(value: object, access: Access) -> None:
    assert readers(value, allow_everyone=False).access == access


def test_everyone_counts_only_when_the_setting_allows_it(world: World) -> None:
    world.run("UPDATE note SET readers = 'everyone' WHERE id = 1")
    strict, open_ = world.connector(), world.connector(allow_everyone=True)
    assert listing(strict).documents["notes:1"].access == Access.of()
    assert listing(open_).documents["notes:1"].access == Access(known=True, everyone=True)
    someone = Reader("someone@example.test")
    assert (strict.may_read("notes:1", someone), open_.may_read("notes:1", someone)) == (
        False,
        True,
    )


def test_groups_nest_and_leave_out_who_has_no_address(world: World) -> None:
    world.run(
        "INSERT INTO team VALUES (?, ?)",
        ("staff", "group:hr"), ("hr", "Di@Example.test"), ("hr", "a name"), ("empty", None), (None, "x@example.test"),
    )  # fmt: skip
    assert world.connector().groups() == {
        "staff": frozenset({"cy@example.test", "group:hr"}),
        "hr": frozenset({"di@example.test"}),
        "empty": frozenset(),
    }


def test_a_groups_query_of_other_columns_is_a_fault(world: World) -> None:
    with pytest.raises(SourceFault, match="gives 1 columns"):
        world.connector(groups_query="SELECT name FROM team").groups()


def test_without_a_groups_query_there_are_no_groups(world: World) -> None:
    connector = world.connector(groups_query=" ")
    assert Capability.GROUPS not in connector.capabilities
    permissions = checks(connector)["permissions"]
    assert permissions.outcome is Outcome.INDETERMINATE
    assert "no groups query" in permissions.message


def test_new_readers_are_told_without_content_though_the_cursor_stood_still(world: World) -> None:
    world.run("UPDATE note SET readers = 'di@example.test' WHERE id = 3")
    told = {c.id: c.access for c in world.connector().access({}) if not hasattr(c, "state")}
    assert told["notes:3"] == Access.of(["di@example.test"])
    assert len(told) == 3


def test_every_person_and_row_agrees_with_the_source(world: World) -> None:
    """Access with expanded groups, and the live answer, against a plain reading of the tables."""
    random.seed(5)
    people = [f"p{n}@example.test" for n in range(8)]
    names = [f"g{n}" for n in range(6)]
    edges = [(g, random.choice([*people, *(f"group:{n}" for n in names)])) for g in names * 3]
    rows = []
    for id in range(100, 140):
        entries = random.sample([*people, *(f"group:{n}" for n in names)], random.randint(0, 3))
        value = random.choice(
            [None, json.dumps(entries), ", ".join(entries).upper().replace("GROUP:G", "group:g")]
        )
        rows.append((id, "T", f"body {id}", "2024-05-01", 0, value))  # fmt: skip
    world.run("INSERT INTO team VALUES (?, ?)", *edges)
    world.run("INSERT INTO note VALUES (?, ?, ?, ?, ?, ?)", *rows)

    def may(person: str, entry: str, seen: frozenset[str] = frozenset()) -> bool:
        if not entry.startswith("group:"):
            return entry.lower() == person
        name = entry.removeprefix("group:")
        return name not in seen and any(
            may(person, member, seen | {name}) for group, member in edges if group == name
        )

    connector = world.connector()
    groups, documents = dict(connector.groups()), listing(connector).documents
    admitted = 0
    for id, _, _, _, _, value in rows:
        entries = (
            []
            if value is None
            else json.loads(value)
            if value.startswith("[")
            else value.split(", ")
        )
        for person in people:
            expected = any(may(person, entry) for entry in entries)
            admitted += expected
            assert admits(documents[f"notes:{id}"].access, groups, person) is expected
            if id % 5 == 0:
                assert connector.may_read(f"notes:{id}", Reader(person.upper())) is expected
    assert 20 < admitted < 300  # fmt: skip


def test_a_reader_check_answers_live(world: World) -> None:
    world.run(
        "CREATE TABLE live (note, email, may); INSERT INTO live VALUES (1, 'di@example.test', 1), (1, 'ed@example.test', 0)"
    )
    check = (
        'reader_check = "SELECT may FROM live WHERE note = CAST(:id AS INTEGER) AND email = :email"'
    )
    connector = world.connector(KIND + check)
    answers = {
        who: connector.may_read("notes:1", Reader(f"{who}@example.test"))
        for who in ("di", "ed", "ada", "x' OR '1'='1")
    }
    assert answers == {"di": True, "ed": False, "ada": False, "x' OR '1'='1": False}
    world.run("DELETE FROM note WHERE id = 1")
    assert not connector.may_read("notes:1", Reader("di@example.test")), "a row that is gone"


def test_a_deleted_row_is_nobodys_live(world: World) -> None:
    ada = Reader("ADA@example.test")
    assert world.connector().may_read("notes:1", ada)
    world.run("UPDATE note SET gone = 'yes' WHERE id = 1")
    assert not world.connector().may_read("notes:1", ada)
    assert not world.connector().may_read("others:1", ada)


# --- What validate says -------------------------------------------------------------------------------------------------


def checks(connector: SqlConnector) -> dict[str, Check]:
    return {check.name: check for check in connector.validate()}


def test_a_sound_source_passes(world: World) -> None:
    found = checks(world.connector())
    assert all(check.outcome is Outcome.PASSED for check in found.values())
    assert found["content"].message == "notes: 3 rows can be read."
    assert found["permissions"].message == "2 of 3 rows name readers."
    assert found["groups"].message == "1 groups with 1 people can be read."


def test_a_missing_column_is_named(world: World) -> None:
    content = checks(world.connector(KIND.replace('"at"', '"changed_at"')))["content"]
    assert content.outcome is Outcome.FAILED
    assert (
        "gives no column changed_at; it gives id, title, body, at, gone, readers" in content.message
    )


def test_a_cursor_that_is_no_time_is_named(world: World) -> None:
    content = checks(world.connector(KIND.replace('"at"', '"body"')))["content"]
    assert "has a time or number in its cursor column body" in content.message


def test_a_source_where_nobody_may_read_fails(world: World) -> None:
    world.run("UPDATE note SET readers = NULL")
    assert checks(world.connector())["permissions"].outcome is Outcome.FAILED


def test_entries_that_admit_nobody_are_counted(world: World) -> None:
    world.run("UPDATE note SET readers = 'ada@example.test, everyone, bob' WHERE id = 2")
    permissions = checks(world.connector())["permissions"]
    assert permissions.message == "2 entries admit nobody, the first is 'everyone'."


# --- Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('id = "id"', ""), "[[kind]] 1, id: it is missing"),
        (('cursor = "at"', 'cursr = "at"'), "[[kind]] 1, cursr: there is no such setting"),
        (('name = "notes"', 'name = "My notes"'), "[[kind]] 1, name:"),
        (('"SELECT * FROM note"', '"DELETE FROM note"'), "[[kind]] 1, query: a query begins with SELECT"),
        (('deleted = "gone"', 'link = "javascript:x"'), "[[kind]] 1, link: a link begins with https://"),
        (('deleted = "gone"', 'reader_check = "SELECT 1"'), "must use :id and :email"),
        (("[[kind]]", "[[kind"), "not valid TOML"),
        (("[[kind]]", KIND + "[[kind]]"), "two kinds are named 'notes'"),
        ((KIND, ""), "[[kind]]: it is missing"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_kinds_says_where(
    world: World, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(ValidationError) as error:
        world.connector(KIND.replace(*change))
    assert words in error.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@db/crm",
        "postgresql://ada:@db/crm",
        "postgresql://db/crm?password=secret",
        "postgresql://db/crm?options=-c%20x%3Dy",
        "postgresql:///crm",
        "postgresql://db",
        "mysql://db/crm",
        "sqlite:///relative.db",
        "sqlite:////data/kb.db?mode=rwc",
    ],
)
def test_addresses_that_are_refused(world: World, url: str) -> None:
    with pytest.raises(ValidationError) as error:
        world.connector(url=url)
    assert "secret" not in error.value.errors()[0]["msg"]


def test_the_password_is_in_no_message() -> None:
    settings = SqlSettings(url="postgresql://ada@127.0.0.1:1/crm", kinds=KIND)
    connector = SqlConnector(settings, SqlSecrets(password=SecretStr("s3cr3t-word")))
    said = str(connector.validate())
    assert "cannot be reached" in said
    assert "s3cr3t-word" not in said + repr(connector.secrets) + settings.model_dump_json()


# --- SQLite -------------------------------------------------------------------------------------------------------------


def test_sqlite_is_never_written(world: World) -> None:
    connector = world.connector()
    with connector._database().reading() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM note")
    assert len(list(connector.list_ids())) == 3


def test_times_in_several_forms_are_compared_as_times(world: World) -> None:
    """12:00+02:00 on 2 March is after 10:00Z on 1 March and equals 10:00:00 of that day."""
    connector = world.connector()
    first = listing(connector)
    assert list(first.documents) == ["notes:1", "notes:2", "notes:3"]
    world.run(
        "INSERT INTO note VALUES (4, 'Four', 'x', '2024-03-02 09:55:00', 0, NULL), (5, 'Five', 'x', '2024-03-02 09:45:00', 0, NULL)"
    )
    again = listing(connector, checkpoint=first.checkpoints[-1].state, known=first.versions)
    assert list(again.documents) == ["notes:4"], "ten minutes of overlap, not more"


def test_seconds_since_1970_are_a_cursor(world: World) -> None:
    world.run("UPDATE note SET at = 1700000000 + id")
    connector = world.connector()
    first = listing(connector)
    world.run("UPDATE note SET at = 1700009000, body = 'Later.' WHERE id = 2")
    again = listing(connector, checkpoint=first.checkpoints[-1].state, known=first.versions)
    assert list(again.documents) == ["notes:2"]


def test_a_slow_query_is_ended(world: World) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS id, 'x' AS body, NULL AS readers FROM n"
    kinds = f'[[kind]]\nname = "slow"\nquery = "{query}"\nid = "id"\ncontent = "body"\nreaders = "readers"'
    with pytest.raises(SourceFault, match="longer than 1 seconds"):
        listing(world.connector(kinds, statement_timeout_s=1))


def test_the_application_can_write_while_a_sync_waits(world: World) -> None:
    changes = world.connector().changes({}, {})
    next(changes)
    world.run("UPDATE note SET title = 'Written meanwhile' WHERE id = 3")
    assert len(list(changes)) >= 2
