"""Who may see this document: the check in SQL that every passage, title and citation passes before anybody sees it.

The index filters by a copy of the readers for speed; this is the truth. A document is readable when its readers are known,
one of them is a principal of the person, the source confirmed them recently enough, and its connector is not being removed.
Anything else is silence: the answer does not tell a hidden document from one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Select, bindparam, select
from sqlmodel import Session, col

from app.db.tables import ConnectorRow, DocumentReaderRow, DocumentRow
from app.domain import AccessBasis, Person

CHUNK = 400
"""Values in one IN list. Two lists make one statement, far below SQLite's limit of 32,766 variables."""


def readable(
    session: Session, person: Person, document_ids: Iterable[str], *, now: datetime
) -> dict[str, AccessBasis]:
    """The documents among `document_ids` that `person` may read at `now`, each with the permission it rests on.

    The basis names the most specific principal: the person before a group before everyone. What is missing from the answer
    may not be shown. One statement for up to 400 documents and 400 principals.
    """
    found: dict[str, AccessBasis] = {}
    principals = sorted(person.principals)
    for documents in _chunks(sorted(set(document_ids))):
        for names in _chunks(principals):
            asked = {"documents": documents, "principals": names}
            rows = session.connection().execute(_statement(), asked)
            for document_id, principal, checked_at, max_age_s in rows:
                if checked_at < now - timedelta(seconds=max_age_s):
                    continue
                known = found.get(document_id)
                if known is None or specificity(principal) < specificity(known.principal):
                    found[document_id] = AccessBasis(principal, checked_at)
    return found


def specificity(principal: str) -> tuple[int, str]:
    """Sorts the most specific principal first; equals by name, so that the answer is always the same."""
    if principal.startswith("user:"):
        return 0, principal
    if principal.startswith("group:"):
        return 1, principal
    return 2, principal


@lru_cache(maxsize=1)
def _statement() -> Select[str, str, datetime, int]:
    return (
        select(
            col(DocumentRow.id),
            col(DocumentReaderRow.principal),
            col(DocumentRow.permissions_checked_at),
            col(ConnectorRow.permissions_max_age_s),
        )
        .join(DocumentReaderRow, col(DocumentReaderRow.document_id) == col(DocumentRow.id))
        .join(ConnectorRow, col(ConnectorRow.id) == col(DocumentRow.connector_id))
        .where(
            col(DocumentRow.id).in_(bindparam("documents", expanding=True)),
            col(DocumentReaderRow.principal).in_(bindparam("principals", expanding=True)),
            col(DocumentRow.access_known),
            col(ConnectorRow.status) != "deleting",
        )
    )


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
