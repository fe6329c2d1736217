"""The permissions benchmark on a small company: it finds nothing wrong where nothing is, and it notices what is broken."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from app.db import Database
from app.db.tables import PersonRow
from app.domain import EVERYONE, AccessBasis, Found, Person, now
from app.identity.groups import PROVIDER, Directory, group_principal
from app.knowledge.embed import Embedder, Vector
from app.knowledge.index import Hit
from app.knowledge.search import Relevance, Search
from tests.bench import permissions, permissions_data, permissions_openfga, permissions_rows
from tests.bench.permissions_changes import Stream
from tests.bench.permissions_desk import Desk, email, opened, principals
from tests.bench.permissions_rows import BadRows, Rows, Truth

ALL = Relevance(near=-1.0, far=-1.0, gap=9.0)
SUBJECTS = ("salary bands", "holiday rota", "travel budget", "laptop orders", "customer incident")
PLACES = ("Leeds", "Oslo", "Porto")
PEOPLE: list[dict[str, Any]] = [
    {"id": "ada", "groups": ["finance"]},
    {"id": "ben", "groups": ["leeds"]},
    {"id": "cleo@corp.test", "groups": []},
    {"id": "dan", "groups": ["oslo", "finance"]},
    {"id": "eve", "groups": []},
    {"group": "staff", "members": ["group:north", "finance"]},
    {"group": "north", "members": ["leeds", "oslo"]},
    {"group": "leeds", "members": ["group:staff", "cleo@corp.test"]},
    {"group": "all", "members": ["everyone"]},
]
READERS = (["staff"], ["finance", "eve"], ["group:all"], ["user:cleo@corp.test"], [], ["oslo"])
DOCUMENTS = [
    {
        "_id": f"d{number}",
        "title": f"{subject.capitalize()} in {place}",
        "text": f"What holds in {place} for {subject}, as agreed in meeting {number}.",
        "readers": READERS[number % len(READERS)],
    }
    for number, (subject, place) in enumerate((s, p) for s in SUBJECTS for p in PLACES)
]
QUERIES = [
    {"_id": "q1", "text": "What is the travel budget?"},
    {"_id": "q2", "text": "customer incident Oslo"},
    {"_id": "q3", "text": "laptop and holiday"},
]


@pytest.fixture
def rows() -> Rows:
    return permissions_rows.rows(DOCUMENTS, PEOPLE, QUERIES)


@pytest.fixture
def desk(tmp_path: Path, rows: Rows, embedder: Embedder) -> Iterator[Desk]:
    context: AbstractContextManager[Desk] = opened(tmp_path, rows, embedder, ALL)
    with context as desk:
        yield desk


@pytest.fixture
def queries(rows: Rows, embedder: Embedder) -> permissions.Queries:
    return {query: (text, embedder.query(text)) for query, text in rows.queries.items()}


def test_nested_groups_cycles_and_everyone_are_followed(rows: Rows) -> None:
    truth = Truth.of(rows)
    everybody = set(rows.people)
    assert truth.admitted("d0") == {"ada", "ben", "cleo@corp.test", "dan"}
    assert truth.admitted("d1") == {"ada", "dan", "eve"}
    assert truth.admitted("d2") == everybody
    assert truth.admitted("d3") == {"cleo@corp.test"}
    assert truth.admitted("d4") == set()
    assert "d0" in truth.permitted("dan")
    assert truth.permitted("eve") == {d for d in rows.readers if "eve" in truth.admitted(d)}


def test_a_name_that_is_nobodys_or_two_things_is_refused() -> None:
    document = {"_id": "d", "title": "", "text": "t", "readers": ["ada"]}
    with pytest.raises(BadRows, match="in no row"):
        permissions_rows.rows([document], [{"id": "ben", "groups": []}], [])
    with pytest.raises(BadRows, match="a person and a group"):
        permissions_rows.rows([document], [{"id": "ada"}, {"group": "ada", "members": []}], [])


def test_filtered_results_are_those_of_ones_own_index(
    desk: Desk, rows: Rows, queries: permissions.Queries, tmp_path: Path
) -> None:
    truth = Truth.of(rows)
    tally = permissions.sweep(desk, truth, rows.people, queries, {"q1": {"d0": 1, "d7": 2}})
    assert (tally.pairs, tally.leaks, tally.different, tally.missing) == (15, 0, 0, 0)
    assert tally.ranked == tally.pairs
    assert tally.judged_pairs == 5  # d7 is finance's and eve's, d0 is the staff's
    assert tally.ratio == 1.0
    same, asked, off = permissions.compare_engine(desk, truth, rows.people, queries, tmp_path)
    assert same == asked == 15
    assert off < 1e-5


def test_a_stream_of_changes_leaks_nothing_and_the_probes_could_see_it(
    desk: Desk, rows: Rows, queries: permissions.Queries
) -> None:
    truth = Truth.of(rows)
    outcome = Stream(desk, truth, random.Random(3)).run(40)
    assert outcome.changes == 40
    assert set(outcome.kinds) == {
        "reader added",
        "reader removed",
        "readers replaced",
        "member moved",
        "group moved",
    }
    assert (outcome.leaks, outcome.different) == (0, 0)
    assert outcome.revoked == outcome.visible > 5
    assert outcome.granted == outcome.granted_found > 5
    assert outcome.stale > 0  # the index alone would have told
    assert permissions.sweep(desk, truth, rows.people, queries).leaks == 0


def test_readers_that_are_stored_wrong_are_noticed(
    desk: Desk, rows: Rows, queries: permissions.Queries
) -> None:
    desk.set_readers("d4", frozenset({EVERYONE}))
    desk.follower.follow()
    tally = permissions.sweep(desk, Truth.of(rows), rows.people, queries)
    assert tally.leaks == tally.pairs  # nobody may read d4, and everybody finds it each time


class Unchecked(Search):
    """Believes the index."""

    def _check(self, session: Session, person: Person, hits: Sequence[Hit]) -> Any:
        checked = super()._check(session, person, hits)
        documents = {row.document_id for row in checked.rows.values()}
        return replace(checked, basis={d: AccessBasis(EVERYONE, now()) for d in documents})


def test_a_search_without_the_check_in_sql_is_noticed(desk: Desk, rows: Rows) -> None:
    desk.search = Unchecked(desk.database, desk.index, desk.embedder, relevance=ALL)
    outcome = Stream(desk, Truth.of(rows), random.Random(3)).run(40)
    assert outcome.leaks_before_following > 0
    assert outcome.leaks == outcome.leaks_before_following  # once the index followed, it is right


class Forgetful(Directory):
    """Writes memberships down and leaves people's principals as they were."""

    def expand_all(self, session: Session) -> int:  # noqa: ARG002
        return 0


def test_groups_that_are_not_expanded_again_are_noticed(desk: Desk, rows: Rows) -> None:
    desk.directory = Forgetful(desk.database)
    outcome = Stream(desk, Truth.of(rows), random.Random(3)).run(40)
    assert outcome.leaks > outcome.leaks_before_following > 0


class Backwards(Search):
    """Shows the right passages, worst first."""

    def search(self, text: str, vector: Vector | None, person: Person, limit: int = 6) -> Found:
        found = super().search(text, vector, person, limit)
        return replace(found, passages=found.passages[::-1])


def test_a_worse_ranking_is_noticed(desk: Desk, rows: Rows, queries: permissions.Queries) -> None:
    desk.search = Backwards(desk.database, desk.index, desk.embedder, relevance=ALL)
    tally = permissions.sweep(desk, Truth.of(rows), rows.people, queries)
    assert tally.leaks == 0
    assert tally.different > 0
    assert tally.ratio < permissions.LEAST_RATIO


def test_the_command_ends_with_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, content in (("documents", DOCUMENTS), ("people", PEOPLE), ("queries", QUERIES)):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in content))
        files += [f"--{name}", str(file)]
    cache = ["--cache", str(tmp_path / "cache")]
    with pytest.raises(SystemExit) as end:
        permissions.main([*files, *cache, "--changes", "5", "--again", "2", "--engine", "1"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "people": 5,
        "queries": 3,
        "leaks": 0,
        "ndcg_ratio": 1.0,
        "changes": 5,
        "leaks_after_change": 0,
    }
    with pytest.raises(SystemExit) as end:
        permissions.main([*files[:-1], str(tmp_path / "missing.jsonl")])
    assert end.value.code == 2


def test_the_generated_company_is_six_deep_and_has_cycles() -> None:
    people = permissions_data.company(30, 6, random.Random(1))
    inside = {
        row["group"]: [m.removeprefix("group:") for m in row["members"]]
        for row in people
        if "group" in row
    }

    def depth(group: str, above: tuple[str, ...] = ()) -> int:
        below = [g for g in inside[group] if g not in above]
        return 1 + max((depth(g, (*above, group)) for g in below), default=0)

    def below(group: str) -> set[str]:
        found: set[str] = set()
        queue = [group]
        while queue:
            new = set(inside[queue.pop()]) - found
            found |= new
            queue += new
        return found

    assert max(depth(group) for group in inside if group.startswith("level0")) >= 6
    assert any(group in below(group) for group in inside)
    assert len([row for row in people if "id" in row]) == 30


DATA = Path(os.environ.get("SWITCHBOARD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
OPENFGA = DATA / "openfga"


@pytest.mark.skipif(not OPENFGA.is_dir(), reason=f"{OPENFGA} is not there")
def test_groups_expand_as_openfga_says(database: Database) -> None:
    """The oracle and the product agree with what OpenFGA's own tests expect of stores made of unions."""
    directory = Directory(database)
    stores = permissions_openfga.stores(OPENFGA)
    assert sum(len(store.expected) for store in stores) > 100
    for store in stores:
        readers = {group: {f"group:{group}"} for _, group in store.expected}
        truth = Truth(store.people, store.members, readers)
        with database.write() as session:
            directory.replace_groups(session, PROVIDER, principals(truth))
            for (person, group), holds in store.expected.items():
                has = directory.expand(session, _person(session, person), email(person))
                assert (group_principal(PROVIDER, group) in has) is holds, (store.name, person)
                assert (person in truth.admitted(group)) is holds, (store.name, person)


def _person(session: Session, person: str) -> str:
    if session.get(PersonRow, person) is None:
        session.add(PersonRow(id=person, email=email(person), name=person))
        session.flush()
    return person
