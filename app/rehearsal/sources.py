"""Documents as people name them and as they are kept: a name becomes an id where the person may read exactly one document of
that name, and an id becomes a title again for those who may read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlmodel import Session, col

from app.access.readers import readable
from app.db import Database
from app.db.tables import DocumentRow
from app.domain import Passage, Person, now

UNREADABLE = "a document that you may not read"
ID_PREFIX = "doc_"


class SourceNames:
    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock

    def ids(self, person: Person, names: Sequence[str]) -> tuple[str, ...]:
        """Each name's document id; a name that fits no readable document, or several, stays as it is."""
        with self._database.read() as session:
            return tuple(dict.fromkeys(self._id(session, person, name) for name in names))

    def titles(self, person: Person, sources: Iterable[str]) -> dict[str, str]:
        """How each source is called to this person: its title, the name as it was typed, or that they may not read it."""
        wanted = list(dict.fromkeys(sources))
        ids = [source for source in wanted if source.startswith(ID_PREFIX)]
        with self._database.read() as session:
            allowed = readable(session, person, ids, now=self._clock())
            rows = session.execute(
                select(col(DocumentRow.id), col(DocumentRow.title)).where(
                    col(DocumentRow.id).in_(list(allowed))
                )
            ).all()
        known = {row.id: row.title for row in rows}
        return {s: known.get(s, UNREADABLE if s in ids else s) for s in wanted}

    def _id(self, session: Session, person: Person, name: str) -> str:
        if name.startswith(ID_PREFIX):
            return name
        rows = session.execute(
            select(col(DocumentRow.id))
            .where(
                or_(
                    func.lower(col(DocumentRow.title)) == name.lower(),
                    col(DocumentRow.url) == name,
                    col(DocumentRow.source_id) == name,
                )
            )
            .limit(50)
        ).scalars()
        allowed = readable(session, person, list(rows), now=self._clock())
        return next(iter(allowed)) if len(allowed) == 1 else name


def is_source(source: str, passage: Passage) -> bool:
    """Whether a passage is of an expected document."""
    wanted = source.casefold()
    return wanted in (
        passage.document_id.casefold(),
        passage.title.casefold(),
        passage.url.casefold(),
    )
