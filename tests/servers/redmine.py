"""A real Redmine for a test module: Debian's package, a copy of it with its own SQLite database, on a free port.

One Ruby process migrates the database, loads Redmine's default data, makes the world of `redmine_world.rb` and then serves
it with WEBrick, because starting Rails is what takes the time. Debian 12: `apt-get install redmine redmine-sqlite`.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

INSTALLED = Path("/usr/share/redmine")
WORLD = Path(__file__).with_name("redmine_world.rb")
PATIENCE_S = 110.0


@dataclass(frozen=True)
class Redmine:
    """`key` is an administrator's API key."""

    url: str
    key: str
    folder: Path

    @property
    def _database(self) -> Path:
        return self.folder / "redmine.sqlite3"

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the REST API does not offer (roles), done or asked in the database."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=10)) as database:
            rows = database.execute(statement, values).fetchall()
            database.commit()
            return rows

    def call(self, method: str, path: str, body: object = None, user: str = "") -> httpx.Response:
        """The REST API as the administrator, or as the person of that login."""
        headers = {"X-Redmine-API-Key": self.key}
        if user:
            headers["X-Redmine-Switch-User"] = user
        return httpx.request(method, f"{self.url}{path}", headers=headers, json=body, timeout=30)

    def shows(self, path: str, user: str) -> bool:
        """Whether Redmine itself shows this to the person of that login."""
        return self.call("GET", path, user=user).status_code == 200


@contextlib.contextmanager
def redmine() -> Iterator[Redmine]:
    """Skips the test where Redmine is not installed."""
    if not (INSTALLED / "config.ru").exists() or not shutil.which("bundle"):
        pytest.skip("Redmine is not installed (Debian: redmine and redmine-sqlite)")
    folder = Path(tempfile.mkdtemp(prefix="switchboard-redmine-"))
    port, key = _free_port(), secrets.token_hex(20)
    app = _copy(folder)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RAILS_ENV": "production",
        "WORLD_PORT": str(port),
        "WORLD_KEY": key,
    }
    log = folder / "output"
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["bundle", "exec", "rails", "runner", str(WORLD)],
            cwd=app,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}/users/current.json", key, log)
        yield Redmine(f"http://127.0.0.1:{port}", key, folder)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _copy(folder: Path) -> Path:
    """Redmine finds its configuration beside its code, so the code is copied (about 12 MB)."""
    app = folder / "redmine"
    app.mkdir()
    for name in ("app", "bin", "config", "db", "lib", "Gemfile", "Gemfile.lock", "config.ru"):
        source = INSTALLED / name
        if source.is_dir():
            shutil.copytree(source, app / name, ignore=shutil.ignore_patterns("database.yml"))
        else:
            shutil.copy(source, app / name)
    (app / "public").symlink_to(INSTALLED / "public")
    instance = app / "instances" / "default"
    for name in ("config", "tmp/cache", "log", "files", "public/plugin_assets"):
        (instance / name).mkdir(parents=True)
    (instance / "config" / "database.yml").write_text(
        f"production:\n  adapter: sqlite3\n  timeout: 10000\n  database: {folder}/redmine.sqlite3\n"
    )
    (instance / "config" / "secret_key.txt").write_text(secrets.token_hex(64))
    gems = (app / "Gemfile").read_text()
    (app / "Gemfile").write_text(
        gems.replace("/usr/share/redmine/{config,instances/*/config}", f"{instance}/config")
    )
    return app


def _wait(server: subprocess.Popen[bytes], url: str, key: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, headers={"X-Redmine-API-Key": key}, timeout=30).status_code == 200:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"Redmine did not start:\n{log.read_text(errors='replace')[:3000]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
