"""The freshness promise, on record: an alert when a connector's permissions grow older than promised, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel import Session

from app.db.engine import Database
from app.db.tables import ConnectorRow
from app.knowledge.sync.overview import ConnectorStatus
from app.records import Ledger
from app.records.events import PermissionsStale

log = structlog.get_logger(__name__)


def record(
    database: Database, ledger: Ledger, statuses: Sequence[ConnectorStatus], at: datetime
) -> None:
    """One event for each connector that crossed its limit since the last look, in either direction."""
    crossed = [s for s in statuses if s.stale(at) != (s.stale_since is not None)]
    if not crossed:
        return
    with database.write() as session:
        for status in crossed:
            _cross(session, ledger, status, at)


def _cross(session: Session, ledger: Ledger, status: ConnectorStatus, at: datetime) -> None:
    row = session.get(ConnectorRow, status.id)
    if row is None or row.status == "deleting":
        return
    stale = status.stale(at)
    row.stale_since = at if stale else None
    marks = [mark for mark in (status.permissions_at, status.groups_at) if mark is not None]
    age_s = int((at - min(marks)).total_seconds()) if marks else 0
    ledger.append(
        session,
        PermissionsStale(
            actor="system",
            subject=status.id,
            stale=stale,
            name=status.name,
            age_s=age_s,
            promised_s=status.permissions_max_age_s,
            documents=status.documents,
        ),
    )
    if stale:
        log.warning("permissions are stale", connector=status.id, age_s=age_s)
