"""Asked at answer time: may this person still read these documents? For sources that can say so, under a time budget.

What is not answered in time, or cannot be told, is withheld. An answer holds for this question only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ConnectorRow, DocumentRow
from app.domain import Person, now
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.sources import Sources
from connectors.contract import Capability, Connector, Context, Reader
from connectors.http import Http

log = structlog.get_logger(__name__)
BUDGET_S = 1.0
THREADS = 8
KEPT_CONNECTORS = 64


@dataclass(frozen=True, slots=True)
class _Question:
    document_id: str
    source_id: str
    row: ConnectorRow
    credential_version: str


class LiveCheck:
    """Safe to use from several threads. `budget_s` bounds one call of `denied`."""

    def __init__(
        self,
        database: Database,
        sources: Sources,
        credentials: Credentials,
        *,
        budget_s: float = BUDGET_S,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._sources = sources
        self._credentials = credentials
        self._budget_s = budget_s
        self._clock = clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="live-check")
        self._one = threading.Lock()
        self._connectors: dict[tuple[str, int, str], Connector] = {}
        self._kinds: dict[tuple[str, int], bool] = {}

    def denied(self, person: Person, document_ids: Iterable[str]) -> frozenset[str]:
        """The documents that a source does not confirm for `person` now. Sources that answer no live questions confirm by
        their syncs, and are never among them."""
        questions = self._questions(sorted(set(document_ids)))
        if not questions:
            return frozenset()
        started = time.monotonic()
        reader = Reader(person.email, person.name)
        asked = {self._pool.submit(self._ask, question, reader): question for question in questions}
        done, late = wait(asked, timeout=self._budget_s)
        refused = {asked[future].document_id for future in done if not future.result()}
        for future in late:
            future.cancel()
        if late:
            log.warning("live check late", documents=len(late), after_s=time.monotonic() - started)
        return frozenset(refused | {asked[future].document_id for future in late})

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._one:
            for connector in self._connectors.values():
                connector.context.http.close()
            self._connectors.clear()

    def _questions(self, document_ids: list[str]) -> list[_Question]:
        """One statement, and none of its connectors' for those that cannot be asked."""
        with self._database.read() as session:
            rows = session.execute(
                select(
                    col(DocumentRow.id), col(DocumentRow.source_id), col(DocumentRow.connector_id)
                ).where(col(DocumentRow.id).in_(document_ids))
            ).all()
            connectors: Mapping[str, ConnectorRow] = {
                row.id: row
                for row in session.execute(
                    select(ConnectorRow).where(
                        col(ConnectorRow.id).in_({row.connector_id for row in rows})
                    )
                ).scalars()
            }
            live = {id: row for id, row in connectors.items() if self._can_ask(row)}
            versions = {
                id: self._credentials.version(session, row.credential_id)
                for id, row in live.items()
            }
        return [
            _Question(row.id, row.source_id, live[row.connector_id], versions[row.connector_id])
            for row in rows
            if row.connector_id in live
        ]

    def _can_ask(self, row: ConnectorRow) -> bool:
        key = (row.id, row.version)
        if key not in self._kinds:
            self._kinds[key] = Capability.LIVE_CHECK in self._sources.capabilities(
                row.kind, row.settings
            )
        return self._kinds[key]

    def _ask(self, question: _Question, reader: Reader) -> bool:
        try:
            return self._connector(question).may_read(question.source_id, reader) is True
        except Exception as error:
            # A source that cannot tell, or somebody's connector that breaks: nothing is shown.
            log.info("live check failed", connector=question.row.id, cause=type(error).__name__)
            return False

    def _connector(self, question: _Question) -> Connector:
        row = question.row
        key = (row.id, row.version, question.credential_version)
        with self._one:
            found = self._connectors.get(key)
        if found is not None:
            return found
        http = Http(requests_per_minute=row.requests_per_minute, timeout_s=self._budget_s)
        made = self._sources.connector(
            row.kind,
            row.settings,
            self._credentials.open(row.credential_id),
            Context(http=http, clock=self._clock),
        )
        with self._one:
            if len(self._connectors) >= KEPT_CONNECTORS:
                self._connectors.clear()
            return self._connectors.setdefault(key, made)
