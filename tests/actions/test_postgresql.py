"""The promises of the desk hold on PostgreSQL, where writers do not queue on a lock of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database, migrate
from app.settings import Settings
from tests.actions.conftest import Receiver

# The same promises, on the database of this module's fixtures.
from tests.actions.test_desk import (
    test_a_changed_payload_is_neither_approved_nor_run,
    test_a_failed_request_can_be_tried_again_by_its_owner,
    test_a_ticket_runs_at_once_and_is_on_record,
    test_eight_clicks_at_once_are_one_request_and_one_effect,
    test_two_leads_at_once_make_one_decision,
)
from tests.servers.postgres import postgres

__all__ = [
    "test_a_changed_payload_is_neither_approved_nor_run",
    "test_a_failed_request_can_be_tried_again_by_its_owner",
    "test_a_ticket_runs_at_once_and_is_on_record",
    "test_eight_clicks_at_once_are_one_request_and_one_effect",
    "test_two_leads_at_once_make_one_decision",
]


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver) -> Iterator[Settings]:
    with postgres() as url:
        yield Settings(
            data_dir=tmp_path / "data",
            database_url=url,
            webhook_url=receiver.url,
            openai_api_key="",
            anthropic_api_key="",
        )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    migrate(database)
    yield database
    database.close()
