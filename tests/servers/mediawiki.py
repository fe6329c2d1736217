"""A real MediaWiki for a test module: Debian's package under PHP's built-in server, with its own SQLite database.

Debian 12: `apt-get install mediawiki php-cli php-sqlite3`. The wiki is private (`$wgGroupPermissions['*']['read'] = false`)
until `public()` makes it readable for all; `mediawiki_world.php` makes accounts and pages.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

INSTALLED = Path("/usr/share/mediawiki")
WORLD = Path(__file__).with_name("mediawiki_world.php")
PATIENCE_S = 60.0
SETTINGS = """
$wgGroupPermissions['*']['read'] = file_exists( __DIR__ . '/public' );
$wgGroupPermissions['*']['edit'] = false;
$wgGroupPermissions['hr']['read'] = true;
$wgGroupPermissions['left']['edit'] = false;
$wgRevokePermissions['left']['read'] = true;
$wgExtraNamespaces[3000] = 'HR';
$wgExtraNamespaces[3001] = 'HR_talk';
$wgContentNamespaces[] = 3000;
$wgGroupPermissions['sysop']['deleterevision'] = true;
$wgRateLimits = [];
$wgJobRunRate = 0;
$wgMainCacheType = CACHE_NONE;
$wgSessionCacheType = CACHE_DB;
"""


@dataclass
class MediaWiki:
    """`session` acts as the wiki's administrator."""

    url: str
    folder: Path
    bot: str
    bot_password: str
    session: httpx.Client = field(repr=False)

    @property
    def api(self) -> str:
        return f"{self.url}/api.php"

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        database_file = self.folder / "data" / "wiki.sqlite"
        with contextlib.closing(sqlite3.connect(database_file, timeout=10)) as database:
            rows = database.execute(statement, values).fetchall()
            database.commit()
            return rows

    def act(self, action: str, **fields: str) -> dict[str, Any]:
        """An action of the API by the administrator; fails where the wiki refuses."""
        ask = {"action": "query", "meta": "tokens", "type": "csrf|userrights", "format": "json"}
        tokens = self.session.get(self.api, params=ask).json()["query"]["tokens"]
        token = tokens["userrightstoken" if action == "userrights" else "csrftoken"]
        data = {"action": action, "format": "json", "formatversion": "2", "token": token, **fields}
        answer: dict[str, Any] = self.session.post(self.api, data=data).json()
        assert "error" not in answer, answer
        return answer

    def page_id(self, title: str) -> int:
        ask = {"action": "query", "titles": title, "format": "json", "formatversion": "2"}
        page = self.session.get(self.api, params=ask).json()["query"]["pages"][0]
        return int(page["pageid"])

    @contextlib.contextmanager
    def public(self) -> Iterator[None]:
        """Everybody may read meanwhile."""
        switch = self.folder / "public"
        switch.touch()
        try:
            yield
        finally:
            switch.unlink()


@contextlib.contextmanager
def mediawiki() -> Iterator[MediaWiki]:
    """Skips the test where MediaWiki or PHP is not installed."""
    php = shutil.which("php")
    if not php or not (INSTALLED / "api.php").exists():
        pytest.skip("MediaWiki is not installed (Debian: mediawiki, php-cli and php-sqlite3)")
    folder = Path(tempfile.mkdtemp(prefix="switchboard-mediawiki-"))
    port, password = _free_port(), secrets.token_hex(16)
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "MW_INSTALL_PATH": str(INSTALLED),
        "WORLD_BOT_PASSWORD": password,
    }
    try:
        _install(php, folder, url, password, environment)
        environment["MW_CONFIG_FILE"] = str(folder / "LocalSettings.php")
        _run([php, str(WORLD)], environment)
        with _serve(php, port, folder, environment):
            yield MediaWiki(
                url, folder, "Reader@switchboard", password, sign_in(url, "Admin", password)
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(php: str, folder: Path, url: str, password: str, environment: dict[str, str]) -> None:
    (folder / "data").mkdir()
    command = [php, str(INSTALLED / "maintenance" / "install.php"), "--dbtype", "sqlite"]
    command += ["--dbpath", str(folder / "data"), "--dbname", "wiki", "--confpath", str(folder)]
    command += ["--server", url, "--scriptpath", "", "--skins", "", "--pass", password]
    _run([*command, "Handbook wiki", "Admin"], environment)
    with (folder / "LocalSettings.php").open("a") as settings:
        settings.write(SETTINGS)


@contextlib.contextmanager
def _serve(php: str, port: int, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [php, "-d", "opcache.enable_cli=1", "-S", f"127.0.0.1:{port}", "-t", str(INSTALLED)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}/api.php", folder / "output")
        yield
    finally:
        server.kill()
        server.wait()


def sign_in(url: str, name: str, password: str) -> httpx.Client:
    """A session of that account; every account of the world has the bot's password."""
    client = httpx.Client(timeout=30)
    ask = {"action": "query", "meta": "tokens", "type": "login", "format": "json"}
    token = client.get(f"{url}/api.php", params=ask).json()["query"]["tokens"]["logintoken"]
    login = {"action": "clientlogin", "username": name, "password": password, "format": "json"}
    login |= {"logintoken": token, "loginreturnurl": url}
    answer = client.post(f"{url}/api.php", data=login).json()
    assert answer["clientlogin"]["status"] == "PASS", answer
    return client


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        pytest.fail(f"MediaWiki could not be prepared:\n{said[-3000:]}")


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, params={"action": "help"}, timeout=30).status_code < 500:
                return
        time.sleep(0.05)
    pytest.fail(f"MediaWiki did not start:\n{log.read_text(errors='replace')[:3000]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
