"""The database: one engine, every table, and the migrations that make them. SQLModel belongs to this room."""

from app.db.engine import Database
from app.db.migrate import current_revision, migrate, newest_revision

__all__ = ["Database", "current_revision", "migrate", "newest_revision"]
