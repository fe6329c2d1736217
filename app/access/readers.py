"""Who may see this document: the check in SQL that every passage, title and citation passes before anybody sees it.

The index filters by a copy of the readers for speed; this is the truth. A document is readable when its readers are known,
one of them is a principal of the person, the source confirmed them recently enough, and its connector is not being removed.
Anything else is silence: the answer does not tell a hidden document from one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
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
            for row in rows:
                document_id, principal = row.id, row.principal
                checked_at = _checked_at(row)
                if checked_at < now - timedelta(seconds=row.permissions_max_age_s):
                    continue
                known = found.get(document_id)
                if known is None or specificity(principal) < specificity(known.principal):
                    found[document_id] = AccessBasis(principal, checked_at)
    return found


def _checked_at(row: Row[Any]) -> datetime:
    """When the source last said that this principal may read: of the document's readers and, where the principal rests on
    the source's groups, of their members, the older."""
    checked: datetime = row.permissions_checked_at
    if row.permissions_at is not None:
        checked = max(checked, row.permissions_at)
    if row.groups_at is not None and _rests_on_groups(row.principal, row.connector_id):
        checked = min(checked, row.groups_at)
    return checked


def _rests_on_groups(principal: str, connector_id: str) -> bool:
    return principal.startswith((f"group:{connector_id}/", f"all:{connector_id}/"))


def specificity(principal: str) -> tuple[int, str]:
    """Sorts the most specific principal first; equals by name, so that the answer is always the same."""
    if principal.startswith("user:"):
        return 0, principal
    if principal.startswith(("group:", "all:")):
        return 1, principal
    return 2, principal


@lru_cache(maxsize=1)
def _statement() -> Select[*tuple[Any, ...]]:
    return (
        select(
            col(DocumentRow.id),
            col(DocumentReaderRow.principal),
            col(DocumentRow.permissions_checked_at),
            col(DocumentRow.connector_id),
            col(ConnectorRow.permissions_max_age_s),
            col(ConnectorRow.permissions_at),
            col(ConnectorRow.groups_at),
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
