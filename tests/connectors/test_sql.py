"""The SQL connector against a real PostgreSQL: the contract, cursors, readers, limits, and what a query may not do."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from connectors.contract import (
    Access,
    Change,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.sql import SqlConnector
from connectors.sql.settings import SqlSecrets, SqlSettings
from connectors.suite import ConnectorContract, listing
from tests.servers.postgres import postgres

WORLD = """
    DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
    CREATE TABLE article (id int, title text, body text, at timestamptz DEFAULT now(), gone timestamptz, section text);
    CREATE TABLE reader (article int, entry text);
    CREATE TABLE team (name text, member text);
    INSERT INTO article VALUES
        (1, 'Travel', 'Book *by train*.', '2024-03-01 10:00Z', NULL, 'Policies'),
        (2, 'Salaries', 'Bands A to F.', '2024-03-01 10:00Z', NULL, 'HR'),
        (3, 'Lunch', 'At noon.', '2024-03-02 10:00Z', NULL, 'Policies'),
        (4, 'Draft', 'Nobody yet.', '2024-03-03 10:00Z', NULL, 'Policies');
    INSERT INTO reader VALUES (1, 'group:staff'), (2, 'Ada@Example.test'), (2, 'group:hr'), (3, 'everyone'), (3, 'bob@example.test');
    INSERT INTO team VALUES ('staff', 'group:hr'), ('staff', 'cy@example.test'), ('hr', 'HR@example.test'), ('hr', NULL);
"""
KIND = """
[[kind]]
name = "articles"
query = '''
  SELECT a.*, array_agg(r.entry) FILTER (WHERE r.entry IS NOT NULL) AS readers
  FROM article a LEFT JOIN reader r ON r.article = a.id GROUP BY a.id, a.title, a.body, a.at, a.gone, a.section -- ';
'''
id = "id"
title = "title"
content = ["body"]
cursor = "at"
readers = "readers"
deleted = "gone"
link = "https://kb.example.test/{section}/{id}"
space_column = "section"
"""
GROUPS = "SELECT name, member FROM team"


def simple(query: str, **more: str) -> str:
    """A kind with the usual columns; values of `more` are TOML."""
    fields = {"id": '"id"', "content": '"body"', "readers": '"readers"', **more}
    lines = "\n".join(f"{key} = {value}" for key, value in fields.items() if value)
    return f"[[kind]]\nname = \"k\"\nquery = '''{query}'''\n{lines}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


class World:
    """The database as its owner sees it, and connectors to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.run(WORLD)

    def run(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def connector(self, kinds: str = KIND, **settings: object) -> SqlConnector:
        values = {"url": self.url, "kinds": kinds, "groups_query": GROUPS, **settings}
        return SqlConnector(SqlSettings.model_validate(values), SqlSecrets(), Context())


@pytest.fixture
def world(server: str) -> World:
    return World(server)


def texts(connector: Connector, **options: object) -> dict[str, str]:
    found = listing(connector, **options)  # type: ignore[arg-type]
    return {id: document.content.decode() for id, document in found.documents.items()}


def since(connector: Connector, before: list[Change]) -> list[Change]:
    """What comes after a listing, as the platform asks for it."""
    checkpoints = [change for change in before if isinstance(change, Checkpoint)]
    known = {change.id: change.version for change in before if isinstance(change, Document)}
    return list(connector.changes(checkpoints[-1].state, known))


def sent(changes: list[Change]) -> list[str]:
    return [change.id for change in changes if isinstance(change, Document)]


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: World) -> Connector:
        return world.connector()

    @pytest.fixture
    def broken_connector(self, world: World) -> Connector:
        return world.connector(url="postgresql://switchboard@127.0.0.1:1/postgres")

    @pytest.fixture
    def changed_connector(self, world: World) -> Callable[[], Connector]:
        def change() -> Connector:
            world.run(
                "UPDATE article SET body = 'By night train.', at = now() WHERE id = 1;"
                "UPDATE article SET gone = now(), at = now() WHERE id = 3;"
                "INSERT INTO article VALUES (9, 'New', 'Fresh.', now())"
            )
            return world.connector()

        return change


# --- What a row becomes -------------------------------------------------------------------------------------------------


def test_a_row_is_a_document(world: World) -> None:
    document = listing(world.connector()).documents["articles:1"]
    assert (document.title, document.content, document.mime) == (
        "Travel",
        b"Book *by train*.",
        "text/markdown",
    )
    assert (document.url, document.space) == ("https://kb.example.test/Policies/1", "Policies")
    assert document.modified_at == datetime(2024, 3, 1, 10, tzinfo=UTC)


def test_values_in_a_link_are_quoted(world: World) -> None:
    world.run("UPDATE article SET section = 'a/../b?x=1#<' WHERE id = 1")
    url = listing(world.connector()).documents["articles:1"].url
    assert url == "https://kb.example.test/a%2F..%2Fb%3Fx%3D1%23%3C/1"


def test_a_link_from_a_column_must_be_a_web_address(world: World) -> None:
    query = (
        "SELECT id, body, NULL AS readers, u FROM (VALUES (1, 'a', 'https://x.test/1?a=b'), "
        "(2, 'b', 'javascript:alert(1)')) AS v(id, body, u)"
    )
    documents = listing(world.connector(simple(query, link='"{u}"'))).documents
    assert [documents["k:1"].url, documents["k:2"].url] == ["https://x.test/1?a=b", ""]


def test_types_of_postgres(world: World) -> None:
    query = """
        SELECT 'a3bb189e-8bf9-3946-b1f9-7c1f2b3c4d5e'::uuid AS id, '10:30 :x %s 100%'::text AS body,
               '{"price": 12.5, "tags": ["a", "b"]}'::jsonb AS facts, ARRAY['x', '<y>'] AS list,
               1.50::numeric AS amount, '2024-01-02 03:04:05+02'::timestamptz AS at, NULL::text AS empty,
               '["ada@example.test"]'::jsonb AS readers"""
    columns = '["body", "facts", "list", "amount", "at", "empty"]'
    found = listing(world.connector(simple(query, content=columns, cursor='"at"')))
    (document,) = found.documents.values()
    assert document.id == "k:a3bb189e-8bf9-3946-b1f9-7c1f2b3c4d5e"
    assert document.access == Access.of(["ada@example.test"])
    assert document.content.decode() == (
        '## Body\n\n10:30 :x %s 100%\n\n## Facts\n\ntags: ["a", "b"]\nprice: 12.5\n\n## List\n\n- x\n- <y>\n\n'
        "## Amount\n\n1.50\n\n## At\n\n2024-01-02 01:04:05+00:00"
    )


def test_what_is_no_text_is_escaped_inside_html(world: World) -> None:
    query = "SELECT 1 AS id, '<p>kept</p>' AS body, ARRAY['<script>'] AS list, NULL AS readers"
    kinds = simple(query, content='["body", "list"]', mime='"text/html"')
    (text,) = texts(world.connector(kinds)).values()
    assert "<p>kept</p>" in text
    assert "- &lt;script&gt;" in text


def test_a_pdf_comes_from_a_bytea_column(world: World) -> None:
    query = "SELECT id, body, NULL AS readers FROM (VALUES (1, '%PDF-1.4'::bytea), (2, NULL)) AS v(id, body)"
    found = listing(world.connector(simple(query, mime='"application/pdf"')))
    assert found.documents["k:1"].content == b"%PDF-1.4"
    (failure,) = [change for change in found.changes if isinstance(change, Failure)]
    assert (failure.id, failure.cause) == ("k:2", "It has no content.")


def test_binary_under_a_text_mime_fails_alone(world: World) -> None:
    query = "SELECT 1 AS id, 'x'::bytea AS body, NULL AS readers"
    (failure,) = [
        c for c in listing(world.connector(simple(query))).changes if isinstance(c, Failure)
    ]
    assert "binary" in failure.cause


# --- Cursors ------------------------------------------------------------------------------------------------------------


def test_only_what_changed_is_sent(world: World) -> None:
    before = listing(world.connector()).changes
    world.run("UPDATE article SET body = 'Bands A to G.', at = '2024-03-09Z' WHERE id = 2")
    assert sent(since(world.connector(), before)) == ["articles:2"]


def test_ties_are_all_read(world: World) -> None:
    """2,350 rows of one instant, over many batches and two transactions, none twice."""
    world.run(
        "INSERT INTO article SELECT n, 'T' || n, 'B', '2024-05-05Z' FROM generate_series(100, 6449) n"
    )
    changes = listing(world.connector()).changes
    ids = sent(changes)
    assert len(ids) == len(set(ids)) == 6354
    at = next(
        i
        for i, c in enumerate(changes)
        if isinstance(c, Checkpoint) and len(sent(changes[:i])) > 2000
    )
    rest = since(world.connector(), changes[: at + 1])
    assert len(sent(changes[: at + 1])) + len(sent(rest)) == 6354, "resumes within the tie"


def test_what_commits_late_is_met_by_the_next_sync(world: World) -> None:
    with psycopg.connect(world.url) as late:
        late.execute(
            "INSERT INTO article VALUES (50, 'Late', 'Was open.', now() - interval '5 minutes')"
        )
        world.run("INSERT INTO article VALUES (51, 'Early', 'Committed first.', now())")
        before = listing(world.connector()).changes
        assert "articles:50" not in sent(before)
        late.commit()
    assert sent(since(world.connector(), before)) == ["articles:50"]


def test_what_commits_late_during_a_cut_off_sync_is_met_too(world: World) -> None:
    """The next pass begins where the source stood when the cut-off one began, not where it ended."""
    world.run(
        "INSERT INTO article SELECT n, 'T', 'B', now() - interval '9 minutes' FROM generate_series(100, 350) n;"
        "INSERT INTO article VALUES (999, 'Last', 'L', now())"
    )
    first = world.connector()
    taken: list[Change] = []
    for change in first.changes({}, {}):
        taken.append(change)
        if isinstance(change, Checkpoint) and len(sent(taken)) > 150:
            break
    world.run("INSERT INTO article VALUES (50, 'Late', 'L', now() - interval '9 minutes 1 second')")
    taken += since(world.connector(), taken)
    assert "articles:50" not in sent(taken)
    assert sent(since(world.connector(), taken)) == ["articles:50"]


def test_a_row_from_the_future_hides_nothing(world: World) -> None:
    world.run("INSERT INTO article VALUES (60, 'Typo', '2042', '2042-01-01Z')")
    before = listing(world.connector()).changes
    world.run("INSERT INTO article VALUES (61, 'Now', 'Really now.', now())")
    assert sent(since(world.connector(), before)) == ["articles:61"]


def test_a_future_time_without_zone_hides_nothing(world: World) -> None:
    world.run(
        "CREATE TABLE local (id text, body text, at timestamp);"
        "INSERT INTO local VALUES ('typo', 'x', '2042-01-01')"
    )
    kinds = simple("SELECT *, NULL AS readers FROM local", cursor='"at"')
    before = listing(world.connector(kinds)).changes
    world.run("INSERT INTO local VALUES ('west', 'x', now() AT TIME ZONE 'America/Los_Angeles')")
    assert sent(since(world.connector(kinds), before)) == ["k:west"]


@pytest.mark.parametrize("type_", ["int", "bigint", "numeric", "date"])
def test_cursors_of_other_types(world: World, type_: str) -> None:
    value = "current_date - 40 + {}" if type_ == "date" else "{}"
    world.run(
        f"CREATE TABLE stamped (id text, body text, v {type_});"
        f"INSERT INTO stamped SELECT n, 'b' || n, {value.format('n::int')} FROM generate_series(1, 30) n"
    )
    kinds = simple("SELECT *, NULL AS readers FROM stamped", cursor='"v"', overlap="3")
    before = listing(world.connector(kinds)).changes
    assert len(sent(before)) == 30
    world.run(f"INSERT INTO stamped VALUES ('new', 'n', {value.format(31)})")
    after = since(world.connector(kinds), before)
    assert sent(after) == ["k:new"]
    assert len([c for c in after if isinstance(c, Unchanged)]) < 6, "only the overlap is read again"


def test_rows_without_a_cursor_are_read_each_time(world: World) -> None:
    world.run("UPDATE article SET at = NULL WHERE id IN (3, 4)")
    before = listing(world.connector()).changes
    assert set(sent(before)) == {f"articles:{n}" for n in (1, 2, 3, 4)}
    world.run("UPDATE article SET body = 'At one.' WHERE id = 3")
    assert sent(since(world.connector(), before)) == ["articles:3"]


def test_a_kind_without_cursor_is_read_whole(world: World) -> None:
    kinds = simple("SELECT id, body, NULL AS readers FROM article")
    before = listing(world.connector(kinds)).changes
    world.run("UPDATE article SET body = 'New' WHERE id = 1")
    after = since(world.connector(kinds), before)
    assert sent(after) == ["k:1"]
    assert len([change for change in after if isinstance(change, Unchanged)]) == 3


def test_another_definition_is_read_from_the_beginning(world: World) -> None:
    before = listing(world.connector()).changes
    kinds = KIND.replace('content = ["body"]', 'content = ["title", "body"]')
    assert len(sent(since(world.connector(kinds), before))) == 4


# --- Deletions ----------------------------------------------------------------------------------------------------------


def test_a_soft_deleted_row_is_a_deletion(world: World) -> None:
    before = listing(world.connector()).changes
    world.run("UPDATE article SET gone = now(), at = now() WHERE id = 2")
    after = since(world.connector(), before)
    assert [change.id for change in after if isinstance(change, Deletion)] == ["articles:2"]
    assert "articles:2" not in {line.id for line in world.connector().list_ids()}


def test_a_row_that_is_gone_is_not_listed(world: World) -> None:
    world.run("DELETE FROM article WHERE id = 1")
    assert {line.id for line in world.connector().list_ids()} == {
        "articles:2",
        "articles:3",
        "articles:4",
    }
    (change,) = world.connector().refetch(["articles:1"])
    assert change == Deletion("articles:1")


def test_a_listing_claims_nothing(world: World) -> None:
    assert not any(checkpoint.complete for checkpoint in listing(world.connector()).checkpoints)


def test_a_cancelled_list_raises(world: World) -> None:
    connector = world.connector()
    connector.context = Context(cancelled=lambda: True)
    with pytest.raises(SourceFault):
        list(connector.list_ids())


def test_an_id_in_two_rows_fails_and_is_for_nobody(world: World) -> None:
    query = (
        "SELECT a.id, body, at, entry AS readers FROM article a JOIN reader r ON r.article = a.id"
    )
    connector = world.connector(simple(query, cursor='"at"'))
    failures = [c for c in listing(connector).changes if isinstance(c, Failure)]
    assert {failure.id for failure in failures} == {"k:2", "k:3"}
    assert all("more than one row" in failure.cause for failure in failures)
    listed = {line.id: line.access for line in connector.list_ids()}
    assert listed["k:2"] == listed["k:3"] == Access.nobody()
    assert listed["k:1"] == Access.of(groups=["staff"])
    assert not connector.may_read("k:2", Reader("ada@example.test"))
    content = connector.validate()[0]
    assert (content.outcome, "more than one row" in content.message) == (Outcome.FAILED, True)


# --- Bounded ------------------------------------------------------------------------------------------------------------


def test_5000_rows_stay_small_in_memory(world: World) -> None:
    """5,000 rows of 40 kB are 200 MB; Python holds a small share of it at any moment."""
    world.run(
        "INSERT INTO article SELECT n, 'T' || n, repeat(md5(n::text), 1250), now() - n * interval '1 second' "
        "FROM generate_series(1000, 5999) n"
    )
    count = size = 0
    tracemalloc.start()
    for change in world.connector().changes({}, {}):
        if isinstance(change, Document):
            count, size = count + 1, size + len(change.content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, size > 199_000_000) == (5004, True)
    assert peak < 30_000_000, f"peak {peak / 1e6:.0f} MB"


def test_long_content_is_fetched_alone_and_too_long_fails(world: World) -> None:
    world.run("UPDATE article SET body = repeat('x', 300000) WHERE id = 1")
    assert len(texts(world.connector())["articles:1"]) == 300_000
    found = listing(world.connector(), max_bytes=200_000)
    (failure,) = [change for change in found.changes if isinstance(change, Failure)]
    assert (failure.id, failure.name) == ("articles:1", "Travel")
    assert "300,000 bytes; the limit is 200,000" in failure.cause
    assert len(found.documents) == 3


# --- What a query may not do --------------------------------------------------------------------------------------------


def test_a_query_that_writes_is_refused(world: World) -> None:
    world.run(
        "CREATE FUNCTION meddle() RETURNS text LANGUAGE sql AS "
        "'INSERT INTO article (id) VALUES (666) RETURNING ''x'''"
    )
    connector = world.connector(simple("SELECT 1 AS id, meddle() AS body, NULL AS readers"))
    with pytest.raises(SourceFault, match="read-only transaction") as fault:
        listing(connector)
    assert "Take out what writes" in fault.value.fix
    assert "articles:666" not in {line.id for line in world.connector().list_ids()}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS id, 'x' AS body, NULL AS readers) AS q; COMMIT; DELETE FROM article; SELECT * FROM (SELECT 1 AS id, 'x' AS body, NULL AS readers",
        "WITH gone AS (DELETE FROM article RETURNING *) SELECT id, body, NULL AS readers FROM gone",
        "SELECT id, body, NULL AS readers FROM article FOR UPDATE",
    ],
)
def test_a_query_cannot_leave_its_place(world: World, query: str) -> None:
    with pytest.raises(SourceFault):
        listing(world.connector(simple(query)))
    assert len(list(world.connector().list_ids())) == 4


def test_ids_are_bound_not_written_in(world: World) -> None:
    hostile = "articles:1' OR '1'='1"
    assert list(world.connector().refetch([hostile])) == [Deletion(hostile)]
    assert not world.connector().may_read(hostile, Reader("ada@example.test"))
    world.run("CREATE TABLE odd AS SELECT $$x'); DROP TABLE article; --$$::text AS id, 'b' AS body")
    kinds = simple("SELECT *, 'ada@example.test' AS readers FROM odd")
    (document,) = listing(world.connector(kinds)).documents.values()
    (again,) = world.connector(kinds).refetch([document.id])
    assert again == document
    assert len(list(world.connector().list_ids())) == 4


def test_a_slow_query_is_ended_with_words(world: World) -> None:
    query = "SELECT 1 AS id, pg_sleep(20)::text AS body, NULL AS readers"
    connector = world.connector(simple(query), statement_timeout_s=1)
    with pytest.raises(SourceFault, match="longer than 1 seconds") as fault:
        listing(connector)
    assert fault.value.passing
    assert "index" in fault.value.fix


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELECT nonsense FROM article", "nonsense"),
        ("SELECT 1 AS id FROM missing", "missing"),
        ("SELECT FROM WHERE", "syntax error"),
        ("SELECT 1/0 AS id, 'x' AS body, NULL AS readers", "division by zero"),
    ],
)
def test_a_wrong_query_fails_with_the_database_s_words(world: World, query: str, word: str) -> None:
    content = world.connector(simple(query)).validate()[0]
    assert content.outcome is Outcome.FAILED
    assert word in content.message
    assert content.fix


def test_a_user_without_rights_fails_with_words(world: World) -> None:
    world.run(
        "DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN; GRANT USAGE ON SCHEMA public TO PUBLIC"
    )
    content = world.connector(url=world.url.replace("switchboard@", "poor@")).validate()[0]
    assert content.outcome is Outcome.FAILED
    assert "GRANT" in content.fix


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (("switchboard@", "nosuch@"), Outcome.FAILED),
        (("/postgres", "/nosuch"), Outcome.FAILED),
        (("127.0.0.1", "nosuch.invalid"), Outcome.INDETERMINATE),
    ],
)
def test_a_wrong_address_says_which_part(
    world: World, change: tuple[str, str], outcome: Outcome
) -> None:
    content = world.connector(url=world.url.replace(*change)).validate()[0]
    assert content.outcome is outcome
    assert "nosuch" in content.message


def test_a_column_given_twice_is_named(world: World) -> None:
    content = world.connector(simple("SELECT 1 AS id, 'a' AS body, 'b' AS body, NULL AS readers"))
    assert "gives the column body twice" in content.validate()[0].message


def test_a_cursor_of_text_is_named(world: World) -> None:
    kinds = simple(
        "SELECT 1 AS id, 'a' AS body, '2024-01-01' AS at, NULL AS readers", cursor='"at"'
    )
    assert (
        "The cursor column at of kind 'k' holds str."
        in world.connector(kinds).validate()[0].message
    )
