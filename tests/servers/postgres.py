"""A real PostgreSQL for one test: its own data folder, a free port on loopback, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yields a `postgresql://` address. Skips the test where PostgreSQL or somebody it may run as is missing."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if not initdb or not pg_ctl:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="switchboard-pg-"))
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", _free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        _run([initdb, "-D", str(data), "-U", "switchboard", "-A", "trust", "-N"], user)
        _run(
            [pg_ctl, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start"], user
        )
        yield f"postgresql://switchboard@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # when it never came up
            _run([pg_ctl, "-D", str(data), "-m", "immediate", "-w", "stop"], user)
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    """Debian keeps the server's programs off the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


def _user() -> str | None:
    """PostgreSQL refuses to run as root; None where we are somebody else already."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return pytest.skip("PostgreSQL refuses to run as root and there is no other user")


def _run(command: list[str], user: str | None) -> None:
    subprocess.run(
        command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
