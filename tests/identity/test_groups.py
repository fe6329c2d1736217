"""Groups within groups: what a person is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.db import Database
from app.db.tables import GroupMemberRow, PersonPrincipalRow
from app.domain import EVERYONE, Person
from app.identity import Directory
from app.identity.groups import reachable

ADA, BOB = "user:ada@example.test", "user:bob@example.test"


@pytest.fixture
def directory(database: Database) -> Directory:
    return Directory(database)


@pytest.fixture
def ada(make_person: Any) -> Person:
    person: Person = make_person("Ada")
    return person


@pytest.fixture
def bob(make_person: Any) -> Person:
    person: Person = make_person("Bob")
    return person


def stored(database: Database, person: Person) -> set[str]:
    with database.read() as session:
        return set(
            session.execute(
                select(PersonPrincipalRow.principal).where(
                    PersonPrincipalRow.person_id == person.id
                )
            ).scalars()
        )


def test_nested_groups_are_expanded(database: Database, directory: Directory, ada: Person) -> None:
    with database.write() as session:
        directory.replace_groups(
            session,
            "idp",
            {
                "sales-uk": {ADA},
                "sales": {"group:idp/sales-uk"},
                "commercial": {"group:idp/sales"},
                "engineering": {BOB},
            },
        )
        found = directory.expand(session, ada.id, ada.email)
    assert found == {
        EVERYONE,
        ADA,
        "group:idp/sales-uk",
        "group:idp/sales",
        "group:idp/commercial",
    }
    assert stored(database, ada) == found


def test_cycles_end(database: Database, directory: Directory, ada: Person) -> None:
    with database.write() as session:
        directory.replace_groups(
            session,
            "idp",
            {
                "a": {ADA, "group:idp/c"},
                "b": {"group:idp/a"},
                "c": {"group:idp/b", "group:idp/c"},
            },
        )
        found = directory.expand(session, ada.id, ada.email)
    assert found == {EVERYONE, ADA, "group:idp/a", "group:idp/b", "group:idp/c"}


def test_namespaces_do_not_mix(database: Database, directory: Directory, ada: Person) -> None:
    with database.write() as session:
        directory.replace_groups(session, "con_1", {"staff": {ADA}})
        directory.replace_groups(session, "con_2", {"staff": {BOB}})
        directory.set_direct_groups(session, "Ada@Example.test", ["staff"])
        found = directory.expand(session, ada.id, ada.email)
        assert found == {EVERYONE, ADA, "group:con_1/staff", "group:idp/staff"}
        directory.replace_groups(session, "con_1", {})
        assert "group:con_1/staff" not in directory.expand(session, ada.id, ada.email)


def test_a_source_cannot_give_away_the_providers_groups(
    database: Database, directory: Directory, ada: Person
) -> None:
    """A connector's group is `group:<its id>/…`, whatever the source calls it."""
    with database.write() as session:
        directory.replace_groups(session, "con_1", {"idp/hr": {ADA}})
        found = directory.expand(session, ada.id, ada.email)
    assert "group:idp/hr" not in found


def test_a_group_of_everyone_holds_everyone(
    database: Database, directory: Directory, ada: Person
) -> None:
    with database.write() as session:
        directory.replace_groups(
            session, "con_1", {"all": {EVERYONE}, "readers": {"group:con_1/all"}}
        )
        found = directory.expand(session, ada.id, ada.email)
        directory.expand_all(session)
    assert (
        found
        == stored(database, ada)
        == {
            EVERYONE,
            ADA,
            "group:con_1/all",
            "group:con_1/readers",
        }
    )


def test_direct_groups_are_replaced_and_nested_ones_stay(
    database: Database, directory: Directory, ada: Person, bob: Person
) -> None:
    with database.write() as session:
        directory.replace_groups(
            session, "idp", {"sales": {ADA, BOB}, "commercial": {"group:idp/sales"}}
        )
        directory.set_direct_groups(session, ada.email, ["legal"])
        assert directory.expand(session, ada.id, ada.email) == {EVERYONE, ADA, "group:idp/legal"}
        assert "group:idp/commercial" in directory.expand(session, bob.id, bob.email)


def test_expand_all_says_how_many_changed(
    database: Database, directory: Directory, ada: Person, bob: Person
) -> None:
    with database.write() as session:
        directory.replace_groups(session, "idp", {"sales": {ADA}})
        assert directory.expand_all(session) == 1
        assert directory.expand_all(session) == 0
    assert stored(database, ada) == {EVERYONE, ADA, "group:idp/sales"}
    assert stored(database, bob) == {EVERYONE, BOB}


def test_hundreds_of_groups_are_fine(database: Database, directory: Directory, ada: Person) -> None:
    names = [f"group-{n}" for n in range(1200)]
    with database.write() as session:
        directory.set_direct_groups(session, ada.email, names)
        assert len(directory.expand(session, ada.id, ada.email)) == 1202
        directory.set_direct_groups(session, ada.email, names[:1])
        assert len(directory.expand(session, ada.id, ada.email)) == 3


NAMES = st.sampled_from([f"g{n}" for n in range(7)])
MEMBERS = st.one_of(
    NAMES.map(lambda name: f"group:idp/{name}"), st.sampled_from([ADA, BOB, EVERYONE])
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(groups=st.dictionaries(NAMES, st.frozensets(MEMBERS, max_size=4), max_size=7))
def test_one_by_one_and_all_at_once_agree(
    database: Database,
    directory: Directory,
    ada: Person,
    bob: Person,
    groups: dict[str, frozenset[str]],
) -> None:
    """Random graphs with cycles: the recursive query, the walk in memory and a naive fixpoint give the same."""
    with database.write() as session:
        session.execute(delete(GroupMemberRow))
        directory.replace_groups(session, "idp", groups)
        single = {p.id: directory.expand(session, p.id, p.email) for p in (ada, bob)}
        assert directory.expand_all(session) == 0
    for person, me in ((ada, ADA), (bob, BOB)):
        assert single[person.id] == stored(database, person) == _fixpoint({EVERYONE, me}, groups)


def _fixpoint(start: set[str], groups: dict[str, frozenset[str]]) -> set[str]:
    found = set(start)
    while True:
        more = {f"group:idp/{name}" for name, members in groups.items() if members & found}
        if more <= found:
            return found
        found |= more


def test_reachable_of_nothing_is_the_start() -> None:
    assert reachable({"a"}, {}) == {"a"}
    assert reachable({"a"}, {"a": ["a", "b"], "b": ["a"]}) == {"a", "b"}
