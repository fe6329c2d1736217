"""Reads one kind's rows: whole passes by cursor, single rows, readers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.contract import (
    Access,
    Change,
    Context,
    Deletion,
    Document,
    Failure,
    SourceFault,
    Unchanged,
)
from connectors.sql.database import Database
from connectors.sql.kinds import Kind
from connectors.sql.progress import Progress, ceiling
from connectors.sql.readers import readers
from connectors.sql.rows import Row, Unfit, build, document_id, is_true, title_of
from connectors.sql.settings import SqlSettings
from connectors.sql.statements import Position, Statements

WINDOW = 5000
"""Rows read in one transaction: a transaction that stays open for hours keeps the database from cleaning up."""
WINDOW_SQLITE = 1000
AT_ONCE = 100
READERS_AT_ONCE = 1000
CHECKPOINT_EVERY = 100


class Reading:
    """Of one kind, for one piece of work."""

    def __init__(
        self, kind: Kind, database: Database, settings: SqlSettings, context: Context
    ) -> None:
        self.kind = kind
        self.database = database
        self.statements = Statements(kind, sqlite=database.is_sqlite)
        self.what = f"The query of kind '{kind.name}'"
        self._settings = settings
        self._context = context

    @property
    def data_class(self) -> str:
        return self.kind.data_class or self._settings.data_class

    def access(self, value: object) -> Access:
        return readers(value, allow_everyone=self._settings.allow_everyone).access

    def walk(self, progress: Progress, known: Mapping[str, str]) -> Iterator[Change | Progress]:
        """Rows without a cursor first, then the others by cursor; each window its own transaction."""
        if not progress.under_way:
            progress = progress.begun(self._ceiling())
        since = progress.since(self.kind.overlap)
        for stamped in (False, True) if self.kind.cursor else (False,):
            if progress.stamped and not stamped:
                continue
            if stamped and not progress.stamped:
                progress = progress.reached(None, stamped=True)
            while True:
                before = progress.at
                for item in self._window(progress, since, known, stamped=stamped):
                    if isinstance(item, Position):
                        progress = progress.reached(item, stamped=stamped)
                        yield progress
                    else:
                        yield item
                if self._context.cancelled():
                    return
                if progress.at == before:
                    break
        yield progress.ended()

    def _window(
        self,
        progress: Progress,
        since: Any,
        known: Mapping[str, str],
        *,
        stamped: bool,
    ) -> Iterator[Change | Position]:
        """A position after each hundred rows and at the end; none when there were no rows."""
        window = WINDOW_SQLITE if self.database.is_sqlite else WINDOW
        statement = self.statements.rows(progress.at, since, window, stamped=stamped)
        at, count, last = None, 0, None
        for row in self._rows(statement):
            if self._context.cancelled():
                return
            count += 1
            at = Position(row.key if stamped else None, row.id)
            yield _doubled(self.kind, row) if row.id == last else self._change(row, known)
            last = row.id
            if count % CHECKPOINT_EVERY == 0:
                self._context.progress(f"{self.kind.name}: {count} rows", count, None)
                yield at
        if at is not None and count % CHECKPOINT_EVERY:
            yield at

    def _rows(self, statement: Any) -> Iterator[Row]:
        for fields in self._fetch(statement, AT_ONCE):
            yield Row.of(self.kind, fields)

    def _fetch(self, statement: Any, at_once: int) -> Iterator[Mapping[Any, Any]]:
        """By a server-side cursor, `at_once` rows in memory. SQLite's are read to the end first, because an open reading
        there can keep the application from writing."""
        with self.database.reading(self.what) as connection:
            if not self.database.is_sqlite:
                options = {"stream_results": True, "yield_per": at_once}
                result = connection.execute(statement, execution_options=options)
                yield from result.mappings()
                return
            rows = connection.execute(statement).mappings().all()
        yield from rows

    def _change(self, row: Row, known: Mapping[str, str]) -> Change:
        id = document_id(self.kind, row.id)
        if self.kind.deleted and is_true(row.values.get(self.kind.deleted)):
            return Deletion(id)
        if row.size > self._context.max_bytes:
            return self._too_large(row, row.size)
        try:
            document = self._document(row)
        except Unfit as unfit:
            fix = "Correct the row, or the kind's content and mime."
            return Failure(id, title_of(self.kind, row), str(unfit), fix)
        if document is None:
            return Deletion(id)
        if len(document.content) > self._context.max_bytes:
            return self._too_large(row, len(document.content))
        if known.get(id) == document.version:
            return Unchanged(id, document.access, document.data_class)
        return document

    def _document(self, row: Row) -> Document | None:
        """None when it went away meanwhile. Raises Unfit."""
        content, value = row.content, row.values.get(self.kind.readers)
        if row.size and all(part is None for part in content):
            whole = next(self._fetch(self.statements.content_of(row.raw_id), 1), None)
            if whole is None:
                return None
            content, value = tuple(whole[name] for name in self.kind.content), whole["r_"]
        return build(self.kind, row, content, self.access(value), self._settings.data_class)

    def _too_large(self, row: Row, size: int) -> Failure:
        limit = self._context.max_bytes
        cause = f"It has {size:,} bytes; the limit is {limit:,}."
        fix = "Shorten it, or leave it out of the query."
        return Failure(document_id(self.kind, row.id), title_of(self.kind, row), cause, fix)

    def again(self, ids: list[str]) -> Iterator[Change]:
        found: dict[str, Change] = {}
        for row in self._rows(self.statements.rows_of(ids)):
            id = row.id
            found[id] = _doubled(self.kind, row) if id in found else self._change(row, {})
        for id in ids:
            yield found.get(id, Deletion(document_id(self.kind, id)))

    def all_readers(self) -> Iterator[tuple[str, Access]]:
        """The document id and readers of every row that is not deleted. An id that two rows have is for nobody."""
        waiting: tuple[str, Access] | None = None
        for line in self._fetch(self.statements.readers(), READERS_AT_ONCE):
            if self._context.cancelled():
                raise SourceFault("The listing was cancelled.", "Start it again.", passing=True)
            id = document_id(self.kind, line["id_"])
            if is_true(line["d_"]):
                continue
            if waiting and waiting[0] == id:
                waiting = (id, Access.nobody())
                continue
            if waiting:
                yield waiting
            waiting = (id, self.access(line["r_"]))
        if waiting:
            yield waiting

    def _ceiling(self) -> Any:
        if not self.kind.cursor:
            return None
        with self.database.reading(self.what) as connection:
            row = connection.execute(self.statements.ceiling()).one()
        return ceiling(row[0], row[1] or "", row[2])


def _doubled(kind: Kind, row: Row) -> Failure:
    cause = f"The query gives this {kind.id} in more than one row."
    fix = "Aggregate what was joined, such as array_agg(email) with GROUP BY, so that each id is one row."
    return Failure(document_id(kind, row.id), title_of(kind, row), cause, fix)
