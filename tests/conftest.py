"""What every test may use: a migrated database, the ledger, settings in a temporary folder, people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from app.db import Database, migrate
from app.db.tables import PersonPrincipalRow, PersonRow
from app.domain import EVERYONE, Person, Role
from app.records import Ledger
from app.settings import Settings

MakePerson = Callable[..., Person]
BROWSER = "tests/browser"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Prints a failure when it happens: a run that is cut off must still say what went wrong."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        text = report.longreprtext.splitlines()[-40:]
        print("", f"FAILED {report.nodeid} ({report.when})", *text, sep="\n", flush=True)


class _Scheduling(LoadFileScheduling):
    """A file is one piece of work, and so is all of tests/browser: two browsers with their servers at once slow each other down
    to where a test waits in vain, and each worker would start its own."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return BROWSER if file.startswith(f"{BROWSER}/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling | None:
    return _Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", openai_api_key="", anthropic_api_key="")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at the newest revision, to copy: all revisions take a fifth of a second, a thousand times over."""
    path = tmp_path_factory.mktemp("migrated") / "switchboard.sqlite"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()  # the last connection to leave puts everything into the one file
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture
def database(settings: Settings, migrated: Path) -> Iterator[Database]:
    path = Path(settings.database.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(migrated, path)
    database = Database(settings.database)
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def make_person(database: Database) -> MakePerson:
    """Stores a person with their principals and returns the domain value."""

    def make(
        name: str, *, role: Role = Role.EMPLOYEE, team: str = "Sales", groups: tuple[str, ...] = ()
    ) -> Person:
        email = f"{name.lower()}@example.test"
        principals = frozenset(
            {EVERYONE, f"user:{email}", *(f"group:idp/{group}" for group in groups)}
        )
        row = PersonRow(email=email, name=name, role=role.value, team=team)
        with database.write() as session:
            session.add(row)
            session.flush()
            session.add_all(PersonPrincipalRow(person_id=row.id, principal=p) for p in principals)
        return Person(row.id, email, name, role, team, principals)

    return make
