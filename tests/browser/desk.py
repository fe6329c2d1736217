"""Servers to look at: a running desk with its database, and a receiver for its webhook."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.demo.seed import COMPANY_FOLDER
from tests.bench.processes import free_port, process, wait_for

FIRST_SYNC_S = 120.0
HOSTILE_ANSWER = """Look here ![a picture](http://evil.test/answer.png) and <img src="http://evil.test/raw.png">.

<script>document.title = "owned"</script>

<iframe src="http://evil.test/frame"></iframe> Then [click me](http://evil.test/link) or [me](javascript:alert(1)).
"""
"""What a model might say that was talked into it."""
HOSTILE = "handbook/cormorant-buoy.md"
"""A document that everybody may read and that tries to do more than be read."""
HOSTILE_TEXT = """# Cormorant buoy

The Cormorant buoy has a draught of 94 cm ![plan](http://evil.test/plan.png) <img src="http://evil.test/i.png">.

The Cormorant buoy is moored <script>document.title = "owned"</script> with a chain of 12 mm. [Read more](http://evil.test/more)
"""


@dataclass(frozen=True)
class Desk:
    """A running server. Its database is read directly only to learn ids and what was stored."""

    url: str
    data: Path
    pid: int
    states: dict[str, Any] = field(default_factory=dict)
    """Cookies of people who are signed in, by address."""

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        address = f"file:{self.data / 'switchboard.sqlite'}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def one(self, sql: str, *values: object) -> Any:
        """The only value of the only row."""
        ((value,),) = self.rows(sql, *values)
        return value

    def document(self, source_id: str) -> str:
        return str(self.one("SELECT id FROM document WHERE source_id = ?", source_id))


@contextlib.contextmanager
def running_desk(
    data: Path, environment: Mapping[str, str], *, port: int | None = None
) -> Iterator[Desk]:
    """Starts `python -m app serve` on a free port and waits until it is ready."""
    port = port or free_port()
    url = f"http://localhost:{port}"
    log = data.with_suffix(".log")
    settings = {
        "SWITCHBOARD_PORT": str(port),
        "SWITCHBOARD_DATA_DIR": str(data),
        "SWITCHBOARD_LOCAL_MODEL": "false",
        "OPENAI_API_KEY": "",
        "ANTHROPIC_API_KEY": "",
        **environment,
    }
    with process(["-m", "app", "serve"], settings, log) as child:
        wait_for(f"{url}/readyz", child, log)
        yield Desk(url, data, child.pid)


def company_with_a_hostile_document(data: Path) -> None:
    """The demo company as it will be found at first start, and one document more."""
    shutil.copytree(COMPANY_FOLDER, data / "demo-company")
    (data / "demo-company" / HOSTILE).write_text(HOSTILE_TEXT, encoding="utf-8")


def first_sync(desk: Desk) -> None:
    until(
        lambda: desk.rows("SELECT 1 FROM sync_run WHERE status = 'finished'"),
        "the first sync never finished",
        FIRST_SYNC_S,
    )


@contextlib.contextmanager
def scripted_model(
    folder: Path, *, tokens: int, delay_ms: int, says: Mapping[str, str]
) -> Iterator[str]:
    """A model that answers slowly over HTTP, and one for each of `says` with that text; yields its base URL."""
    port = free_port()
    log = folder / "model.log"
    arguments = ["-m", "app.llm.scripted_server", "--port", str(port)]
    arguments += ["--tokens", str(tokens), "--delay-ms", str(delay_ms)]
    for name, text in says.items():
        arguments += ["--say", f"{name}={text}"]
    with process(arguments, {}, log) as child:
        wait_for(f"http://127.0.0.1:{port}/v1/models", child, log)
        yield f"http://127.0.0.1:{port}/v1"


def model_stats(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base_url}/stats", timeout=5) as answer:
        return dict(json.load(answer))


@contextlib.contextmanager
def slowly(base_url: str, pace_ms: int) -> Iterator[None]:
    """Inside, the scripted model takes two seconds for each word, so that an answer is still under way however slow the
    machine; at the end the rest of it comes at its own `pace_ms` again."""
    set_pace(base_url, 2_000)
    try:
        yield
    finally:
        set_pace(base_url, pace_ms)


def set_pace(base_url: str, delay_ms: int) -> None:
    body = str(delay_ms).encode()
    request = urllib.request.Request(f"{base_url}/delay-ms", data=body, method="PUT")
    urllib.request.urlopen(request, timeout=5).close()


def until(condition: Callable[[], object], otherwise: str, timeout_s: float = 90.0) -> None:
    """Waits for what no page shows. Raises AssertionError with `otherwise` when the time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


class Receiver:
    """What Zapier, Make or n8n would be: keeps the body of every POST."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def about(self, subject: str) -> list[dict[str, Any]]:
        return [body for body in self.bodies if body.get("subject") == subject]
