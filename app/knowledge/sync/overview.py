"""What an admin sees of the sources: status, figures, and who finds what here and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.access.readers import readable
from app.db.tables import (
    ConnectorRow,
    DocumentReaderRow,
    DocumentRow,
    SyncFailureRow,
    SyncRunRow,
)
from app.domain import AccessBasis, DataClass, Json, Person

ACTIVE = ("queued", "running", "cancelling")
SHOWN_READERS = 5
RETRY_S = 300


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """`run` is the newest one; `permissions_at` the oldest confirmation among the documents, None without documents."""

    id: str
    kind: str
    name: str
    settings: Json
    status: str
    sync_every_s: int
    permissions_max_age_s: int
    documents: int
    hidden: int
    failures: int
    last_sync_at: datetime | None
    next_sync_at: datetime | None
    permissions_at: datetime | None
    run: SyncRunRow | None

    @property
    def syncing(self) -> bool:
        return self.run is not None and self.run.status in ACTIVE


@dataclass(frozen=True, slots=True)
class Preview:
    """One document as a person meets it: the permission it rests on, or why they do not find it."""

    document_id: str
    title: str
    space: str
    connector: str
    data_class: DataClass
    basis: AccessBasis | None
    reason: str


def statuses(session: Session) -> list[ConnectorStatus]:
    """Five statements, however many connectors."""
    documents = {
        row.connector_id: row
        for row in session.execute(
            select(
                col(DocumentRow.connector_id),
                func.count().label("documents"),
                func.count().filter(~col(DocumentRow.access_known)).label("hidden"),
                func.min(col(DocumentRow.permissions_checked_at)).label("permissions_at"),
            ).group_by(col(DocumentRow.connector_id))
        )
    }
    failures = _counted(session, SyncFailureRow)
    runs = latest_runs(session)
    found: list[ConnectorStatus] = []
    for row in session.execute(select(ConnectorRow).order_by(col(ConnectorRow.name))).scalars():
        figures = documents.get(row.id)
        run = runs.get(row.id)
        found.append(
            ConnectorStatus(
                id=row.id,
                kind=row.kind,
                name=row.name,
                settings=row.settings,
                status=row.status,
                sync_every_s=row.sync_every_s,
                permissions_max_age_s=row.permissions_max_age_s,
                documents=figures.documents if figures else 0,
                hidden=figures.hidden if figures else 0,
                failures=failures.get(row.id, 0),
                last_sync_at=row.last_sync_at,
                next_sync_at=next_sync(row, run),
                permissions_at=figures.permissions_at if figures else None,
                run=run,
            )
        )
    return found


def next_sync(row: ConnectorRow, run: SyncRunRow | None) -> datetime | None:
    """When the schedule will start it; None while paused, being removed or at work."""
    if row.status in {"paused", "deleting"} or (run is not None and run.status in ACTIVE):
        return None
    if run is None:
        return row.created_at
    if run.status == "interrupted" and run.finished_at is not None:
        return run.finished_at
    pause_s = min(row.sync_every_s, RETRY_S) if run.status == "failed" else row.sync_every_s
    return run.started_at + timedelta(seconds=pause_s)


def latest_runs(session: Session) -> dict[str, SyncRunRow]:
    newest = (
        select(
            col(SyncRunRow.connector_id), func.max(col(SyncRunRow.started_at)).label("started_at")
        )
        .group_by(col(SyncRunRow.connector_id))
        .subquery()
    )
    rows = session.execute(
        select(SyncRunRow).join(
            newest,
            (newest.c.connector_id == col(SyncRunRow.connector_id))
            & (newest.c.started_at == col(SyncRunRow.started_at)),
        )
    ).scalars()
    return {row.connector_id: row for row in rows}


def preview(session: Session, person: Person, now: datetime) -> list[Preview]:
    """Every document there is, for one person. Readable ones first, then by space and title."""
    rows = session.execute(
        select(DocumentRow, ConnectorRow).join(
            ConnectorRow, col(ConnectorRow.id) == col(DocumentRow.connector_id)
        )
    ).all()
    basis = readable(session, person, [document.id for document, _ in rows], now=now)
    readers = _readers(session)
    found = [
        Preview(
            document_id=document.id,
            title=document.title,
            space=document.space,
            connector=connector.name,
            data_class=DataClass(document.data_class),
            basis=basis.get(document.id),
            reason=_reason(document, connector, basis, readers.get(document.id, []), now),
        )
        for document, connector in rows
    ]
    return sorted(found, key=lambda p: (p.basis is None, p.space.lower(), p.title.lower()))


def _reason(
    document: DocumentRow,
    connector: ConnectorRow,
    basis: Mapping[str, AccessBasis],
    readers: list[str],
    now: datetime,
) -> str:
    if document.id in basis:
        return f"Readable as {basis[document.id].principal}."
    if connector.status == "deleting":
        return "Its connector is being removed."
    if not document.access_known:
        return "The source does not say who may read it, so nobody may."
    if not readers:
        return "The source names no reader."
    limit = timedelta(seconds=connector.permissions_max_age_s)
    if document.permissions_checked_at < now - limit:
        return "Its permissions were not confirmed in time; the next sync does that."
    shown = ", ".join(readers[:SHOWN_READERS])
    more = f" and {len(readers) - SHOWN_READERS} more" if len(readers) > SHOWN_READERS else ""
    return f"Only for {shown}{more}."


def _readers(session: Session) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for document_id, principal in session.execute(
        select(col(DocumentReaderRow.document_id), col(DocumentReaderRow.principal)).order_by(
            col(DocumentReaderRow.principal)
        )
    ):
        found.setdefault(document_id, []).append(principal)
    return found


def _counted(session: Session, table: type[SyncFailureRow]) -> dict[str, int]:
    rows = session.execute(
        select(col(table.connector_id), func.count()).group_by(col(table.connector_id))
    )
    return {row[0]: row[1] for row in rows}
