"""A process for test_durable to kill: `python -m tests.durable_process <data folder> <database> <block|go|look>`.

Its function writes `begun`, then waits for ever when told to block, and otherwise adds one line to `effects`. `look` only starts and stops.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from app.db import Database
from app.domain import Json
from app.durable import Durable
from app.settings import Settings


def main(folder: Path, url: str, mode: str) -> None:
    settings = Settings(data_dir=folder, database_url=url)
    durable = Durable(settings, Database(settings.database))
    done = threading.Event()

    def work(argument: Json) -> None:
        (folder / "begun").write_text("yes")
        if mode == "block":
            threading.Event().wait()
        with (folder / "effects").open("a") as effects:
            effects.write(f"{argument['text']}\n")
        done.set()

    durable.register("work", work)
    durable.launch()
    if mode == "block":
        durable.start("work", "only-once", {"text": "höflich"})
        threading.Event().wait()
    if mode == "go":
        done.wait(30)
    durable.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
