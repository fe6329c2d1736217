"""What makes search fast with many chunks changes nothing about what is found: graph and exact search, reader sets as numbers,
words counted beside the engine. Thousands of hard points (`tests/bench/scale_data.py`), with the large index's ways forced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from app.knowledge.index import EdgeIndex, IndexPoint, Readers, ServerIndex, VectorIndex
from app.knowledge.index.audiences import StoredAudiences, number_of
from app.knowledge.index.strategy import DEFAULT, Strategy
from tests.bench import scale_data as data
from tests.bench.scale_truth import LIMIT, Exact, exact

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
CHUNKS, PEOPLE, QUESTIONS = 3000, 8, 64
# No index is too small for a graph, no person reads too little for it, and words are always counted here.
GRAPH = replace(DEFAULT, graph_from=1000, exact_up_to=0, counted_from=0)
EXACT = replace(DEFAULT, graph_from=10**9, counted_from=10**9)
Open = Callable[[Strategy], EdgeIndex]


@pytest.fixture(scope="module")
def world() -> data.World:
    return data.generate(CHUNKS, seed=5, readers=50, principals=200, people=PEOPLE)


@pytest.fixture(scope="module")
def questions(world: data.World) -> list[data.Question]:
    return list(data.questions(world, QUESTIONS, seed=5))


@pytest.fixture(scope="module")
def truth(world: data.World, questions: list[data.Question]) -> list[Exact]:
    return exact(world, questions)


@pytest.fixture(scope="module")
def points(world: data.World) -> list[IndexPoint]:
    return [
        IndexPoint(
            chunk_id=data.chunk_id(chunk),
            document_id=f"doc_{document}",
            connector_id="con_1",
            data_class=1,
            readers=world.readers[document],
            vector=world.vectors[chunk],
            words=world.texts[chunk],
        )
        for chunk, document in enumerate(world.document_of.tolist())
    ]


@pytest.fixture(scope="module", params=[GRAPH, EXACT], ids=["graph", "exact"])
def index(
    request: pytest.FixtureRequest,
    points: list[IndexPoint],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EdgeIndex]:
    index = filled(tmp_path_factory.mktemp("index"), request.param, points)
    in_graph = index._shard.info().indexed_vectors_count - CHUNKS
    assert in_graph == (CHUNKS if request.param is GRAPH else 0)
    yield index
    index.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[EdgeIndex] = []

    def open_(strategy: Strategy) -> EdgeIndex:
        folder = tmp_path / f"index{len(made)}"
        made.append(EdgeIndex(folder, dimension=data.DIMENSION, embedder="test", strategy=strategy))
        return made[-1]

    yield open_
    for index in made:
        index.close()


def filled(folder: Path, strategy: Strategy, points: Sequence[IndexPoint]) -> EdgeIndex:
    index = EdgeIndex(
        folder / "index", dimension=data.DIMENSION, embedder="test", strategy=strategy
    )
    for start in range(0, len(points), 500):
        index.upsert(points[start : start + 500])
    index.flush()
    assert index.sorting.wait(60)
    if strategy.counted_from == 0:
        assert index.counting.wait(30)
    return index


def found(index: VectorIndex, world: data.World, question: data.Question) -> list[str]:
    readers = Readers(world.people[question.person])
    return [hit.chunk_id for hit in index.search(question.vector, question.text, readers, LIMIT)]


def test_filtered_search_finds_what_an_exact_one_finds(
    index: EdgeIndex,
    world: data.World,
    questions: list[data.Question],
    truth: list[Exact],
) -> None:
    recall = [
        len(set(found(index, world, question)[:10]) & set(right.fused[:10])) / len(right.fused[:10])
        for question, right in zip(questions, truth, strict=True)
    ]
    assert mean(recall) >= 0.97
    assert min(recall) >= 0.7


def test_nobody_gets_a_point_that_they_may_not_read(
    index: EdgeIndex, world: data.World, questions: list[data.Question]
) -> None:
    permitted = [world.permitted(person) for person in range(PEOPLE)]
    for question in questions:
        ids = found(index, world, question)
        numbers = [int(chunk_id.replace("-", ""), 16) - 1 for chunk_id in ids]
        assert numbers
        assert permitted[question.person][numbers].all()
        stranger = Readers(frozenset({"user:nobody@example.test"}))
        assert index.search(question.vector, question.text, stranger) == []


def test_both_ways_follow_a_changed_access_at_once(
    points: list[IndexPoint], tmp_path: Path
) -> None:
    index = filled(tmp_path, GRAPH, points)
    ada, bob = Readers(frozenset({"user:ada"})), Readers(frozenset({"user:bob"}))
    point = points[1234]
    for readers, others in ((ada, bob), (bob, ada)):
        index.set_access(point.document_id, readers.principals, 1)
        hits = index.search(point.vector, point.words, readers)
        assert point.chunk_id in {hit.chunk_id for hit in hits}
        assert {p.document_id for p in points if p.chunk_id in {h.chunk_id for h in hits}} == {
            point.document_id
        }
        assert index.search(point.vector, point.words, others) == []
    index.delete([p.chunk_id for p in points if p.document_id == point.document_id])
    assert index.search(point.vector, point.words, bob) == []
    index.close()


def test_words_counted_here_weigh_as_the_engine_weighs_them(
    opened: Open, points: list[IndexPoint], world: data.World, questions: list[data.Question]
) -> None:
    """Through replaced, deleted and moved chunks; the readers' own counts, whatever the others' chunks say."""
    counted, engine = opened(replace(EXACT, counted_from=700)), opened(EXACT)
    for index in (counted, engine):
        for start in range(0, 1500, 100):
            index.upsert(points[start : start + 100])
        index.upsert([replace(p, words="budget " + p.words) for p in points[:90]])
        index.delete([p.chunk_id for p in points[400:450]])
        index.set_access(points[700].document_id, {"everyone"}, 1)
    assert counted.counting.wait(30)
    for question in questions:
        readers = Readers(world.people[question.person])
        text = question.text + " budget"
        ours = counted.search(question.vector, text, readers)
        theirs = engine.search(question.vector, text, readers)
        assert [hit.chunk_id for hit in ours[:10]] == [hit.chunk_id for hit in theirs[:10]]
        # Rounding decides which of two equal scores is the fiftieth, so chunks are compared where both have them.
        mine = {hit.chunk_id: hit.sparse for hit in ours if hit.sparse}
        right = {hit.chunk_id: hit.sparse for hit in theirs if hit.sparse}
        both = sorted(mine.keys() & right.keys())
        assert len(both) >= len(right) - 2
        assert np.allclose([mine[i] for i in both], [right[i] for i in both], rtol=1e-4)
        only = [score for i, score in (mine | right).items() if i not in both]
        assert np.allclose(only, min(right.values(), default=0), rtol=1e-4)


def test_words_are_counted_again_after_a_restart(
    points: list[IndexPoint], world: data.World, questions: list[data.Question], tmp_path: Path
) -> None:
    index = filled(tmp_path, GRAPH, points[:1200])
    before = [found(index, world, question) for question in questions]
    index.close()
    again = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    assert not again.fresh
    assert again.counting.wait(30)
    assert [found(again, world, question) for question in questions] == before
    again.close()


def test_search_and_changes_go_on_while_the_graph_is_extended(
    points: list[IndexPoint], tmp_path: Path
) -> None:
    """The engine holds Python's global lock while it optimizes: in this process a search would wait until it is done."""
    index = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    index.upsert(points[:1500])
    index.flush()
    everyone, answers = Readers(frozenset({"everyone"})), 0
    moved, late, gone = points[10], points[2000], points[600]
    while not index.sorting.wait(0.02):
        if answers == 0:
            index.set_access(moved.document_id, {"user:late"}, 1)
            index.upsert([replace(late, readers=frozenset({"user:late"}))])
            index.delete([gone.chunk_id])
        index.search(late.vector, late.words, everyone)
        answers += 1
    assert answers > 5
    index.close()
    again = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    assert again._shard.info().indexed_vectors_count >= 2 * 1400
    assert again.count() == 1500
    for point in (moved, late):
        hits = again.search(point.vector, point.words, Readers(frozenset({"user:late"})))
        assert point.chunk_id in {hit.chunk_id for hit in hits}
    hits = again.search(gone.vector, gone.words, Readers(gone.readers))
    assert gone.chunk_id not in {hit.chunk_id for hit in hits}
    assert [folder.name for folder in (tmp_path / "index").glob("shard-*")] == ["shard-2"]
    again.close()


def test_sorting_that_is_cut_short_changes_nothing(
    points: list[IndexPoint], tmp_path: Path
) -> None:
    index = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    index.upsert(points[:1500])
    index.flush()
    index.close()
    (tmp_path / "index" / "shard-7").mkdir()
    again = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    assert again.count() == 1500
    assert len(list((tmp_path / "index").glob("shard-*"))) == 1
    again.close()


def test_without_room_for_a_copy_the_index_is_sorted_later(
    points: list[IndexPoint], tmp_path: Path
) -> None:
    index = EdgeIndex(tmp_path / "index", dimension=data.DIMENSION, embedder="test", strategy=GRAPH)
    index.sorting._reserve_mb = 10**9
    index.upsert(points[:1500])
    index.flush()
    assert index.sorting.wait(0)
    assert [folder.name for folder in (tmp_path / "index").glob("shard-*")] == ["shard-1"]
    index.sorting._reserve_mb = 0
    index.flush()
    assert index.sorting.wait(60)
    assert [folder.name for folder in (tmp_path / "index").glob("shard-*")] == ["shard-2"]
    index.close()


def test_the_server_adapter_asks_the_same_way(
    points: list[IndexPoint], world: data.World, questions: list[data.Question], opened: Open
) -> None:
    """Local mode takes the parameters and ignores them, so it compares all: the exact answer."""
    from qdrant_client import QdrantClient

    way = replace(GRAPH, graph_from=100)
    server = ServerIndex(
        QdrantClient(":memory:"), dimension=data.DIMENSION, embedder="test", strategy=way
    )
    edge = opened(EXACT)
    for index in (server, edge):
        index.upsert(points[:150])
    for question in questions[:8]:
        assert found(server, world, question)[:10] == found(edge, world, question)[:10]
    server.close()


def test_an_index_without_its_reader_sets_is_made_anew(tmp_path: Path) -> None:
    point = IndexPoint(
        data.chunk_id(1), "doc", "con", 1, frozenset({"everyone"}), np.ones(4, np.float32), "x"
    )
    for damage in (lambda file: file.unlink(), lambda file: file.write_text("[")):
        index = EdgeIndex(tmp_path / "index", dimension=4, embedder="test")
        index.upsert([point])
        index.close()
        damage(tmp_path / "index" / "audiences.jsonl")
        again = EdgeIndex(tmp_path / "index", dimension=4, embedder="test")
        assert again.fresh
        assert again.count() == 0
        again.close()


def test_reader_sets_outlive_a_crash_and_unused_ones_go(tmp_path: Path) -> None:
    file = tmp_path / "audiences.jsonl"
    sets = [frozenset({f"user:{i}", "group:all"}) for i in range(1500)]
    stored = StoredAudiences(file, ())
    numbers = [stored.number(readers) for readers in sets]
    stored.close()
    file.write_bytes(file.read_bytes() + b'["user:half')
    again = StoredAudiences(file, numbers)
    assert again.of(frozenset({"group:all"})) == tuple(sorted(numbers))
    assert again.of(frozenset({"user:7", "user:elsewhere"})) == (number_of(sets[7]),)
    assert again.of(frozenset({"user:half"})) == ()
    again.close()
    few = StoredAudiences(file, numbers[:10])
    assert len(few.of(frozenset({"group:all"}))) == 10
    few.close()
    with pytest.raises(ValueError, match="missing"):
        StoredAudiences(file, numbers[:11])
