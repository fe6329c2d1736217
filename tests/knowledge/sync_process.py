"""A process for test_sync_killed to kill: `python -m tests.knowledge.sync_process DATA DATABASE FOLDER`.

It starts as the server does (durable work is taken over, crashed runs are settled, the schedule runs), syncs the folder and
ends when a sync that began after its start has finished. It prints `syncing` as soon as there is something to kill.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from app.db import Database, migrate
from app.durable import Durable
from app.identity.groups import Directory
from app.knowledge.embed import MiniLM, load_embedder
from app.knowledge.index import EdgeIndex
from app.knowledge.sync import Sync
from app.knowledge.sync.clocks import ACTIVE
from app.records import Ledger
from app.settings import Settings


def main(data: Path, url: str, folder: Path) -> None:
    settings = Settings(data_dir=data, database_url=url)
    database = Database(settings.database)
    migrate(database)
    embedder = load_embedder(workers=1)
    index = EdgeIndex(data / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
    durable = Durable(settings, database)
    sync = Sync(database, Ledger(database), index, embedder, Directory(database), durable, settings)
    durable.launch()
    sync.recover()
    connectors = sync.overview()
    connector = (
        connectors[0].id if connectors else sync.add(None, "folder", "Files", {"path": str(folder)})
    )
    print("syncing", flush=True)
    _finish(sync, connector)  # what a killed process left
    _finish(sync, connector, sync.sync_now(connector))
    durable.shutdown()
    index.close()
    print("done", flush=True)


def _finish(sync: Sync, connector: str, run_id: str = "") -> None:
    """Waits for one run, or for every run under way."""
    while True:
        runs = sync.runs(connector)
        if not any(run.status in ACTIVE and run_id in ("", run.id) for run in runs):
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
