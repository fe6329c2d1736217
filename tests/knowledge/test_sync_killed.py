"""kill -9 at twenty random moments of a sync, on SQLite and on PostgreSQL: in the end nothing is doubled and nothing lost."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from app.db import Database
from app.db.tables import ChunkRow, DocumentReaderRow, DocumentRow, OutboxRow, SyncRunRow
from app.knowledge.embed import MiniLM
from app.knowledge.index import EdgeIndex
from app.knowledge.sync.clocks import ACTIVE
from tests.servers.postgres import postgres

KILLS = 20
DOCUMENTS = 24
WORDS = "otter river barrel lantern harbour compass meadow orchard saddle thimble".split()
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with postgres() as address:
        yield address


def change(folder: Path, random_: random.Random) -> None:
    """Some files new, some changed, some gone, some with other readers."""
    for number in range(DOCUMENTS):
        space = folder / f"space-{number % 3}"
        space.mkdir(parents=True, exist_ok=True)
        file = space / f"paper-{number}.md"
        luck = random_.random()
        if luck < 0.1 and file.exists():
            file.unlink()
        elif luck < 0.5 or not file.exists():
            text = " ".join(random_.choices(WORDS, k=60))
            file.write_text(f"# Paper {number}\n\n{text}\n", encoding="utf-8")
    for number in range(3):
        group = random_.choice(["sales", "support", "board"])
        rules = f'[access]\ngroups = ["{group}"]\n'
        (folder / f"space-{number}" / "access.toml").write_text(rules, encoding="utf-8")


def start(data: Path, url: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.knowledge.sync_process", str(data), url, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"it ended before it said '{word}' ({process.wait()})")


def state(data: Path, url: str) -> list[tuple[object, ...]]:
    """Everything that a sync is to bring, without the ids that are made at random; checks that SQL and index agree."""
    database = Database(url or f"sqlite:///{data / 'switchboard.sqlite'}")
    with database.read() as session:
        readers: dict[str, list[str]] = {}
        for row in session.execute(select(DocumentReaderRow)).scalars():
            readers.setdefault(row.document_id, []).append(row.principal)
        chunks: dict[str, list[tuple[int, str, str]]] = {}
        for chunk in session.execute(select(ChunkRow)).scalars():
            told = (chunk.ordinal, chunk.heading, chunk.text)
            chunks.setdefault(chunk.document_id, []).append(told)
        found = [
            (
                *(d.source_id, d.title, d.text, d.content_hash.split("@")[0], d.access_hash),
                tuple(sorted(readers.get(d.id, []))),
                tuple(sorted(chunks.get(d.id, []))),
            )
            for d in session.execute(select(DocumentRow)).scalars()
        ]
        stored = session.execute(select(func.count()).select_from(ChunkRow)).scalar_one()
        assert session.execute(select(func.count()).select_from(OutboxRow)).scalar_one() == 0
        left = select(SyncRunRow).where(col(SyncRunRow.status).in_(ACTIVE))
        assert session.execute(left).first() is None
    index = EdgeIndex(data / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    assert index.count() == stored
    index.close()
    database.close()
    return sorted(found)


@pytest.mark.timeout(420)
def test_a_sync_that_is_killed_again_and_again_ends_as_one_that_was_not(
    tmp_path: Path, url: str
) -> None:
    folder, data = tmp_path / "files", tmp_path / "data"
    random_ = random.Random(20261124)
    killed = 0
    for _ in range(KILLS):
        change(folder, random_)
        process = start(data, url, folder)
        wait_for(process, "syncing")
        time.sleep(random_.uniform(0, 1.2))
        killed += process.poll() is None
        process.kill()
        process.communicate()
    assert killed >= KILLS // 2, "most of them must have been killed at work"
    change(folder, random_)
    last = start(data, url, folder)
    wait_for(last, "done")
    assert last.wait(30) == 0
    last.communicate()
    calm = tmp_path / "calm"
    only = start(calm, "", folder)
    wait_for(only, "done")
    only.communicate()
    assert state(data, url) == state(calm, "")
