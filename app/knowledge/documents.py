"""Open one document: its whole text for a person who may read it, silence for anybody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from app.access.readers import readable
from app.db.engine import Database
from app.db.tables import ChunkRow, ConnectorRow, DocumentRow
from app.domain import AccessBasis, DataClass, Person, now
from app.errors import NotFound, Withheld
from app.knowledge.search import LiveReaders
from app.records import Ledger
from app.records.events import AccessDenied

SILENCE = "There is no such document, or none that you may read."


@dataclass(frozen=True, slots=True)
class DocumentChunk:
    id: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class DocumentView:
    """`basis` says on which permission this view rests and when the source confirmed it."""

    id: str
    title: str
    url: str
    space: str
    source: str
    text: str
    chunks: tuple[DocumentChunk, ...]
    data_class: DataClass
    basis: AccessBasis
    synced_at: datetime
    modified_at: datetime | None


class Documents:
    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        live: LiveReaders | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._live = live
        self._clock = clock

    def open(self, person: Person, document_id: str) -> DocumentView:
        """Raises NotFound or Withheld in the same words; the denial is recorded, its reason is in the log only."""
        with self._database.read() as session:
            document = session.get(DocumentRow, document_id)
            if document is None:
                raise NotFound(SILENCE)
            basis = readable(session, person, [document_id], now=self._clock()).get(document_id)
            if basis is not None:
                connector = session.get(ConnectorRow, document.connector_id)
                chunks = session.execute(
                    select(col(ChunkRow.id), col(ChunkRow.heading), col(ChunkRow.text))
                    .where(col(ChunkRow.document_id) == document_id)
                    .order_by(col(ChunkRow.ordinal))
                ).all()
        reason = "not among the document's readers, or its permissions are too old"
        if basis is not None and self._live and self._live.denied(person, [document_id]):
            basis, reason = None, "its source did not confirm it just now"
        if basis is None:
            self._ledger.record(
                AccessDenied(
                    actor=person.id, subject=document_id, action="read_document", reason=reason
                )
            )
            raise Withheld(SILENCE, reason=reason, fix=NotFound.default_fix)
        return DocumentView(
            id=document.id,
            title=document.title,
            url=document.url,
            space=document.space,
            source=connector.name if connector else "",
            text=document.text,
            chunks=tuple(DocumentChunk(*row) for row in chunks),
            data_class=DataClass(document.data_class),
            basis=basis,
            synced_at=document.synced_at,
            modified_at=document.modified_at,
        )
