"""Write one batch of changes to SQL: documents, readers, chunks, failures and the outbox, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlmodel import Session, col

from app.db.tables import (
    ChunkRow,
    DocumentReaderRow,
    DocumentRow,
    ReaderChangeRow,
    SyncFailureRow,
)
from app.knowledge.ingest import Chunk
from app.knowledge.sync import outbox
from app.knowledge.sync.permission import Permission
from connectors.contract import Document, Failure

PIPELINE = "1"
"""Part of each stored version. Bumped when parsing or splitting changes, so that the next sync reads everything again."""
KEPT_CHANGES = 2_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was read and split, ready to be stored."""

    document: Document
    document_id: str
    title: str
    text: str
    chunks: Sequence[Chunk]
    permission: Permission


def put_document(
    session: Session,
    connector_id: str,
    item: Prepared,
    now: datetime,
    *,
    run_id: str = "",
    again: bool = False,
) -> bool:
    """Adds or replaces; returns True when it is new. Chunks that stay keep their id, vector and place in the index, unless
    `again` asks for all of them. A change of readers is kept under `run_id`."""
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
        change = _replace_readers(session, item.document_id, item.permission.principals)
        if before is not None:
            outbox.note(session, outbox.ACCESS, item.document_id)
            _keep_change(session, item.document_id, change, run_id, now)
    _replace_chunks(session, item.document_id, item.chunks, again)
    forget_failure(session, connector_id, [document.id])
    return before is None


def set_access(
    session: Session,
    document_id: str,
    before: str,
    permission: Permission,
    now: datetime,
    *,
    run_id: str = "",
) -> bool:
    """The source confirmed who may read it; returns True when that changed. Content and vectors stay."""
    changed = before != permission.hash
    values: dict[str, object] = {"synced_at": now, "permissions_checked_at": now}
    if changed:
        change = _replace_readers(session, document_id, permission.principals)
        outbox.note(session, outbox.ACCESS, document_id)
        _keep_change(session, document_id, change, run_id, now)
        values |= {
            "access_hash": permission.hash,
            "access_known": permission.known,
            "data_class": int(permission.data_class),
        }
    session.execute(update(DocumentRow).where(col(DocumentRow.id) == document_id).values(**values))
    return changed


def confirm_access(session: Session, document_ids: Sequence[str], now: datetime) -> None:
    """The source named these with the readers that they have."""
    for start in range(0, len(document_ids), 500):
        session.execute(
            update(DocumentRow)
            .where(col(DocumentRow.id).in_(document_ids[start : start + 500]))
            .values(synced_at=now, permissions_checked_at=now)
        )


def access_hashes(session: Session, document_ids: Sequence[str]) -> dict[str, str]:
    """Document id to the fingerprint of its readers, for those that are there."""
    found: dict[str, str] = {}
    for start in range(0, len(document_ids), 500):
        rows = session.execute(
            select(col(DocumentRow.id), col(DocumentRow.access_hash)).where(
                col(DocumentRow.id).in_(document_ids[start : start + 500])
            )
        )
        found.update({row.id: row.access_hash for row in rows})
    return found


def used_audiences(session: Session, connector_id: str) -> set[str]:
    """The audiences that a connector's documents name."""
    rows = session.execute(
        select(col(DocumentReaderRow.principal))
        .where(col(DocumentReaderRow.principal).startswith(f"all:{connector_id}/"))
        .distinct()
    ).scalars()
    return set(rows)


def forget_old_changes(session: Session, connector_id: str) -> None:
    """Keeps the newest `KEPT_CHANGES` changes of readers."""
    oldest = session.execute(
        select(col(ReaderChangeRow.seq))
        .where(col(ReaderChangeRow.connector_id) == connector_id)
        .order_by(col(ReaderChangeRow.seq).desc())
        .offset(KEPT_CHANGES)
        .limit(1)
    ).scalar()
    if oldest is not None:
        session.execute(
            delete(ReaderChangeRow).where(
                col(ReaderChangeRow.connector_id) == connector_id,
                col(ReaderChangeRow.seq) <= oldest,
            )
        )


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


def _replace_readers(
    session: Session, document_id: str, principals: Set[str]
) -> tuple[list[str], list[str]]:
    """Returns who gained and who lost."""
    before = set(
        session.execute(
            select(col(DocumentReaderRow.principal)).where(
                col(DocumentReaderRow.document_id) == document_id
            )
        ).scalars()
    )
    gained, lost = sorted(principals - before), sorted(before - principals)
    if lost:
        session.execute(
            delete(DocumentReaderRow).where(
                col(DocumentReaderRow.document_id) == document_id,
                col(DocumentReaderRow.principal).in_(lost),
            )
        )
    if gained:
        rows = [{"document_id": document_id, "principal": name} for name in gained]
        session.execute(insert(DocumentReaderRow), rows)
    return gained, lost


def _keep_change(
    session: Session,
    document_id: str,
    change: tuple[list[str], list[str]],
    run_id: str,
    at: datetime,
) -> None:
    gained, lost = change
    if not run_id or not (gained or lost):
        return
    row = session.execute(
        select(
            col(DocumentRow.connector_id), col(DocumentRow.source_id), col(DocumentRow.title)
        ).where(col(DocumentRow.id) == document_id)
    ).one()
    session.add(
        ReaderChangeRow(
            connector_id=row.connector_id,
            run_id=run_id,
            source_id=row.source_id,
            title=row.title,
            gained=gained,
            lost=lost,
            at=at,
        )
    )
    session.flush()


def _replace_chunks(
    session: Session, document_id: str, chunks: Sequence[Chunk], again: bool
) -> None:
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
        if again:
            outbox.note(session, outbox.PUT, document_id, (chunk.id for chunk in kept))
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
