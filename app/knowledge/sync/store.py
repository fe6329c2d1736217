"""Write one batch of changes to SQL: documents, readers, chunks, failures and the outbox, in the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlmodel import Session, col

from app.db.tables import ChunkRow, DocumentReaderRow, DocumentRow, SyncFailureRow
from app.domain import EVERYONE, DataClass
from app.knowledge.ingest import Chunk
from app.knowledge.sync import outbox
from connectors.contract import Access, Document, Failure

PIPELINE = "1"
"""Part of each stored version. Bumped when parsing or splitting changes, so that the next sync reads everything again."""
COMPANY_NAMESPACE = "idp"


@dataclass(frozen=True, slots=True)
class Permission:
    """Readers as principals, and the data class."""

    known: bool
    principals: frozenset[str]
    data_class: DataClass

    @classmethod
    def of(cls, access: Access, data_class: str, connector_id: str) -> Permission:
        """Unknown readers are nobody. Raises ValueError for a data class that is none."""
        if not access.known:
            return cls(False, frozenset(), DataClass.parse(data_class))
        namespace = COMPANY_NAMESPACE if access.company_groups else connector_id
        principals = {f"user:{user.strip().lower()}" for user in access.users if user.strip()}
        principals |= {f"group:{namespace}/{group}" for group in access.groups if group.strip()}
        if access.everyone:
            principals.add(EVERYONE)
        return cls(True, frozenset(principals), DataClass.parse(data_class))

    @property
    def hash(self) -> str:
        text = "\n".join([str(self.known), str(int(self.data_class)), *sorted(self.principals)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was read and split, ready to be stored."""

    document: Document
    document_id: str
    title: str
    text: str
    chunks: Sequence[Chunk]
    permission: Permission


def put_document(session: Session, connector_id: str, item: Prepared, now: datetime) -> bool:
    """Adds or replaces; returns True when it is new. Chunks that stay keep their id, vector and place in the index."""
    document = item.document
    values = {
        "title": item.title,
        "url": document.url,
        "space": document.space,
        "mime": document.mime,
        "bytes": len(document.content),
        "data_class": int(item.permission.data_class),
        "content_hash": f"{PIPELINE}:{document.version}",
        "access_hash": item.permission.hash,
        "access_known": item.permission.known,
        "text": item.text,
        "modified_at": document.modified_at,
        "synced_at": now,
        "permissions_checked_at": now,
    }
    before = session.execute(
        select(col(DocumentRow.access_hash)).where(col(DocumentRow.id) == item.document_id)
    ).scalar_one_or_none()
    if before is None:
        row = {"id": item.document_id, "connector_id": connector_id, "source_id": document.id}
        session.execute(insert(DocumentRow), [row | values])
    else:
        session.execute(
            update(DocumentRow).where(col(DocumentRow.id) == item.document_id).values(**values)
        )
    if before != item.permission.hash:
        _replace_readers(session, item.document_id, item.permission.principals)
        if before is not None:
            outbox.note(session, outbox.ACCESS, item.document_id)
    _replace_chunks(session, item.document_id, item.chunks)
    forget_failure(session, connector_id, [document.id])
    return before is None


def set_access(
    session: Session, document_id: str, before: str, permission: Permission, now: datetime
) -> bool:
    """The source confirmed who may read it; returns True when that changed. Content and vectors stay."""
    changed = before != permission.hash
    values: dict[str, object] = {"synced_at": now, "permissions_checked_at": now}
    if changed:
        _replace_readers(session, document_id, permission.principals)
        outbox.note(session, outbox.ACCESS, document_id)
        values |= {
            "access_hash": permission.hash,
            "access_known": permission.known,
            "data_class": int(permission.data_class),
        }
    session.execute(update(DocumentRow).where(col(DocumentRow.id) == document_id).values(**values))
    return changed


def remove_documents(session: Session, connector_id: str, documents: Mapping[str, str]) -> None:
    """`documents` maps source id to document id. Rows go at once, the index follows."""
    ids = list(documents.values())
    for document_id in ids:
        chunk_ids = session.execute(
            select(col(ChunkRow.id)).where(col(ChunkRow.document_id) == document_id)
        ).scalars()
        outbox.note(session, outbox.DELETE, document_id, chunk_ids)
    for table in (ChunkRow, DocumentReaderRow):
        session.execute(delete(table).where(col(table.document_id).in_(ids)))
    session.execute(delete(DocumentRow).where(col(DocumentRow.id).in_(ids)))
    forget_failure(session, connector_id, documents)


def record_failure(session: Session, connector_id: str, failure: Failure, now: datetime) -> None:
    forget_failure(session, connector_id, [failure.id])
    session.add(
        SyncFailureRow(
            connector_id=connector_id,
            source_id=failure.id,
            name=failure.name,
            cause=failure.cause,
            fix=failure.fix,
            at=now,
        )
    )
    session.flush()


def forget_failure(session: Session, connector_id: str, source_ids: Iterable[str]) -> None:
    session.execute(
        delete(SyncFailureRow).where(
            col(SyncFailureRow.connector_id) == connector_id,
            col(SyncFailureRow.source_id).in_(list(source_ids)),
        )
    )


def _replace_readers(session: Session, document_id: str, principals: Iterable[str]) -> None:
    session.execute(
        delete(DocumentReaderRow).where(col(DocumentReaderRow.document_id) == document_id)
    )
    rows = [{"document_id": document_id, "principal": name} for name in sorted(principals)]
    if rows:
        session.execute(insert(DocumentReaderRow), rows)


def _replace_chunks(session: Session, document_id: str, chunks: Sequence[Chunk]) -> None:
    before = set(
        session.execute(
            select(col(ChunkRow.id)).where(col(ChunkRow.document_id) == document_id)
        ).scalars()
    )
    after = {chunk.id for chunk in chunks}
    gone = sorted(before - after)
    new = [chunk for chunk in chunks if chunk.id not in before]
    kept = [chunk for chunk in chunks if chunk.id in before]
    if gone:
        session.execute(delete(ChunkRow).where(col(ChunkRow.id).in_(gone)))
        outbox.note(session, outbox.DELETE, document_id, gone)
    if kept:
        session.execute(update(ChunkRow), [{"id": c.id, "ordinal": c.ordinal} for c in kept])
    if new:
        rows = [
            {
                "id": chunk.id,
                "document_id": document_id,
                "ordinal": chunk.ordinal,
                "heading": chunk.heading,
                "text": chunk.text,
            }
            for chunk in new
        ]
        session.execute(insert(ChunkRow), rows)
        outbox.note(session, outbox.PUT, document_id, (chunk.id for chunk in new))
