"""A real company handbook: it is read, and ten questions lead to the right pages, with citations.

The data is public and not part of this repository: the test is skipped without it. Of its 247 files those about the
questions and every fourth of the others are read, because embedding all of them takes two minutes (`tests.bench.sync` does
that). Vectors are kept between runs in pytest's cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database, migrate
from app.domain import EVERYONE, Person, Role
from app.durable import Durable
from app.identity.groups import Directory
from app.knowledge.cite import cite
from app.knowledge.embed import Embedder, MiniLM
from app.knowledge.index import EdgeIndex
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.llm.extractive import ExtractiveReader
from app.records import Ledger
from app.settings import Settings
from tests.bench.retrieval import Cached

DATA = Path(os.environ.get("SWITCHBOARD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
HANDBOOK = DATA / "handbook_18f"
ADA = Person("p", "ada@example.test", "Ada", Role.EMPLOYEE, "", frozenset({EVERYONE}))

pytestmark = [
    pytest.mark.skipif(not HANDBOOK.is_dir(), reason=f"no handbook at {HANDBOOK}"),
    pytest.mark.timeout(400),
]

QUESTIONS = {
    "How do I record my time in Tock?": "tock",
    "What is the parental leave policy?": "leave",
    "How do I get approval for travel?": "travel",
    "How do I set up a new laptop?": "equipment",
    "Which Slack channel do I ask in?": "slack",
    "How does the performance plan process work?": "performance",
    "What do I do when I leave TTS?": "leav",
    "How do I report a security incident?": "incident",
    "How do I request training or a conference?": "training",
    "What benefits and health insurance do I get?": "benefits",
}


def _pages() -> list[Path]:
    """Every page that has to do with a question, and every fourth of the others."""
    everything = sorted((HANDBOOK / "pages").rglob("*.md"))
    topics = set(QUESTIONS.values())
    about = {p for p in everything if any(t in str(p.relative_to(HANDBOOK)) for t in topics)}
    return sorted(about | set(everything[::4]))


@pytest.fixture(scope="module")
def search(
    tmp_path_factory: pytest.TempPathFactory, embedder: Embedder, request: pytest.FixtureRequest
) -> Iterator[Search]:
    folder = tmp_path_factory.mktemp("handbook")
    source = folder / "files"
    pages = _pages()
    for page in pages:
        target = source / page.relative_to(HANDBOOK)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, target)
    (source / "access.toml").write_text("[access]\neveryone = true\n")
    settings = Settings(data_dir=folder / "data")
    database = Database(settings.database)
    migrate(database)
    index = EdgeIndex(folder / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    cached = Cached(embedder, request.config.cache.mkdir("handbook"))
    durable = Durable(settings, database)
    sync = Sync(database, Ledger(database), index, cached, Directory(database), durable, settings)
    run = sync.run_once(sync.add(None, "folder", "Handbook", {"path": str(source)}))
    cached.save()
    assert run.status == "finished"
    failures = sync.failures(run.connector_id)
    assert run.counts["added"] + len(failures) == len(pages)
    assert {failure.cause for failure in failures} <= {"It is empty."}
    yield Search(database, index, cached)
    index.close()
    database.close()


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_a_question_leads_to_its_page(search: Search, question: str, page: str) -> None:
    found = search.search(question, None, ADA)
    names = [f"{p.title} {p.heading}".lower() for p in found.passages[:3]]
    assert any(page in name for name in names), names


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_a_question_is_answered_from_its_page(
    search: Search, embedder: Embedder, question: str, page: str
) -> None:
    """The product's own reader answers, and what it cites must be the page."""
    found = search.search(question, None, ADA)
    reader = ExtractiveReader("reader", "Reader", embedder.documents)
    answer = cite(reader.read(question, found.passages), found.passages)
    assert answer.grounded, answer.text
    assert any(page in f"{c.passage.title} {c.passage.heading}".lower() for c in answer.citations)
