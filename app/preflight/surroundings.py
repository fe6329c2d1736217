"""What the checks look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from app.data_folder import DataFolder
from app.db import Database
from app.domain import now
from app.settings import Settings


@dataclass
class Surroundings:
    """What the checks look at. `owner` is the running Switchboard in words, empty when none runs."""

    settings: Settings
    clock: Callable[[], datetime] = now
    owner: str = field(init=False)

    def __post_init__(self) -> None:
        self.owner = DataFolder(self.settings.data_dir).owner()

    @property
    def no_database_yet(self) -> bool:
        path = self.settings.database.removeprefix("sqlite:///")
        return path != self.settings.database and not Path(path).exists()

    @cached_property
    def database(self) -> Database:
        """Raises ConfigurationError for an address of an unknown kind. A SQLite file is made when there is none."""
        return Database(self.settings.database)
