"""A renamed or copied document is not embedded again: its vectors are those of a document with the same content.

Only vectors are taken over, from within one connector, and only for chunks whose text for the embedder is the same to the
letter; readers are always those that the source states for the new place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlmodel import col

from app.db.engine import Database
from app.db.tables import ChunkRow, DocumentRow
from app.knowledge.embed import Vector
from app.knowledge.index import VectorIndex
from app.knowledge.ingest.split import embedding_text
from app.knowledge.sync.batch import Known

LOOKED_AT = 3
"""Documents of one version: a revision number is no fingerprint, so many unrelated ones may share it."""


class Reuse:
    """Of one run; knows the documents as they were stored when it began."""

    def __init__(self, database: Database, index: VectorIndex, known: Mapping[str, Known]) -> None:
        self._database = database
        self._index = index
        self._by_version: dict[str, list[str]] = {}
        for stored in known.values():
            if stored.version:
                self._by_version.setdefault(stored.version, []).append(stored.document_id)

    def vectors(self, version: str, texts: Mapping[str, str]) -> dict[str, Vector]:
        """`texts` maps new chunk ids to what would be embedded; the answer holds those that need not be."""
        candidates = self._by_version.get(version, [])[:LOOKED_AT]
        if not candidates or not texts:
            return {}
        twins = self._twins(candidates)
        wanted = {new: twins[text] for new, text in texts.items() if text in twins}
        found = self._index.vectors(sorted(set(wanted.values())))
        return {new: found[old] for new, old in wanted.items() if old in found}

    def _twins(self, document_ids: Sequence[str]) -> dict[str, str]:
        """Text for the embedder to the id of a stored chunk that has it."""
        with self._database.read() as session:
            rows = session.execute(
                select(
                    col(ChunkRow.id),
                    col(DocumentRow.title),
                    col(ChunkRow.heading),
                    col(ChunkRow.text),
                )
                .join(DocumentRow, col(DocumentRow.id) == col(ChunkRow.document_id))
                .where(col(ChunkRow.document_id).in_(document_ids))
            ).all()
        return {embedding_text(title, heading, text): id for id, title, heading, text in rows}
