"""Locks that end with their process: a locked file in the data folder for SQLite, a session's advisory lock for PostgreSQL.

The operating system and the server release them however the process ends, so a free lock means a dead owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from pathlib import Path
from typing import IO, Any, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError


class Locks(Protocol):
    """Locks that end with their process."""

    def hold(self, name: str) -> bool: ...

    def release(self, name: str) -> None: ...

    def renew(self, name: str) -> None:
        """Takes the own lock again if it was lost while the process lived."""

    def close(self) -> None: ...


class FileLocks:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._held: dict[str, IO[bytes]] = {}

    def hold(self, name: str) -> bool:
        file = (self._folder / f"{name}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held[name] = file
        return True

    def release(self, name: str) -> None:
        file = self._held.pop(name, None)
        if file is not None:
            Path(file.name).unlink(missing_ok=True)
            file.close()

    def renew(self, name: str) -> None:
        """A file lock cannot be lost."""

    def close(self) -> None:
        for name in list(self._held):
            self.release(name)


class AdvisoryLocks:
    """One connection of its own holds them: they end with it. `application` keeps them apart from others' on the server."""

    def __init__(self, engine: Engine, application: str) -> None:
        self._engine = engine
        self._application = application
        self._connection = self._connect()

    def hold(self, name: str) -> bool:
        return bool(self._ask("SELECT pg_try_advisory_lock(:key)", name))

    def release(self, name: str) -> None:
        with contextlib.suppress(SQLAlchemyError):  # a lost connection has released it already
            self._ask("SELECT pg_advisory_unlock(:key)", name)

    def renew(self, name: str) -> None:
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            self._connection.close()
            self._connection = self._connect()
            self.hold(name)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, statement: str, name: str) -> Any:
        digest = hashlib.sha256(f"{self._application}:{name}".encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        return self._connection.execute(text(statement), {"key": key}).scalar()

    def _connect(self) -> Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
