"""What a connector is. Imports nothing of `app`, so that an author needs this file only.

A connector is a package found by the entry point group `switchboard.connectors`: its name is the kind, its value a
`Connector` class. The platform makes one instance for each configured source and calls `validate` and `changes` from a
worker thread; both may block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel

CONTRACT_VERSION = 1


class Outcome(StrEnum):
    """A network fault is not a bad credential: when in doubt, `indeterminate`."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer of `validate`: what was checked, how it went, why, and what to do."""

    name: str
    outcome: Outcome
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a document. Unknown means nobody.

    `users` are e-mail addresses, `groups` are names in the source's own directory, or the company's when
    `company_groups` is true (a folder has no directory of its own).
    """

    known: bool = False
    everyone: bool = False
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    company_groups: bool = False

    @classmethod
    def nobody(cls) -> Access:
        return cls(known=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the source has it. `content` is raw bytes; the platform parses by `mime`.

    `title` may be empty: the platform then takes the document's own, else the last part of its id.
    `version` changes whenever the content does (a hash, a revision). `data_class` is public, internal, confidential or
    restricted.
    """

    id: str
    title: str
    content: bytes
    mime: str
    version: str
    access: Access
    data_class: str = "internal"
    url: str = ""
    space: str = ""
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A document whose version is the one already known: only its access may differ, so no bytes are sent."""

    id: str
    access: Access
    data_class: str = "internal"


@dataclass(frozen=True, slots=True)
class Deletion:
    id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that could not be read; the rest goes on."""

    id: str
    name: str
    cause: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything before it was handed over; `state` comes back at the next call. `complete` ends a full listing:
    what the platform knows and this listing did not name is gone at the source."""

    state: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False


Change = Document | Unchanged | Deletion | Failure | Checkpoint


@dataclass(frozen=True, slots=True)
class Context:
    """What the platform gives: `known` maps document id to the version already indexed; `cancelled` is polled;
    `max_bytes` is the largest document worth sending."""

    known: Mapping[str, str]
    cancelled: Callable[[], bool]
    progress: Callable[[str], None]
    max_bytes: int = 25_000_000


class Connector(ABC):
    """One configured source."""

    kind: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    contract_version: ClassVar[int] = CONTRACT_VERSION
    settings_model: ClassVar[type[BaseModel]]

    def __init__(self, settings: BaseModel) -> None:
        self.settings = settings

    @abstractmethod
    def validate(self) -> list[Check]:
        """Checks content and document permissions separately. Never raises for a source that is down."""

    @abstractmethod
    def changes(self, checkpoint: Mapping[str, Any], context: Context) -> Iterator[Change]:
        """Documents, deletions and failures since `checkpoint` (empty at first), in batches closed by `Checkpoint`.

        Harmless to repeat. Raises `SourceFault` when the source as a whole cannot be read.
        """

    def groups(self) -> Mapping[str, frozenset[str]]:
        """Group name to members: e-mail addresses, or `group:<name>` for a nested one. None by default."""
        return {}


class SourceFault(Exception):
    """The whole source cannot be read now: `message` says why, `fix` what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
