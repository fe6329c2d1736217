"""Before anything is stored: ask a source whether it can be read, and what a first sync would bring."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from app.db.engine import Database
from app.db.tables import ConnectorRow
from app.errors import SwitchboardError
from app.knowledge.sync.batch import Removals, TooManyRemovals, read_known
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.sources import Sources
from connectors.contract import (
    Access,
    Capability,
    Check,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    SourceFault,
    Unchanged,
)
from connectors.http import Cancelled, Http

log = structlog.get_logger(__name__)
SHOWN = 10
LONGEST_S = 30.0
MOST_DOCUMENTS = 2_000


@dataclass(frozen=True, slots=True)
class TrialDocument:
    """One document that a sync would bring: `readers` in words, empty for nobody."""

    id: str
    title: str
    change: str
    readers: tuple[str, ...]
    data_class: str


@dataclass(slots=True)
class DryRun:
    """What a sync would do. `complete` is False where the look ended by time or number: the counts are then a lower bound."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: int = 0
    hidden: int = 0
    complete: bool = False
    held: str = ""
    first: list[TrialDocument] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class SourceBroken(SwitchboardError):
    """A source that cannot be read, or a connector that broke, while an admin tried it."""


@contextmanager
def _in_words() -> Iterator[None]:
    """A connector is somebody's code: whatever it raises is told in words."""
    try:
        yield
    except SourceFault as fault:
        raise SourceBroken(fault.message, fix=fault.fix) from fault
    except SwitchboardError:
        raise
    except Exception as error:
        log.exception("a connector broke while it was tried")
        raise SourceBroken(
            f"The connector broke ({type(error).__name__}).",
            fix="The detail is in the log; tell the connector's author.",
        ) from error


class Trial:
    """Nothing here writes. `connector_id` compares with what is stored; its secrets serve where none are given."""

    def __init__(self, database: Database, sources: Sources, credentials: Credentials) -> None:
        self._database = database
        self._sources = sources
        self._credentials = credentials

    def checks(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
    ) -> list[Check]:
        """Asks the source itself. Raises InputError for settings or secrets that are wrong in form, SourceBroken."""
        given = {**self._credentials.open(credential_id), **(secrets or {})}
        http = Http(requests_per_minute=self._sources.limits(kind).requests_per_minute)
        try:
            connector = self._sources.connector(kind, settings, given, Context(http=http))
            with _in_words():
                return connector.validate()
        finally:
            http.close()

    def dry_run(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
        connector_id: str | None = None,
        longest_s: float = LONGEST_S,
    ) -> DryRun:
        """Raises InputError, and SourceBroken where the source cannot be read."""
        deadline = time.monotonic() + longest_s
        given = {**self._credentials.open(credential_id), **(secrets or {})}
        http = Http(requests_per_minute=self._sources.limits(kind).requests_per_minute)
        context = Context(http=http, cancelled=lambda: time.monotonic() > deadline)
        row, known = self._stored(connector_id)
        try:
            connector = self._sources.connector(kind, settings, given, context)
            with _in_words():
                return _Look(connector, known, row, deadline).look()
        finally:
            http.close()

    def _stored(self, connector_id: str | None) -> tuple[ConnectorRow | None, dict[str, str]]:
        if connector_id is None:
            return None, {}
        with self._database.read() as session:
            known = read_known(session, connector_id)
            return session.get(ConnectorRow, connector_id), {s: k.version for s, k in known.items()}


class _Look:
    def __init__(
        self,
        connector: Connector,
        known: Mapping[str, str],
        row: ConnectorRow | None,
        deadline: float,
    ) -> None:
        self._connector = connector
        self._known = known
        self._row = row
        self._deadline = deadline
        self._seen: set[str] = set()
        self._found = DryRun()

    def look(self) -> DryRun:
        """Ends at the deadline with what was found so far."""
        with suppress(Cancelled):
            self._look()
        return self._found

    def _look(self) -> None:
        complete = False
        for change in self._connector.changes({}, self._known):
            if isinstance(change, Checkpoint):
                complete = change.complete
            else:
                self._take(change)
            if time.monotonic() > self._deadline or len(self._seen) >= MOST_DOCUMENTS:
                return
        if not complete and Capability.LISTING in self._connector.capabilities:
            self._seen |= {line.id for line in self._connector.list_ids()}
            complete = time.monotonic() <= self._deadline
        if complete:
            self._found.removed += len(self._known.keys() - self._seen)
        self._found.complete = complete
        self._ask_whether_held()

    def _take(self, change: Document | Unchanged | Deletion | Failure) -> None:
        self._seen.add(change.id)
        match change:
            case Document():
                same = self._known.get(change.id) == change.version
                self._count("unchanged" if same else self._kind_of(change.id))
                if not same:
                    self._show(change)
                self._found.hidden += not change.access.known
            case Unchanged():
                self._count("unchanged")
            case Deletion():
                self._found.removed += change.id in self._known
            case Failure():
                self._count("failed")
                if len(self._found.failures) < SHOWN:
                    self._found.failures.append(change)

    def _kind_of(self, source_id: str) -> str:
        return "changed" if source_id in self._known else "added"

    def _count(self, name: str) -> None:
        setattr(self._found, name, getattr(self._found, name) + 1)

    def _show(self, document: Document) -> None:
        if len(self._found.first) < SHOWN:
            self._found.first.append(
                TrialDocument(
                    document.id,
                    document.title or document.id,
                    self._kind_of(document.id),
                    readers_in_words(document.access),
                    document.data_class,
                )
            )

    def _ask_whether_held(self) -> None:
        if self._row is None:
            return
        try:
            Removals(len(self._known), self._row.removal_share, 0).take(self._found.removed)
        except TooManyRemovals as held:
            self._found.held = (
                f"The sync would stop and ask: {held.removed} of {held.documents} would go."
            )


def readers_in_words(access: Access) -> tuple[str, ...]:
    """Names as the source has them; a narrowing part is written after 'and'. Empty for nobody."""
    if not access.known:
        return ()
    own = ["everyone"] if access.everyone else []
    own += [f"group {name}" for name in sorted(access.groups)]
    own += sorted(access.users)
    narrowing = ["only if also: " + ", ".join(readers_in_words(part)) for part in access.also]
    return (*own, *narrowing)
