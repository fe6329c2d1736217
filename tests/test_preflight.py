"""The pre-flight: each thing that can be wrong is named with its cause and its fix; what cannot be known is not guessed."""

from __future__ import annotations

import io
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.data_folder import DataFolder
from app.db import Database
from app.domain import now
from app.llm.scripted_server import ScriptedServer
from app.preflight import (
    CHECKS,
    Outcome,
    Result,
    examine,
    files,
    machine,
    run_checks,
    services,
    table,
)
from app.preflight.surroundings import Surroundings
from app.settings import Settings
from tests.servers.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OidcProvider,
    free_port,
    serving,
)


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """A machine on which Switchboard never ran; without the local model, which takes seconds to load."""
    return Settings(
        data_dir=tmp_path / "data",
        port=free_port(),
        local_model=False,
        openai_api_key="",
        anthropic_api_key="",
    )


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    provider = OidcProvider(free_port())
    with serving(provider.app(), provider.port):
        yield provider


def with_provider(settings: Settings, provider: OidcProvider) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": SecretStr(CLIENT_SECRET),
        }
    )


async def look(settings: Settings, name: str, clock: Callable[[], datetime] = now) -> Result:
    """The line `name`, from the one check that writes it."""
    by_line = {
        "data folder's owner": machine.lock,
        "search index": services.index,
        "identity provider": services.issuer,
        "clock": services.issuer,
        "model scripted": services.models,
    }
    known = {check.__name__.replace("_", " "): check for check in CHECKS} | by_line
    results = await known[name](Surroundings(settings, clock))
    return next(result for result in results if result.name == name)


async def test_a_fresh_machine_has_nothing_wrong(fresh: Settings) -> None:
    results = await examine(fresh)
    assert [r for r in results if r.outcome is Outcome.FAIL] == []
    assert {r.name for r in results if r.outcome is Outcome.UNKNOWN} == {
        "migrations",
        "identity provider",
    }
    assert not (fresh.data_dir / "switchboard.sqlite").exists()
    assert len(results) >= len(CHECKS)


async def test_a_migrated_database_passes(
    fresh: Settings, settings: Settings, database: Database
) -> None:
    assert settings.data_dir == fresh.data_dir
    assert database.is_sqlite
    assert (await look(fresh, "database")).outcome is Outcome.PASS
    assert (await look(fresh, "migrations")).outcome is Outcome.PASS


@pytest.mark.usefixtures("database")
async def test_an_old_revision_fails_with_the_command(fresh: Settings) -> None:
    with sqlite3.connect(fresh.data_dir / "switchboard.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '000000000000'")
    found = await look(fresh, "migrations")
    assert found.outcome is Outcome.FAIL
    assert "python -m app migrate" in found.fix


async def test_a_file_that_is_no_database_fails(fresh: Settings) -> None:
    fresh.data_dir.mkdir(parents=True)
    (fresh.data_dir / "switchboard.sqlite").write_bytes(b"this is not a database" * 100)
    assert (await look(fresh, "database")).outcome is Outcome.FAIL
    assert (await look(fresh, "migrations")).outcome is Outcome.UNKNOWN


async def test_a_database_server_that_is_down_fails_without_its_password(fresh: Settings) -> None:
    url = f"postgresql://desk:s3cret@127.0.0.1:{free_port()}/desk"
    found = await look(fresh.model_copy(update={"database_url": url}), "database")
    assert found.outcome is Outcome.FAIL
    assert "SWITCHBOARD_DATABASE_URL" in found.fix
    assert "s3cret" not in table([found])


async def test_an_unusable_database_address_fails(fresh: Settings) -> None:
    wrong = fresh.model_copy(update={"database_url": "mysql://here"})
    assert (await look(wrong, "database")).outcome is Outcome.FAIL


async def test_a_data_folder_that_cannot_be_written_fails(fresh: Settings) -> None:
    fresh.data_dir.write_text("a file where the folder should be")
    found = await look(fresh, "data folder")
    assert found.outcome is Outcome.FAIL
    assert "SWITCHBOARD_DATA_DIR" in found.fix


async def test_a_running_switchboard_is_named_and_its_index_left_alone(fresh: Settings) -> None:
    with (
        closing(DataFolder(fresh.data_dir).acquire("http://localhost:8501")),
        socket.create_server((fresh.host, fresh.port)),
    ):
        assert "http://localhost:8501" in (await look(fresh, "data folder's owner")).cause
        assert (await look(fresh, "search index")).outcome is Outcome.UNKNOWN
        assert (await look(fresh, "port")).outcome is Outcome.PASS


async def test_a_port_that_somebody_else_uses_fails(fresh: Settings) -> None:
    with socket.create_server((fresh.host, fresh.port)):
        found = await look(fresh, "port")
    assert found.outcome is Outcome.FAIL
    assert str(fresh.port) in found.cause
    assert "SWITCHBOARD_PORT" in found.fix


async def test_the_provider_and_the_clocks_pass(fresh: Settings, provider: OidcProvider) -> None:
    settings = with_provider(fresh, provider)
    assert (await look(settings, "identity provider")).outcome is Outcome.PASS
    assert (await look(settings, "clock")).outcome is Outcome.PASS


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_off_fails(
    fresh: Settings, provider: OidcProvider, minutes: int
) -> None:
    def wrong() -> datetime:
        return now() + timedelta(minutes=minutes)

    found = await look(with_provider(fresh, provider), "clock", clock=wrong)
    assert found.outcome is Outcome.FAIL
    assert ("ahead" if minutes > 0 else "behind") in found.cause


async def test_an_issuer_that_calls_itself_otherwise_fails(
    fresh: Settings, provider: OidcProvider
) -> None:
    provider.faults.issuer_elsewhere = True
    settings = with_provider(fresh, provider)
    assert (await look(settings, "identity provider")).outcome is Outcome.FAIL
    assert (await look(settings, "clock")).outcome is Outcome.UNKNOWN


async def test_a_provider_that_does_not_answer_fails_and_its_clock_is_unknown(
    fresh: Settings,
) -> None:
    settings = fresh.model_copy(
        update={"oidc_issuer": f"http://localhost:{free_port()}", "oidc_client_id": CLIENT_ID}
    )
    assert (await look(settings, "identity provider")).outcome is Outcome.FAIL
    assert (await look(settings, "clock")).outcome is Outcome.UNKNOWN


async def test_a_model_that_answers_passes_and_one_that_does_not_fails(fresh: Settings) -> None:
    server = ScriptedServer(tokens=3)
    address = await server.start()
    settings = fresh.model_copy(
        update={"compatible_base_url": address, "compatible_models": ("scripted",)}
    )
    try:
        assert (await look(settings, "model scripted")).outcome is Outcome.PASS
    finally:
        await server.close()
    found = await look(settings, "model scripted")
    assert found.outcome is Outcome.FAIL
    assert found.fix


async def test_fonts_that_are_missing_fail(
    fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(files.FONTS, tmp_path / "fonts")
    (copy / files.FONT_FILES[0]).unlink()
    monkeypatch.setattr(files, "FONTS", copy)
    assert (await look(fresh, "fonts")).outcome is Outcome.FAIL


def test_the_exit_code_says_whether_anything_failed(fresh: Settings) -> None:
    out = io.StringIO()
    assert run_checks(fresh, out) == 0
    assert "pass    policies" in out.getvalue()
    with socket.create_server((fresh.host, fresh.port)):
        assert run_checks(fresh, out) == 1
    assert "1 fail" in out.getvalue()


def test_the_table_shows_cause_and_fix_of_what_is_not_well() -> None:
    text = table(
        [
            Result("one", Outcome.PASS, "Good.", "unused"),
            Result("another", Outcome.FAIL, "Bad.", "Do this."),
        ]
    )
    assert "pass    one      Good." in text
    assert "fail    another  Bad." in text
    assert "→ Do this." in text
    assert "unused" not in text
    assert text.endswith("1 pass, 1 fail")
