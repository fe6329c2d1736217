"""A folder through the sync engine: `python -m tests.bench.sync --folder F [--limit N] [--files 10] [--pattern '**/*.md']`.

The folder is copied; nothing is written to it. `--generated 10000` syncs so many short made-up documents instead. One after the
other: the first sync, one with nothing changed, one with some files changed, one with some removed, one with other readers
only. Each prints its time, what it did, its embeddings and its seconds by stage.

The embedder's own speed is that of some of the same texts handed to it alone, later in the same run. `embedder_share` is the
first sync's chunks per second over it; `processor_share` is the processor time of the embedder alone over that of the sync,
for as many chunks, which other processes on the machine disturb less. The parser's process counts in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import col, select

from app.db import Database, migrate
from app.db.tables import ChunkRow, DocumentRow, SyncRunRow
from app.durable import Durable
from app.identity.groups import Directory
from app.knowledge.embed import MiniLM, load_embedder
from app.knowledge.index import EdgeIndex
from app.knowledge.ingest.split import embedding_text
from app.knowledge.sync import Sync
from app.records import Ledger
from app.settings import Settings
from tests.bench.corpus import notes

EVERYONE = "[access]\neveryone = true\n"
SOME = '[access]\ngroups = ["sales"]\n'
SAMPLE = 400


@dataclass(frozen=True)
class Step:
    name: str
    seconds: float
    processor_s: float
    run: SyncRunRow

    def row(self) -> str:
        counts, timings = self.run.counts, self.run.timings
        numbers = [counts.get(k, 0) for k in ("seen", "added", "changed", "access", "removed")]
        stages = " ".join(f"{k} {v:.1f}" for k, v in timings.items())
        cells = "".join(f"{n:>9,}" for n in [*numbers, counts.get("embedded", 0)])
        return f"{self.name:<12}{self.seconds:>9.2f}{cells}   {stages}"


class Desk:
    """Everything between a folder and an index, without a server."""

    def __init__(self, data: Path, source: Path) -> None:
        settings = Settings(data_dir=data, openai_api_key="", anthropic_api_key="")
        self.source = source
        self.database = Database(settings.database)
        migrate(self.database)
        self.embedder = load_embedder()
        self.index = EdgeIndex(data / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
        self.sync = Sync(
            self.database,
            Ledger(self.database),
            self.index,
            self.embedder,
            Directory(self.database),
            Durable(settings, self.database),
            settings,
        )
        self.connector = self.sync.add(None, "folder", "Files", {"path": str(source)})

    def step(self, name: str) -> Step:
        start, spent = time.perf_counter(), time.process_time()
        run = self.sync.run_once(self.connector)
        step = Step(name, time.perf_counter() - start, time.process_time() - spent, run)
        if run.status != "finished":
            sys.exit(f"The sync '{name}' ended as {run.status}: {run.error} {run.fix}")
        print(step.row(), flush=True)
        return step

    def texts(self, limit: int) -> list[str]:
        """Chunks as the engine embeds them, from all over the folder."""
        chunks = (
            select(col(DocumentRow.title), col(ChunkRow.heading), col(ChunkRow.text))
            .join(DocumentRow, col(DocumentRow.id) == col(ChunkRow.document_id))
            .order_by(col(ChunkRow.id))
        )
        with self.database.read() as session:
            rows = session.execute(chunks).all()
        return [embedding_text(*row) for row in rows[:: max(1, len(rows) // limit)]]

    def close(self) -> None:
        self.sync.live.close()
        self.index.close()
        self.database.close()


class PeakMemory:
    """The largest resident size of this process while it watches, MiB; the parser's process is its own and small."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        page = resource.getpagesize()
        while not self._stop.wait(0.05):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.mb = max(self.mb, pages * page / 2**20)


def copied(folder: Path, pattern: str, limit: int | None, into: Path) -> list[Path]:
    """The files, with one access file above them; the copies in the order of their names."""
    found = sorted(path for path in folder.glob(pattern) if path.is_file())[:limit]
    copies = []
    for path in found:
        copy = into / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copies.append(copy)
    (into / "access.toml").write_text(EVERYONE, encoding="utf-8")
    return copies


def generated(count: int, into: Path) -> list[Path]:
    """Documents of some 90 words, a hundred to a folder, for everyone."""
    files = []
    for number, note in enumerate(notes(count)):
        file = into / f"{number // 100:04}" / f"{number % 100:02}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# {note.title}\n\n{note.text}\n", encoding="utf-8")
        files.append(file)
    (into / "access.toml").write_text(EVERYONE, encoding="utf-8")
    return files


def measure(desk: Desk, files: list[Path], number: int) -> dict[str, float | int]:
    print(
        f"{'step':<12}{'seconds':>9}"
        + "".join(f"{n:>9}" for n in ("seen", "added", "changed", "access", "removed", "embeds"))
        + "   seconds by stage"
    )
    first = desk.step("first")
    unchanged = desk.step("unchanged")
    for path in files[:number]:
        path.write_text(path.read_text(encoding="utf-8", errors="replace") + "\n\nOne more line.\n")
    changed = desk.step("changed")
    for path in files[number : 2 * number]:
        path.unlink()
    removed = desk.step("removed")
    rules = [
        f'[[file]]\nmatch = "{p.relative_to(desk.source).as_posix()}"\ngroups = ["sales"]\n'
        for p in files[-number // 2 :]
    ]
    (desk.source / "access.toml").write_text(EVERYONE + "\n" + "\n".join(rules), encoding="utf-8")
    readers = desk.step("readers")
    texts = desk.texts(SAMPLE)
    start, spent = time.perf_counter(), time.process_time()
    desk.embedder.documents(texts)
    alone = len(texts) / (time.perf_counter() - start)
    processor_s = (time.process_time() - spent) / len(texts)
    embeds = first.run.counts["embedded"]
    print(
        f"\nthe embedder alone: {alone:.1f} chunks/s; in the first sync: {embeds / first.seconds:.1f} chunks/s"
    )
    return {
        "documents": first.run.counts["added"],
        "chunks": first.run.counts["chunks"],
        "first_s": round(first.seconds, 2),
        "first_docs_per_s": round(first.run.counts["added"] / first.seconds, 2),
        "unchanged_s": round(unchanged.seconds, 2),
        "unchanged_embeds": unchanged.run.counts["embedded"],
        "changed_s": round(changed.seconds, 2),
        "removed_s": round(removed.seconds, 2),
        "readers_s": round(readers.seconds, 2),
        "readers_embeds": readers.run.counts["embedded"],
        "embedder_share": round(embeds / first.seconds / alone, 2),
        "processor_share": round(processor_s * embeds / first.processor_s, 2),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", type=Path, help="files to sync; only read")
    source.add_argument("--generated", type=int, help="so many made-up documents instead")
    parser.add_argument("--pattern", default="**/*.md", help="which of them (default **/*.md)")
    parser.add_argument("--limit", type=int, help="at most so many files")
    parser.add_argument("--files", type=int, default=10, help="files to change and to remove")
    options = parser.parse_args()
    if options.folder is not None and not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    with tempfile.TemporaryDirectory(prefix="switchboard-bench-") as name:
        base = Path(name)
        (base / "source").mkdir()
        if options.folder is None:
            files = generated(options.generated, base / "source")
        else:
            files = copied(options.folder, options.pattern, options.limit, base / "source")
        if len(files) < 3 * options.files:
            parser.error(f"{len(files)} files match; {3 * options.files} are needed")
        with PeakMemory() as memory:
            desk = Desk(base / "data", base / "source")
            figures = measure(desk, files, options.files)
            desk.close()
    figures["peak_rss_mb"] = round(memory.mb)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
