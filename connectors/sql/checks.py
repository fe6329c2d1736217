"""What `validate` looks at: columns, cursors, doubled ids; who the readers columns admit; the groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice

from connectors.contract import Check, Outcome, SourceFault
from connectors.sql.database import Database
from connectors.sql.kinds import Kind
from connectors.sql.readers import GROUP, readers
from connectors.sql.rows import is_true
from connectors.sql.settings import SqlSettings
from connectors.sql.statements import COUNT_UP_TO, Statements, everything

LOOK_AT = 10_000


@dataclass(slots=True)
class Seen:
    """Counts over the first rows of every kind."""

    rows: int = 0
    nobody: int = 0
    ignored: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)


class Checks:
    def __init__(
        self,
        database: Database,
        settings: SqlSettings,
        kinds: tuple[Kind, ...],
        groups: Callable[[], Mapping[str, frozenset[str]]],
    ) -> None:
        self._database = database
        self._settings = settings
        self._kinds = kinds
        self._groups = groups

    def run(self) -> list[Check]:
        content = Check.attempt("content", self._content)
        checks = [content]
        if content.outcome is Outcome.PASSED:
            checks.append(self._permissions_check())
        else:
            checks.append(Check.not_checked("permissions"))
        if self._settings.groups_query.strip():
            checks.append(Check.attempt("groups", self._groups_words))
        return checks

    def _content(self) -> str:
        return "; ".join(self._kind(kind) for kind in self._kinds) + "."

    def _kind(self, kind: Kind) -> str:
        what = f"The query of kind '{kind.name}'"
        statements = Statements(kind, sqlite=self._database.is_sqlite)
        with self._database.reading(what) as connection:
            given = list(connection.execute(statements.columns().limit(0)).keys())
            _columns_fit(kind, given)
            doubled = connection.execute(statements.doubled()).first()
            if doubled is not None:
                raise SourceFault(
                    f"{what} gives the {kind.id} {doubled[0]} in more than one row.",
                    "Aggregate what was joined, such as array_agg(email) with GROUP BY.",
                )
            unnamed = connection.execute(statements.without_id()).scalar_one()
            if unnamed:
                raise SourceFault(
                    f"{unnamed} rows of kind '{kind.name}' have no {kind.id}.",
                    "Fill the column, or leave such rows out of the query.",
                )
            count = connection.execute(statements.count()).scalar_one()
            if kind.reader_check:
                query = everything(kind.reader_check, "id", "email").limit(1)
                sample = connection.execute(statements.readers().limit(1)).first()
                if sample is not None:
                    connection.execute(query, {"id": sample[0], "email": "nobody@nowhere.invalid"})
            if kind.cursor:
                sample = connection.execute(statements.cursor_sample()).first()
                without = connection.execute(statements.without_cursor()).scalar_one()
                _cursor_fits(kind, sample[0] if sample else None, without, count, self._database)
        more = "more than " if count > COUNT_UP_TO else ""
        return f"{kind.name}: {more}{min(count, COUNT_UP_TO)} rows can be read"

    def _permissions_check(self) -> Check:
        try:
            seen = self._look_at_readers()
        except SourceFault as fault:
            outcome = Outcome.INDETERMINATE if fault.passing else Outcome.FAILED
            return Check("permissions", outcome, fault.message, fault.fix)
        notes = []
        if seen.ignored:
            notes.append(
                f"{len(seen.ignored)} entries admit nobody, the first is '{seen.ignored[0]}'"
            )
        if seen.groups and not self._settings.groups_query.strip():
            notes.append(f"{len(seen.groups)} groups are named, but there is no groups query")
        if seen.rows and seen.nobody == seen.rows:
            return Check(
                "permissions",
                Outcome.FAILED,
                f"None of {seen.rows} rows names a reader: nobody would find anything.",
                "Fill the readers column with e-mail addresses or group:<name>.",
            )
        if notes:
            fix = "Write e-mail addresses or group:<name>; set 'Allow everyone' if the word everyone is meant."
            return Check("permissions", Outcome.INDETERMINATE, "; ".join(notes) + ".", fix)
        words = f"{seen.rows - seen.nobody} of {seen.rows} rows name readers."
        return Check("permissions", Outcome.PASSED, words)

    def _look_at_readers(self) -> Seen:
        seen = Seen()
        for kind in self._kinds:
            statements = Statements(kind, sqlite=self._database.is_sqlite)
            with self._database.reading(f"The query of kind '{kind.name}'") as connection:
                result = connection.execute(statements.readers().limit(LOOK_AT))
                for _, value, deleted in islice(result, LOOK_AT):
                    if is_true(deleted):
                        continue
                    found = readers(value, allow_everyone=self._settings.allow_everyone)
                    access = found.access
                    seen.rows += 1
                    seen.nobody += not (access.everyone or access.users or access.groups)
                    seen.ignored.extend(found.ignored)
                    seen.groups |= access.groups
        return seen

    def _groups_words(self) -> str:
        groups = self._groups()
        people = {m for members in groups.values() for m in members if not m.startswith(GROUP)}
        return f"{len(groups)} groups with {len(people)} people can be read."


def _columns_fit(kind: Kind, given: list[str]) -> None:
    missing = [name for name in kind.columns if name not in given]
    if missing:
        raise SourceFault(
            f"The query of kind '{kind.name}' gives no column {', '.join(missing)}; it gives {', '.join(given)}.",
            "Add the column to the query, or correct its name in the kind.",
        )
    twice = [name for name in kind.columns if given.count(name) > 1]
    if twice:
        raise SourceFault(
            f"The query of kind '{kind.name}' gives the column {twice[0]} twice.",
            "Name one of them otherwise with AS.",
        )


def _cursor_fits(kind: Kind, value: object, without: int, count: int, database: Database) -> None:
    number_or_time = isinstance(value, int | float | Decimal | date) and not isinstance(value, bool)
    if value is not None and not number_or_time and not database.is_sqlite:
        raise SourceFault(
            f"The cursor column {kind.cursor} of kind '{kind.name}' holds {type(value).__name__}.",
            "Take a column with times or numbers, or convert it in the query.",
        )
    if count and without >= count:
        raise SourceFault(
            f"No row of kind '{kind.name}' has a time or number in its cursor column {kind.cursor}.",
            "Take a column that is filled and grows with every change, or leave out `cursor`.",
        )
