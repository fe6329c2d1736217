"""One database, two ways in: `read()` for looking, `write()` for one transaction that commits or leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import Session, create_engine

from app.errors import ConfigurationError


class Database:
    """An engine with the rules that Switchboard needs of it.

    SQLite runs in WAL mode with synchronous NORMAL. It has one writer at a time and its busy handler sleeps, so writers of
    this process queue on a lock instead and every write transaction begins IMMEDIATE.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _sqlite(url) if self.is_sqlite else _server(url)
        self._writer = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Commits at the end, rolls back on any exception. Do not nest."""
        if not self.is_sqlite:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
            return
        with self._writer, Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"begin_immediate": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    def close(self) -> None:
        self.engine.dispose()


def _server(url: str) -> Engine:
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    if not url.startswith("postgresql+psycopg://"):
        raise ConfigurationError(
            "SWITCHBOARD_DATABASE_URL is neither SQLite nor PostgreSQL.",
            fix="Use sqlite:///path or postgresql://user:password@host/name.",
        )
    return create_engine(url, pool_size=16, max_overflow=16, pool_pre_ping=True)


def _sqlite(url: str) -> Engine:
    path = url.removeprefix("sqlite:///")
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": 15},
        pool_size=32,
        max_overflow=32,
        pool_use_lifo=True,  # the connection used last has its pages and statements at hand
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not the driver's
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=15000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        if connection.get_execution_options().get("begin_immediate"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Cannot fail, so it goes past SQLAlchemy, whose way costs more than the statement.
            connection.connection.dbapi_connection.execute("BEGIN")

    return engine
