"""Both engines: nobody finds what they may not read, ranks do not depend on hidden chunks, access changes keep vectors."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import AlreadyRunning, IndexUnavailable
from app.knowledge.index import EdgeIndex, IndexPoint, Readers, ServerIndex, VectorIndex

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
DIMENSION = 16
MakeIndex = Callable[[], VectorIndex]


@pytest.fixture(params=["edge", "server"])
def make_index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeIndex]:
    made: list[VectorIndex] = []

    def make() -> VectorIndex:
        if request.param == "edge":
            folder = tmp_path / f"index{len(made)}"
            index: VectorIndex = EdgeIndex(folder, dimension=DIMENSION, embedder="test")
        else:
            from qdrant_client import QdrantClient

            client = QdrantClient(":memory:")
            index = ServerIndex(client, dimension=DIMENSION, embedder="test")
        made.append(index)
        return index

    yield make
    for index in made:
        index.close()


def unit(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def point(number: int, readers: set[str], words: str = "travel policy") -> IndexPoint:
    return IndexPoint(
        chunk_id=str(uuid.UUID(int=number)),
        document_id=f"doc_{number}",
        connector_id="con_1",
        data_class=1,
        readers=frozenset(readers),
        vector=unit(number),
        words=words,
    )


def readers(*principals: str) -> Readers:
    return Readers(frozenset(principals))


@pytest.mark.parametrize("principals", [frozenset(), frozenset({""}), frozenset({"everyone", ""})])
def test_a_search_for_nobody_cannot_be_expressed(principals: frozenset[str]) -> None:
    with pytest.raises(ValueError, match="principal"):
        Readers(principals)


def test_only_permitted_chunks_are_found(make_index: MakeIndex) -> None:
    index = make_index()
    index.upsert(
        [
            point(1, {"everyone"}),
            point(2, {"group:idp/hr"}),
            point(3, {"user:ada@example.test"}),
            point(4, set()),
        ]
    )
    ids = {hit.chunk_id for hit in index.search(unit(4), "travel policy", readers("everyone"))}
    assert ids == {str(uuid.UUID(int=1))}
    wide = readers("everyone", "group:idp/hr", "user:ada@example.test")
    assert len(index.search(unit(4), "travel policy", wide)) == 3
    assert index.count() == 4


def test_scores_and_ranks_equal_those_of_an_index_with_only_the_permitted_chunks(
    make_index: MakeIndex,
) -> None:
    rng = np.random.default_rng(7)
    vocabulary = [f"word{i}" for i in range(30)]
    points = [
        point(
            i,
            {"everyone"} if i % 3 == 0 else {"group:idp/hidden"},
            " ".join(rng.choice(vocabulary, 12)),
        )
        for i in range(1, 120)
    ]
    whole, own = make_index(), make_index()
    whole.upsert(points)
    own.upsert([p for p in points if "everyone" in p.readers])
    for seed in range(10):
        text = " ".join(rng.choice(vocabulary, 4))
        here = whole.search(unit(seed), text, readers("everyone"), 50)
        there = own.search(unit(seed), text, readers("everyone"), 50)
        assert [hit.chunk_id for hit in here] == [hit.chunk_id for hit in there]
        assert np.allclose([h.score for h in here], [h.score for h in there], atol=1e-5)


def test_a_changed_access_moves_a_document_without_its_vectors(make_index: MakeIndex) -> None:
    index = make_index()
    index.upsert([point(1, {"everyone"})])
    before = index.search(unit(1), "travel", readers("everyone"))
    index.set_access("doc_1", {"group:idp/hr"}, 3)
    assert index.search(unit(1), "travel", readers("everyone")) == []
    assert index.search(unit(1), "travel", readers("group:idp/hr")) == before
    index.set_access("doc_1", set(), 3)
    assert index.search(unit(1), "travel", readers("group:idp/hr")) == []


def test_deleted_chunks_are_gone_and_repeats_do_no_harm(make_index: MakeIndex) -> None:
    index = make_index()
    index.upsert([point(1, {"everyone"}), point(2, {"everyone"})])
    index.upsert([point(1, {"everyone"})])
    assert index.count() == 2
    for _ in range(2):
        index.delete([str(uuid.UUID(int=1))])
    index.flush()
    hits = index.search(unit(1), "travel", readers("everyone"))
    assert [hit.chunk_id for hit in hits] == [str(uuid.UUID(int=2))]


def test_vectors_are_given_back_as_they_were_put(make_index: MakeIndex) -> None:
    index = make_index()
    index.upsert([point(1, {"everyone"}), point(2, {"group:idp/hr"})])
    first, unknown = str(uuid.UUID(int=1)), str(uuid.UUID(int=99))
    found = index.vectors([first, unknown])
    assert found.keys() == {first}
    assert np.allclose(found[first], unit(1), atol=1e-6)
    assert index.vectors([]) == {}


def test_words_find_what_vectors_do_not(make_index: MakeIndex) -> None:
    index = make_index()
    index.upsert([point(i, {"everyone"}, f"code ZX-{4000 + i} reset") for i in range(1, 40)])
    hits = index.search(unit(99), "ZX-4017", readers("everyone"), 5)
    assert hits[0].chunk_id == str(uuid.UUID(int=17))
    assert index.search(unit(1), "", readers("everyone"), 1)[0].chunk_id == str(uuid.UUID(int=1))


def test_the_embedded_index_survives_a_restart(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test")
    assert index.fresh
    index.upsert([point(1, {"everyone"})])
    index.flush()
    index.close()
    again = EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test")
    assert not again.fresh
    assert len(again.search(unit(1), "travel", readers("everyone"))) == 1
    again.close()
    other = EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="another model")
    assert other.fresh
    assert other.count() == 0
    other.close()


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test").close()
    for file in (tmp_path / "index").rglob("*"):
        if file.is_file() and file.name != "switchboard.json":
            file.write_bytes(b"damage")
    index = EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test")
    assert index.fresh
    index.close()


def test_a_second_process_is_told_in_plain_words(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test")
    program = f"""
        from pathlib import Path
        from app.errors import AlreadyRunning
        from app.knowledge.index import EdgeIndex
        try:
            EdgeIndex(Path({str(tmp_path / "index")!r}), dimension={DIMENSION}, embedder="test")
        except AlreadyRunning as error:
            print(error.message)
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    told = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "already uses the data folder" in told
    with pytest.raises(AlreadyRunning):
        EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test")
    index.close()
    EdgeIndex(tmp_path / "index", dimension=DIMENSION, embedder="test").close()


def test_a_server_that_is_down_is_an_unavailable_index() -> None:
    with pytest.raises(IndexUnavailable, match="did not answer"):
        ServerIndex.connect("http://127.0.0.1:9", "", dimension=DIMENSION, embedder="test")


def test_every_error_of_the_client_becomes_an_unavailable_index() -> None:
    import httpx
    from qdrant_client import QdrantClient
    from qdrant_client.common import client_exceptions as common
    from qdrant_client.http import exceptions as http

    raised: list[Exception] = [
        http.UnexpectedResponse(500, "broken", b"", httpx.Headers()),
        http.ResponseHandlingException(httpx.ConnectError("refused")),
        http.ApiException("other"),
        common.ResourceExhaustedResponse("slow down", 3),
        common.QdrantException("other"),
        httpx.ReadTimeout("late"),
        ConnectionRefusedError(),
    ]
    known = {
        kind
        for module in (common, http)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and "qdrant" in kind.__module__
    }
    assert known <= {type(error) for error in raised}
    index = ServerIndex(QdrantClient(":memory:"), dimension=DIMENSION, embedder="test")
    for error in raised:

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(IndexUnavailable, match="Qdrant server"):
            index._ask(fail)
    index.close()
