"""Real parts: the embedder (shared, it takes a third of a second), the embedded index, a folder as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.db import Database
from app.db.tables import SyncRunRow
from app.domain import Found, Person
from app.durable import Durable
from app.identity.groups import Directory
from app.knowledge.documents import Documents
from app.knowledge.embed import Embedder, MiniLM, Vector, load_embedder
from app.knowledge.index import EdgeIndex, VectorIndex
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.records import Ledger
from app.settings import Settings

EVERYONE = "[access]\neveryone = true\n"


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder()


@dataclass
class Counting:
    """The real embedder, counting what it is asked for."""

    inner: Embedder
    texts: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def query(self, text: str) -> Vector:
        return self.inner.query(text)

    def documents(self, texts: Sequence[str]) -> Vector:
        self.texts.extend(texts)
        return self.inner.documents(texts)


@dataclass
class Desk:
    """A source folder, everything from its files to its passages, and short words for tests."""

    root: Path
    settings: Settings
    database: Database
    ledger: Ledger
    embedder: Counting
    index: VectorIndex
    sync: Sync
    search: Search
    documents: Documents
    connector_id: str = ""

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def run(self) -> SyncRunRow:
        """Syncs the folder; forgets earlier embedding counts."""
        if not self.connector_id:
            self.connector_id = self.sync.add(None, "folder", "Files", {"path": str(self.root)})
        self.embedder.texts.clear()
        return self.sync.run_once(self.connector_id)

    def find(self, text: str, person: Person, limit: int = 6) -> Found:
        return self.search.search(text, None, person, limit)

    def titles(self, text: str, person: Person) -> set[str]:
        return {passage.title for passage in self.find(text, person).passages}


@pytest.fixture
def index(settings: Settings) -> Iterator[VectorIndex]:
    index = EdgeIndex(settings.data_dir / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    yield index
    index.close()


@pytest.fixture
def desk(
    tmp_path: Path,
    settings: Settings,
    database: Database,
    ledger: Ledger,
    embedder: Embedder,
    index: VectorIndex,
) -> Desk:
    root = tmp_path / "files"
    root.mkdir()
    counting = Counting(embedder)
    sync = Sync(
        database,
        ledger,
        index,
        counting,
        Directory(database),
        Durable(settings, database),
        settings,
        parse_timeout_s=20,
    )
    return Desk(
        root,
        settings,
        database,
        ledger,
        counting,
        index,
        sync,
        Search(database, index, counting),
        Documents(database, ledger),
    )
