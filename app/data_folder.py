"""The data folder belongs to one process at a time: the embedded index and SQLite's writer assume it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import AlreadyRunning, ConfigurationError

LOCK_NAME = "switchboard.lock"


class DataFolder:
    """Creates the folder and holds its lock until closed or the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, address: str = "") -> Self:
        """Raises AlreadyRunning (naming the owner) and ConfigurationError (folder not writable)."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The data folder {self.path} cannot be written: {error.strerror}.",
                fix="Give this user the right to write there, or set SWITCHBOARD_DATA_DIR.",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(
                f"The data folder {self.path} is in use by another Switchboard{self._owner()}."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode())
        self._descriptor = descriptor
        return self

    def owner(self) -> str:
        """The process that holds the lock in words, or nothing."""
        if not (self.path / LOCK_NAME).exists():
            return ""
        try:
            DataFolder(self.path).acquire().close()
        except AlreadyRunning as error:
            return error.message
        return ""

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _owner(self) -> str:
        try:
            owner = json.loads((self.path / LOCK_NAME).read_text())
        except (OSError, ValueError):
            return ""
        place = f" at {owner['address']}" if owner.get("address") else ""
        return f" (process {owner.get('pid')}{place})"
