"""What an admin sees of the sources: status, figures, and who finds what here and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    SyncRequestRow,
    SyncRunRow,
)
from app.domain import AccessBasis, DataClass, Json, Person
from app.knowledge.sync.clocks import ACTIVE, CONTENT, next_due

SHOWN_READERS = 5


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """`run` is the newest content run. `permissions_at` is the oldest confirmation of readers among the documents, None
    without documents; `groups_at` that of the groups, None without groups. `scopes` are the clocks that it has."""

    id: str
    kind: str
    name: str
    settings: Json
    credential_id: str | None
    status: str
    sync_every_s: int
    permissions_every_s: int
    groups_every_s: int
    permissions_max_age_s: int
    requests_per_minute: int
    removal_share: float
    documents: int
    hidden: int
    failures: int
    last_sync_at: datetime | None
    next_sync_at: datetime | None
    permissions_at: datetime | None
    groups_at: datetime | None
    stale_since: datetime | None
    scopes: tuple[str, ...]
    due: Mapping[str, datetime]
    run: SyncRunRow | None

    @property
    def syncing(self) -> bool:
        return self.run is not None and self.run.status in ACTIVE

    @property
    def shown_status(self) -> str:
        """As the page says it: a first sync under way is neither scheduled nor active."""
        if self.syncing and self.last_sync_at is None and self.status == "scheduled":
            return "first sync"
        return self.status

    def stale(self, now: datetime) -> bool:
        """Permissions older than promised: its documents, or those for its groups, are withheld."""
        limit = now - timedelta(seconds=self.permissions_max_age_s)
        marks = [mark for mark in (self.permissions_at, self.groups_at) if mark is not None]
        return bool(self.documents) and any(mark < limit for mark in marks)


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


Scopes = Callable[[ConnectorRow], tuple[str, ...]]


def statuses(session: Session, scopes: Scopes) -> list[ConnectorStatus]:
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
    requests = _requested(session)
    runs = latest_runs(session)
    found: list[ConnectorStatus] = []
    for row in session.execute(select(ConnectorRow).order_by(col(ConnectorRow.name))).scalars():
        figures = documents.get(row.id)
        checked = figures.permissions_at if figures else None
        if checked is not None and row.permissions_at is not None:
            checked = max(checked, row.permissions_at)
        clocks = scopes(row)
        due = _due(row, clocks, runs, requests.get(row.id, {}))
        found.append(
            ConnectorStatus(
                id=row.id,
                kind=row.kind,
                name=row.name,
                settings=row.settings,
                credential_id=row.credential_id,
                status=row.status,
                sync_every_s=row.sync_every_s,
                permissions_every_s=row.permissions_every_s,
                groups_every_s=row.groups_every_s,
                permissions_max_age_s=row.permissions_max_age_s,
                requests_per_minute=row.requests_per_minute,
                removal_share=row.removal_share,
                documents=figures.documents if figures else 0,
                hidden=figures.hidden if figures else 0,
                failures=failures.get(row.id, 0),
                last_sync_at=row.last_sync_at,
                next_sync_at=due.get(CONTENT),
                permissions_at=checked,
                groups_at=row.groups_at,
                stale_since=row.stale_since,
                scopes=clocks,
                due=due,
                run=runs.get((row.id, CONTENT)),
            )
        )
    return found


def _due(
    row: ConnectorRow,
    scopes: tuple[str, ...],
    runs: Mapping[tuple[str, str], SyncRunRow],
    requested: Mapping[str, datetime],
) -> dict[str, datetime]:
    """Scope to the moment when the schedule will start it: its clock's, or at once where something was asked for."""
    content = runs.get((row.id, CONTENT))
    if content is not None and content.status in ACTIVE:
        return {}  # it looks after the other clocks itself
    due: dict[str, datetime] = {}
    for scope in scopes:
        at = next_due(row, scope, runs.get((row.id, scope)))
        asked = requested.get(scope)
        if at is not None:
            due[scope] = min(at, asked) if asked else at
    return due


def latest_runs(
    session: Session, connector_id: str | None = None
) -> dict[tuple[str, str], SyncRunRow]:
    """The newest run of each connector and scope."""
    newest = select(
        col(SyncRunRow.connector_id),
        col(SyncRunRow.scope),
        func.max(col(SyncRunRow.started_at)).label("started_at"),
    ).group_by(col(SyncRunRow.connector_id), col(SyncRunRow.scope))
    if connector_id is not None:
        newest = newest.where(col(SyncRunRow.connector_id) == connector_id)
    of = newest.subquery()
    rows = session.execute(
        select(SyncRunRow).join(
            of,
            (of.c.connector_id == col(SyncRunRow.connector_id))
            & (of.c.scope == col(SyncRunRow.scope))
            & (of.c.started_at == col(SyncRunRow.started_at)),
        )
    ).scalars()
    return {(row.connector_id, row.scope): row for row in rows}


def document_ids(session: Session, connector_id: str) -> list[str]:
    return list(
        session.execute(
            select(col(DocumentRow.id)).where(col(DocumentRow.connector_id) == connector_id)
        ).scalars()
    )


def _requested(session: Session) -> dict[str, dict[str, datetime]]:
    found: dict[str, dict[str, datetime]] = {}
    rows = session.execute(
        select(
            col(SyncRequestRow.connector_id),
            col(SyncRequestRow.scope),
            func.min(col(SyncRequestRow.at)).label("at"),
        ).group_by(col(SyncRequestRow.connector_id), col(SyncRequestRow.scope))
    )
    for row in rows:
        found.setdefault(row.connector_id, {})[row.scope] = row.at
    return found


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
    limit = now - timedelta(seconds=connector.permissions_max_age_s)
    checked = max(filter(None, (document.permissions_checked_at, connector.permissions_at)))
    if checked < limit:
        return "Its permissions were not confirmed in time; the next sync does that."
    if connector.groups_at is not None and connector.groups_at < limit:
        return "The members of its source's groups were not confirmed in time."
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
