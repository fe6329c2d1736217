"""The statements around an admin's query. The query is a subquery, always; values are bound, never written in.

A statement always carries a bound value, so that PostgreSQL takes the extended protocol, where a text that closes the
subquery and begins a second command is an error (https://www.postgresql.org/docs/current/protocol-flow.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.sql.kinds import Kind

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select, Subquery

INLINE_BYTES = 65_536
"""Longer content is fetched alone, row by row, so that a batch stays small in memory."""
COUNT_UP_TO = 100_000


@dataclass(frozen=True, slots=True)
class Position:
    """After this row; `cursor` is None among the rows without one."""

    cursor: Any
    id: str


def escaped(query: str, *keep: str) -> str:
    """Colons are no parameters, except those of `keep`; the last line may be a comment."""
    allowed = "|".join(keep)
    pattern = rf"(?<![:\w]):(?!(?:{allowed})\b)|(?<=[:\w]):" if keep else ":"
    return re.sub(pattern, r"\\:", query) + "\n"


class Statements:
    """Those of one kind in one database."""

    def __init__(self, kind: Kind, *, sqlite: bool) -> None:
        self.kind = kind
        self._sqlite = sqlite

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def rows(self, after: Position | None, since: Any, limit: int, *, stamped: bool) -> Select[Any]:
        """Content rows in order: those with a cursor (`stamped`) by cursor and id, the others by id."""
        from sqlalchemy import and_, or_

        q = self._subquery()
        id, key = self._id(q), self._key(q)
        where: list[ColumnElement[bool]] = [id.is_not(None)]
        if key is None:
            order: list[ColumnElement[Any]] = [id]
            where += [id > after.id] if after else []
        elif not stamped:
            order = [id]
            where += [key.is_(None), *([id > after.id] if after else [])]
        else:
            order = [key, id]
            where.append(key.is_not(None))
            if after:
                bound = self._bound("at", after.cursor)
                # The first condition alone lets an index on the cursor be used.
                where += [key >= bound, or_(key > bound, and_(key == bound, id > after.id))]
            elif since is not None:
                where.append(key >= self._bound("since", since))
        statement = self._select_rows(q)
        return statement.where(and_(*where)).order_by(*order).limit(limit)

    def rows_of(self, ids: list[str]) -> Select[Any]:
        q = self._subquery()
        return self._select_rows(q).where(self._id(q).in_(ids)).order_by(self._id(q)).limit(10**9)

    def content_of(self, raw_id: Any) -> Select[Any]:
        """The whole content of one row that was too long to come with the others, with its readers of that moment."""
        from sqlalchemy import select

        q = self._subquery()
        columns = [q.c[name] for name in dict.fromkeys(self.kind.content)]
        readers = q.c[self.kind.readers].label("r_")
        return (
            select(*columns, readers)
            .where(q.c[self.kind.id] == self._bound("raw", raw_id))
            .limit(1)
        )

    def readers(self, id: str | None = None) -> Select[Any]:
        """Ids, readers and whether deleted, without content."""
        from sqlalchemy import null, select

        q = self._subquery()
        deleted = q.c[self.kind.deleted] if self.kind.deleted else null()
        statement = select(
            self._id(q).label("id_"), q.c[self.kind.readers].label("r_"), deleted.label("d_")
        )
        if id is not None:
            statement = statement.where(self._id(q) == id)
        statement = statement.where(self._id(q).is_not(None))
        return statement.order_by(self._id(q)).limit(10**9)

    def ceiling(self) -> Select[Any]:
        """The largest cursor, its type where SQLite has one, and the source's own time."""
        from sqlalchemy import func, literal, literal_column, select

        q = self._subquery()
        key = self._key(q)
        if self._sqlite:
            now: ColumnElement[Any] = literal_column("(julianday('now') - 2440587.5) * 86400.0")
            kind: ColumnElement[Any] = func.max(func.typeof(q.c[self.kind.cursor]))
        else:
            now, kind = func.now(), literal("")
        return select(func.max(key), kind, now).limit(1)

    # --- Looks for `validate` -----------------------------------------------------------------------------------------

    def columns(self) -> Select[Any]:
        return everything(self.kind.query)

    def count(self) -> Select[Any]:
        from sqlalchemy import func, literal, select

        some = select(literal(1)).select_from(self._subquery()).limit(COUNT_UP_TO + 1).subquery("n")
        return select(func.count()).select_from(some).limit(1)

    def doubled(self) -> Select[Any]:
        """An id that two rows have."""
        from sqlalchemy import func, select

        q = self._subquery()
        id = self._id(q)
        return select(id).group_by(id).having(func.count() > 1).limit(1)

    def without_id(self) -> Select[Any]:
        from sqlalchemy import func, select

        q = self._subquery()
        return select(func.count()).select_from(q).where(self._id(q).is_(None)).limit(1)

    def cursor_sample(self) -> Select[Any]:
        from sqlalchemy import select

        q = self._subquery()
        cursor = q.c[self.kind.cursor]
        return select(cursor).where(cursor.is_not(None)).limit(1)

    def without_cursor(self) -> Select[Any]:
        from sqlalchemy import func, select

        q = self._subquery()
        key = self._key(q)
        assert key is not None
        return select(func.count()).select_from(q).where(key.is_(None)).limit(1)

    # --- Parts --------------------------------------------------------------------------------------------------------

    def _subquery(self) -> Subquery:
        from sqlalchemy import column, text

        columns: list[ColumnElement[Any]] = [column(name) for name in self.kind.columns]
        return text(escaped(self.kind.query)).columns(*columns).subquery("q")

    def _id(self, q: Subquery) -> ColumnElement[str]:
        """The database's own text of the id, in an order that no locale changes."""
        from sqlalchemy import Text, cast

        id = cast(q.c[self.kind.id], Text)
        return id if self._sqlite else id.collate("C")

    def _key(self, q: Subquery) -> ColumnElement[Any] | None:
        """What cursors are compared by. SQLite keeps times as text in several forms: there, seconds since 1970."""
        from sqlalchemy import case, func

        if not self.kind.cursor:
            return None
        cursor: ColumnElement[Any] = q.c[self.kind.cursor]
        if not self._sqlite:
            return cursor
        seconds = (func.julianday(cursor) - 2440587.5) * 86400.0
        return case((func.typeof(cursor).in_(["integer", "real"]), cursor), else_=seconds)

    def _select_rows(self, q: Subquery) -> Select[Any]:
        from sqlalchemy import case, null, select

        size = self._size(q)
        content = [
            case((size <= INLINE_BYTES, q.c[name]), else_=null()).label(f"c{number}_")
            for number, name in enumerate(self.kind.content)
        ]
        others = [
            name for name in self.kind.columns if name not in self.kind.content or self._twice(name)
        ]
        key = self._key(q)
        return select(
            self._id(q).label("id_"),
            q.c[self.kind.id].label("raw_"),
            (null() if key is None else key).label("key_"),
            size.label("size_"),
            *content,
            *(q.c[name].label(f"v_{name}") for name in others),
        )

    def _twice(self, name: str) -> bool:
        """A content column that is the title or a part of the link, too."""
        kind = self.kind
        return name in {
            kind.title,
            kind.readers,
            kind.deleted,
            kind.space_column,
            *kind.link_columns,
        }

    def _size(self, q: Subquery) -> ColumnElement[int]:
        """Bytes of all content columns together, as the database stores them in text."""
        from sqlalchemy import LargeBinary, Text, cast, func, literal

        total: ColumnElement[int] = literal(0)
        for name in dict.fromkeys(self.kind.content):
            value: ColumnElement[Any] = q.c[name]
            if self._sqlite:
                length = func.length(cast(value, LargeBinary))
            else:
                length = func.octet_length(value if self.kind.binary else cast(value, Text))
            total = total + func.coalesce(length, 0)
        return total

    @staticmethod
    def _bound(name: str, value: Any) -> ColumnElement[Any]:
        """Bound without a type, so that the database takes the column's."""
        from sqlalchemy import bindparam
        from sqlalchemy.types import NullType

        return bindparam(name, value, type_=NullType())


def everything(query: str, *keep: str) -> Select[Any]:
    """All columns of a query as it stands; `keep` are its parameters."""
    from sqlalchemy import column, select, text

    subquery = text(escaped(query, *keep)).columns(column("q_")).subquery("q")
    return select(text("*")).select_from(subquery).limit(10**9)
