"""Room on the disk, asked for before the engine writes.

The engine maps its files into memory, and where a mapped page finds no room the system ends the whole process (SIGBUS).
Measured: opening an index writes 45 MB, and with 40 MB free the process died. An index that takes no change for a while is better than a
desk that is gone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from app.errors import IndexUnavailable

MEGABYTE = 2**20


def need(folder: Path, megabytes: int, purpose: str) -> None:
    """Raises IndexUnavailable when less is free on the disk of `folder`, which exists."""
    free = free_megabytes(folder)
    if free < megabytes:
        raise IndexUnavailable(
            f"The disk of the search index is nearly full: {free} MB are free, {megabytes} MB are needed to {purpose} it safely.",
            fix=f"Free some space on the disk of {folder}. Nothing is lost: changes that wait are made with the next sync.",
        )


def free_megabytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free // MEGABYTE


def size_megabytes(folder: Path) -> int:
    """What the files of `folder` take on the disk."""
    taken = sum(file.stat().st_blocks for file in folder.rglob("*") if file.is_file())
    return taken * 512 // MEGABYTE
