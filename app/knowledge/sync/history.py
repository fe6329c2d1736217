"""Looking at the sources: how each is, what its runs did, who finds what there and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ConnectorRow, ReaderChangeRow, SyncFailureRow, SyncRunRow
from app.domain import Person
from app.errors import NotFound
from app.knowledge.sync import clocks, overview
from app.knowledge.sync.overview import ConnectorStatus, Preview
from app.knowledge.sync.sources import Sources
from app.records import Ledger
from app.records.events import PreviewedAs


class History:
    """The half of `Sync` that only looks."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        sources: Sources,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._sources = sources
        self._clock = clock

    def overview(self) -> list[ConnectorStatus]:
        with self._database.read() as session:
            return overview.statuses(session, self._scopes)

    def status(self, connector_id: str) -> ConnectorStatus:
        """Raises NotFound."""
        for status in self.overview():
            if status.id == connector_id:
                return status
        raise NotFound("There is no such connector.")

    def runs(
        self, connector_id: str, limit: int = 20, scope: str | None = None
    ) -> list[SyncRunRow]:
        """Newest first; of one scope where it is given."""
        statement = select(SyncRunRow).where(col(SyncRunRow.connector_id) == connector_id)
        if scope is not None:
            statement = statement.where(col(SyncRunRow.scope) == scope)
        with self._database.read() as session:
            newest = statement.order_by(col(SyncRunRow.started_at).desc()).limit(limit)
            return list(session.execute(newest).scalars())

    def reader_changes(self, connector_id: str, limit: int = 100) -> list[ReaderChangeRow]:
        """What changed in who may see what, newest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(ReaderChangeRow)
                    .where(col(ReaderChangeRow.connector_id) == connector_id)
                    .order_by(col(ReaderChangeRow.seq).desc())
                    .limit(limit)
                ).scalars()
            )

    def run_row(self, run_id: str) -> SyncRunRow | None:
        with self._database.read() as session:
            return session.get(SyncRunRow, run_id)

    def failures(self, connector_id: str) -> list[SyncFailureRow]:
        with self._database.read() as session:
            return list(
                session.execute(
                    select(SyncFailureRow)
                    .where(col(SyncFailureRow.connector_id) == connector_id)
                    .order_by(col(SyncFailureRow.name))
                ).scalars()
            )

    def preview_as(self, person: Person, actor: Person | None = None) -> list[Preview]:
        """What `person` finds here and why, or why not; that `actor` looked is recorded."""
        with self._database.read() as session:
            found = overview.preview(session, person, self._clock())
        readable = sum(item.basis is not None for item in found)
        self._ledger.record(
            PreviewedAs(actor=actor.id if actor else "system", person=person.id, documents=readable)
        )
        return found

    def _scopes(self, row: ConnectorRow) -> tuple[str, ...]:
        return clocks.scopes(self._sources.capabilities(row.kind, row.settings))
