"""One read-only transaction with a time limit, for PostgreSQL and SQLite, and faults in words.

Both limits are set in the transaction itself, because a connection pooler drops options of the start-up packet:
https://www.postgresql.org/docs/current/sql-set-transaction.html and runtime-config-client.html (statement_timeout).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.contract import SourceFault

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

CONNECT_TIMEOUT_S = 10
STEPS_BETWEEN_LOOKS = 20_000
"""SQLite's virtual machine asks for the time after so many steps: some milliseconds."""
PASSING_CLASSES = ("08", "40", "53", "55", "57")
"""SQLSTATE classes of a connection, conflict, resource, lock or operator: the query is not to blame."""
FIX_BY_STATE = {
    "25006": "Take out what writes; a source is only read.",
    "42501": "GRANT SELECT on it to this user.",
    "42P01": "Correct the table's name, or grant the user its schema.",
    "42703": "Correct the column's name in the query.",
    "42601": "Correct the query; try it in psql inside SELECT * FROM ( … ) AS q.",
}


class Database:
    """Where the rows are. `cancelled` is polled while SQLite works."""

    def __init__(
        self, url: str, password: str, timeout_s: int, cancelled: Callable[[], bool]
    ) -> None:
        self._url = url
        self._password = password
        self._timeout_s = timeout_s
        self._cancelled = cancelled

    @property
    def is_sqlite(self) -> bool:
        return self._url.startswith("sqlite:")

    @contextlib.contextmanager
    def reading(self, what: str = "The database") -> Iterator[Connection]:
        """A read-only transaction that sees one moment. `what` names the query in a fault. Raises SourceFault."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            engine = self._engine()
            try:
                with engine.connect() as connection:
                    self._limit(connection)
                    yield connection
            finally:
                engine.dispose()
        except DBAPIError as error:
            raise self._fault(error, what) from None
        except SQLAlchemyError as error:
            raise SourceFault(
                f"{what} cannot be used ({type(error).__name__}).",
                "Compare the columns in the settings with those of the query.",
            ) from None

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.pool import NullPool

        if self.is_sqlite:
            return create_engine("sqlite://", creator=self._open_file, poolclass=NullPool)
        url = make_url(self._url).set(drivername="postgresql+psycopg")
        if self._password:
            url = url.set(password=self._password)
        options: dict[str, Any] = {"postgresql_readonly": True}
        return create_engine(
            url,
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "prepare_threshold": None},
            execution_options=options,
        )

    def _open_file(self) -> sqlite3.Connection:
        address = Path(self._url.removeprefix("sqlite:///")).as_uri() + "?mode=ro"
        return sqlite3.connect(
            address, uri=True, timeout=CONNECT_TIMEOUT_S, check_same_thread=False
        )

    def _limit(self, connection: Connection) -> None:
        from sqlalchemy import text

        if self.is_sqlite:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            self._limit_sqlite(connection)
            return
        limits = text(
            "SELECT set_config('statement_timeout', :ms, true), set_config('TimeZone', 'UTC', true)"
        )
        connection.execute(limits, {"ms": str(self._timeout_s * 1000)})

    def _limit_sqlite(self, connection: Connection) -> None:
        """SQLite has no time limit of its own; its virtual machine asks this one."""
        deadline = time.monotonic() + self._timeout_s
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(
            lambda: int(time.monotonic() > deadline or self._cancelled()), STEPS_BETWEEN_LOOKS
        )

    def _fault(self, error: Any, what: str) -> SourceFault:
        from sqlalchemy.exc import OperationalError

        state = getattr(error.orig, "sqlstate", None) or ""
        message = self._words(error.orig)
        lower = message.lower()
        if state == "57014" or lower == "interrupted":
            return SourceFault(
                f"{what} took longer than {self._timeout_s} seconds and was ended.",
                "Add an index on the cursor column, make the query simpler, or allow more seconds.",
                passing=True,
            )
        if state in {"28P01", "28000"} or "authentication failed" in lower:
            return SourceFault(
                "The database refused the user or the password.",
                "Enter the password anew, and check the user's name in the address.",
            )
        if state:
            fix = FIX_BY_STATE.get(state, "Correct the query, or the row that it stumbles over.")
            if state[:2] in PASSING_CLASSES:
                fix = "Try again; if it stays, ask the database's administrator."
            return SourceFault(
                f"{what} failed: {message}.", fix, passing=state[:2] in PASSING_CLASSES
            )
        if not isinstance(error, OperationalError):
            return SourceFault(
                f"{what} failed: {message}.", "Correct the query, or the row that it stumbles over."
            )
        return self._without_state(message, lower, what)

    def _without_state(self, message: str, lower: str, what: str) -> SourceFault:
        """What fails before a session exists, and everything of SQLite's."""
        if "does not exist" in lower or "no pg_hba.conf entry" in lower or "ssl" in lower:
            return SourceFault(
                f"The database cannot be opened: {message}.",
                "Correct the address; the database's administrator knows its name, user and TLS mode.",
            )
        if self.is_sqlite:
            passing = "locked" in lower or "busy" in lower
            fix = "Correct the query or the file's path, and give Switchboard's user the right to read it."
            if "readonly" in lower:
                fix = FIX_BY_STATE["25006"]
            return SourceFault(f"{what} failed: {message}.", fix, passing=passing)
        return SourceFault(
            f"The database cannot be reached: {message}.",
            "Check the host and port in the address, and that the database runs.",
            passing=True,
        )

    def _words(self, error: BaseException) -> str:
        """The first line, without the password should it ever be in there."""
        diagnosis = getattr(error, "diag", None)
        primary = getattr(diagnosis, "message_primary", None) or str(error)
        line = (primary.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return line.replace(self._password, "***") if self._password else line
