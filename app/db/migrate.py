"""Bring a database to the newest revision. Alembic's command line is not needed at run time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.db.engine import Database

SCRIPTS = Path(__file__).parent / "migrations"


def config(database: Database) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS))
    settings.attributes["database"] = database
    return settings


def migrate(database: Database) -> None:
    """Applies every missing revision. Costs one query when there is none."""
    if current_revision(database) != newest_revision():
        command.upgrade(config(database), "head")


def current_revision(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS))
    return ScriptDirectory.from_config(settings).get_current_head()
