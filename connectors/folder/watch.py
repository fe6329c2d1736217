"""Tells soon after something in a folder changed: by the kernel's notices, or by looking every few seconds."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from connectors.contract import SourceFault
from connectors.folder.access import ACCESS_FILE
from connectors.folder.selection import MIMES

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

QUIET_S, LONGEST_S, POLL_S = 0.5, 5.0, 10.0
# Reading a file opens and closes it: such notices would make each sync cause the next.
CHANGES = {"created", "modified", "deleted", "moved", "closed", "attrib"}


class Settled:
    """Many changes become one call: after `quiet_s` without another, and `longest_s` after the first at the latest."""

    def __init__(
        self, call: Callable[[], None], quiet_s: float = QUIET_S, longest_s: float = LONGEST_S
    ) -> None:
        self._call = call
        self._quiet_s = quiet_s
        self._rounds = max(1, round(longest_s / quiet_s))
        self._something = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folder-watch", daemon=True)
        self._thread.start()

    def note(self) -> None:
        self._something.set()

    def end(self) -> None:
        self._ended.set()
        self._something.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            self._something.wait()
            for _ in range(self._rounds):
                self._something.clear()
                if self._ended.wait(self._quiet_s):
                    return
                if not self._something.is_set():
                    break
            self._something.clear()
            self._call()


def watch(
    root: Path, changed: Callable[[], None], *, poll_s: float = 0, quiet_s: float = QUIET_S
) -> Callable[[], None]:
    """Watches `root` and what is below. Without `poll_s` the kernel tells; with it, one looks that often.

    Returns what ends it. Raises `SourceFault` where the kernel allows no more watches."""
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer
    from watchdog.observers.polling import PollingObserver

    settled = Settled(changed, quiet_s)

    class Notices(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in CHANGES and _matters(root, event):
                settled.note()

    observer: Any = PollingObserver(timeout=poll_s) if poll_s else Observer()
    observer.schedule(Notices(), str(root), recursive=True)
    try:
        observer.start()
    except OSError as error:
        settled.end()
        raise SourceFault(
            f"The folder {root} cannot be watched ({error.strerror}).",
            "Raise the system's limit fs.inotify.max_user_watches, or watch every 10 seconds.",
        ) from None

    def end() -> None:
        observer.stop()
        with contextlib.suppress(RuntimeError):  # asked for from one of its own threads
            observer.join(timeout=5)
        settled.end()

    return end


def _matters(root: Path, event: FileSystemEvent) -> bool:
    paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
    return any(_may_hold_documents(root, path, event.is_directory) for path in paths)


def _may_hold_documents(root: Path, path: str, is_folder: bool) -> bool:
    try:
        parts = PurePath(path).relative_to(root).parts
    except ValueError:
        return False
    if any(part.startswith(".") for part in parts):
        return False
    name = parts[-1] if parts else ""
    return is_folder or name == ACCESS_FILE or PurePath(name).suffix.lower() in MIMES
