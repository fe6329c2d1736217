"""`python -m app.db.revise "what changed"` writes a migration for the difference between the tables and the revisions."""

from __future__ import annotations

import sys
import tempfile

from alembic import command

from app.db.engine import Database
from app.db.migrate import config, migrate


def main() -> None:
    message = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/scratch.sqlite")
        migrate(database)
        command.revision(config(database), message=message, autogenerate=True)
        database.close()


if __name__ == "__main__":
    main()
