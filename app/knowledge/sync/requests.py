"""What was asked for between two looks of the schedule: by webhooks, watchers and *Try these again*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from app.db.engine import Database
from app.db.tables import SyncRequestRow


class Requests:
    """`wake` is called when there is a new one."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    def ask(self, connector_id: str, scope: str, source_ids: Sequence[str] = ("",)) -> None:
        """For these documents, or by default for all of the scope. What is asked already is not asked twice."""
        with self._database.write() as session:
            present = set(waiting(session, connector_id, scope))
            session.add_all(
                SyncRequestRow(
                    connector_id=connector_id, scope=scope, source_id=source_id, at=self._clock()
                )
                for source_id in dict.fromkeys(source_ids)
                if source_id not in present
            )
        self._wake()


def waiting(session: Session, connector_id: str, scope: str) -> list[str]:
    """The documents asked for; an empty name is all of the scope."""
    return list(
        session.execute(
            select(col(SyncRequestRow.source_id)).where(
                col(SyncRequestRow.connector_id) == connector_id,
                col(SyncRequestRow.scope) == scope,
            )
        ).scalars()
    )
