"""An upgrade keeps what is there: connectors, their documents and their readers."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from app.db import Database, migrate
from app.db.migrate import config
from app.db.tables import ConnectorRow, ModelRow
from tests.servers.postgres import postgres

BEFORE = "9904741eafe2"
BEFORE_TICKS = "25cb56a9cebd"
NOW = "2026-11-01 12:00:00"


def fill(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO connector (id, kind, name, settings, status, version, sync_every_s,"
                " permissions_max_age_s, checkpoint, created_at) VALUES"
                " ('con_1', 'folder', 'Files', '{}', 'active', 1, 600, 86400, '{}', :now)"
            ),
            {"now": NOW},
        )
        connection.execute(
            text(
                "INSERT INTO document (id, connector_id, source_id, title, url, space, mime, bytes,"
                " data_class, content_hash, access_hash, access_known, text, synced_at,"
                " permissions_checked_at) VALUES ('doc_1', 'con_1', 'a.md', 'A', '', '', 'text/plain',"
                " 1, 1, '', '', true, 'A', :now, :now)"
            ),
            {"now": NOW},
        )
        connection.execute(
            text(
                "INSERT INTO document_reader (document_id, principal) VALUES ('doc_1', 'everyone')"
            )
        )


def check(url: str) -> None:
    database = Database(url)
    command.upgrade(config(database), BEFORE)
    fill(database)
    migrate(database)
    with database.read() as session:
        row = session.get(ConnectorRow, "con_1")
        assert row is not None
        assert (row.name, row.permissions_every_s, row.access_state) == ("Files", 300, {})
        for table in ("document", "document_reader"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1
    database.close()


def test_an_upgrade_on_sqlite_keeps_connectors_and_documents(tmp_path: Path) -> None:
    check(f"sqlite:///{tmp_path / 'old.sqlite'}")


@pytest.mark.timeout(120)
def test_an_upgrade_on_postgresql_keeps_connectors_and_documents() -> None:
    with postgres() as url:
        check(url)


def check_models(url: str) -> None:
    """A model that an admin added before the tick existed was reached wherever it was, and goes on being reached."""
    database = Database(url)
    command.upgrade(config(database), BEFORE_TICKS)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO model (id, provider, model_name, label, base_url, context_tokens, clearance, price_in,"
                " price_out, modalities, added_by, added_at) VALUES ('compatible/m', 'compatible', 'm', 'M',"
                " 'http://10.0.0.5/v1', 8000, 1, 0, 0, 'text', 'root', :now)"
            ),
            {"now": NOW},
        )
    migrate(database)
    with database.read() as session:
        row = session.get(ModelRow, "compatible/m")
        assert row is not None
        assert row.inside
    database.close()


def test_an_upgrade_on_sqlite_keeps_models_reached_where_they_are(tmp_path: Path) -> None:
    check_models(f"sqlite:///{tmp_path / 'old.sqlite'}")


@pytest.mark.timeout(120)
def test_an_upgrade_on_postgresql_keeps_models_reached_where_they_are() -> None:
    with postgres() as url:
        check_models(url)
