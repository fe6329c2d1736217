"""Alembic's environment: the database comes from the caller, never from an ini file."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import app.db.tables  # noqa: F401  (registers the tables)
from app.db.engine import Database

database: Database = context.config.attributes["database"]

with database.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
