"""`python -m app check`: what works, what does not and why, and what cannot be known from here.

Every check answers pass, fail or unknown; unknown is honest about a check that needs something which is not there (a running
app, a network). Works while the app runs and while it does not, and changes nothing that the next start would not change.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.data_folder import DataFolder
from app.db import Database, current_revision, migrate, newest_revision
from app.errors import (
    AlreadyRunning,
    ModelError,
    PromptError,
    ProviderUnavailable,
    SignInError,
    SwitchboardError,
)
from app.records import Ledger
from app.settings import Settings

if TYPE_CHECKING:
    from app.routing import Catalogue

Loaded = TypeVar("Loaded")
MODEL_TIMEOUT_S = 30.0
SMALLEST_DISK = 1_000_000_000
FONTS = Path(__file__).parent / "ui" / "static" / "fonts"
FONT_FILES = ("inter-latin-wght-normal.woff2", "jetbrains-mono-latin-wght-normal.woff2")


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: what was checked, how it went, why, and what to do about it."""

    name: str
    outcome: Outcome
    cause: str
    fix: str = ""


def passed(name: str, cause: str) -> Result:
    return Result(name, Outcome.PASS, cause)


def failed(name: str, cause: str, fix: str) -> Result:
    return Result(name, Outcome.FAIL, cause, fix)


def unknown(name: str, cause: str, fix: str = "") -> Result:
    return Result(name, Outcome.UNKNOWN, cause, fix)


def failed_by(name: str, error: SwitchboardError) -> Result:
    return failed(name, error.message, error.fix)


@dataclass
class Surroundings:
    """What the checks look at. `owner` is the running Switchboard in words, empty when none runs."""

    settings: Settings
    owner: str = field(init=False)

    def __post_init__(self) -> None:
        self.owner = DataFolder(self.settings.data_dir).owner()

    @property
    def no_database_yet(self) -> bool:
        path = self.settings.database.removeprefix("sqlite:///")
        return path != self.settings.database and not Path(path).exists()

    @cached_property
    def database(self) -> Database:
        """Raises ConfigurationError for an address of an unknown kind. A SQLite file is made when there is none."""
        return Database(self.settings.database)


Check = Callable[[Surroundings], Awaitable[list[Result]]]


async def data_folder(around: Surroundings) -> list[Result]:
    name, folder = "data folder", around.settings.data_dir
    fix = "Give this user the right to write there, or set SWITCHBOARD_DATA_DIR."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="check-"):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [failed(name, f"{folder} cannot be written: {error.strerror}.", fix)]
    if free < SMALLEST_DISK:
        left = f"{free / 1e6:,.0f} MB"
        return [failed(name, f"Only {left} are free at {folder}.", "Make room on that disk.")]
    return [passed(name, f"{folder} can be written; {free / 1e9:,.0f} GB free.")]


async def lock(around: Surroundings) -> list[Result]:
    """Who owns the data folder, and with it the embedded index."""
    if around.owner:
        return [passed("data folder's owner", f"{around.owner} That is the one to talk to.")]
    return [passed("data folder's owner", "No Switchboard runs on it; this one may start.")]


async def database(around: Surroundings) -> list[Result]:
    name = "database"
    if around.no_database_yet:
        return [passed(name, "None yet; the first start makes it.")]
    kind = "SQLite" if around.settings.database.startswith("sqlite") else "PostgreSQL"
    try:
        with around.database.engine.connect() as connection:
            connection.execution_options(begin_immediate=True)
            connection.execute(text("CREATE TABLE preflight_probe (x INTEGER)"))
            connection.rollback()
    except SwitchboardError as error:
        return [failed_by(name, error)]
    except SQLAlchemyError as error:
        return [failed(name, f"{kind}: {_first_line(error)}", _database_fix(kind))]
    return [passed(name, f"{kind} answers and can be written.")]


async def migrations(around: Surroundings) -> list[Result]:
    name, fix = "migrations", "Run `python -m app migrate`, or start: it migrates by itself."
    if around.no_database_yet:
        return [
            unknown(name, "There is no database yet.", "The first start makes and migrates it.")
        ]
    try:
        revision = current_revision(around.database)
    except (SwitchboardError, SQLAlchemyError):
        return [unknown(name, "The database does not answer.", "See the line on the database.")]
    if revision == newest_revision():
        return [passed(name, f"At the newest revision, {revision}.")]
    return [failed(name, f"At revision {revision or 'none'}, not {newest_revision()}.", fix)]


async def index(around: Surroundings) -> list[Result]:
    name = "search index"
    embedded = not around.settings.qdrant_url
    if embedded and around.owner:
        return [unknown(name, "The running Switchboard holds it.", "Ask its /readyz.")]
    if embedded and not (around.settings.data_dir / "index").exists():
        return [passed(name, "None yet; the first start makes it.")]
    from app.knowledge.index import open_index

    try:
        with closing(open_index(around.settings)) as opened:
            if opened.fresh:
                return [passed(name, "Empty; the next start fills it from the database.")]
            return [passed(name, f"Opens; {opened.count():,} chunks.")]
    except AlreadyRunning as error:
        return [unknown(name, error.message, error.fix)]
    except SwitchboardError as error:
        return [failed_by(name, error)]


async def models(around: Surroundings) -> list[Result]:
    """One line for each model that is switched on, by a tiny real call."""
    from app.knowledge.embed import load_embedder
    from app.routing import Catalogue

    with tempfile.TemporaryDirectory() as scratch:
        store = _settings_of_models(around, Path(scratch))
        try:
            catalogue = Catalogue(around.settings, store, Ledger(store), load_embedder().documents)
            cards = [card for card in catalogue.cards() if card.enabled]
            results = await asyncio.gather(*(_model(catalogue, c.id, c.label) for c in cards))
            await catalogue.close()
        finally:
            store.close()
    return list(results) or [
        failed("models", "No model is switched on.", "Switch one on under Models.")
    ]


async def issuer(around: Surroundings) -> list[Result]:
    """Discovery, keys, and the provider's clock against ours."""
    name, clock = "identity provider", "clock"
    settings = around.settings
    if settings.demo_issuer and not around.owner:
        return [
            unknown(name, "The demo issuer is part of the app, which does not run."),
            passed(clock, "The demo issuer uses this machine's clock."),
        ]
    from app.identity.identity import configured, demo_config
    from app.identity.provider import Provider

    try:
        config = demo_config(settings) if settings.demo_issuer else configured(settings)
        found = await Provider(config).check()
    except ProviderUnavailable as error:
        nobody = unknown(clock, "The provider's clock cannot be read.")
        return [failed(name, f"{settings.oidc_issuer}: {error.message}", error.fix), nobody]
    except SignInError as error:
        cause = f"{error.message} ({error.detail or error.reason})"
        return [failed(name, cause, error.fix), unknown(clock, "The provider was not understood.")]
    except SwitchboardError as error:
        return [failed_by(name, error), unknown(clock, "No provider to compare with.")]
    about = f"{found.issuer} answers and names itself so; signs with {', '.join(found.algorithms)}."
    return [passed(name, about), _clock(clock, found.skew_s, settings.clock_skew_s)]


async def port(around: Surroundings) -> list[Result]:
    name, settings = "port", around.settings
    where = f"{settings.host}:{settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(family[4])
    except OSError as error:
        if around.owner:
            return [passed(name, f"{where} is taken, and Switchboard runs.")]
        fix = "Stop what uses it, or set SWITCHBOARD_PORT or SWITCHBOARD_HOST."
        return [failed(name, f"Cannot listen on {where}: {error.strerror or error}.", fix)]
    return [passed(name, f"{where} is free.")]


async def policies(_around: Surroundings) -> list[Result]:
    from app.access import Policy

    return [_loads("policies", Policy, lambda made: f"{len(made.engine.rules)} rules are valid.")]


async def prompts(_around: Surroundings) -> list[Result]:
    from app.prompts import PromptLibrary

    def load() -> int:
        return len(PromptLibrary().versions)

    return [_loads("prompts", load, lambda count: f"{count} prompts are valid.")]


async def routes(_around: Surroundings) -> list[Result]:
    from app.prompts import PromptLibrary
    from app.routing import RoutingTable

    def load() -> int:
        table, known = RoutingTable.load(), PromptLibrary().versions
        missing = [e.name for e in table.entries if e.prompt.split("@")[0] not in known]
        if missing:
            raise PromptError(f"The route of '{missing[0]}' names a prompt that does not exist.")
        return len(table.entries)

    return [_loads("routes", load, lambda count: f"{count} intents are valid.")]


async def fonts(_around: Surroundings) -> list[Result]:
    missing = [file for file in FONT_FILES if not (FONTS / file).is_file()]
    if missing:
        return [failed("fonts", f"{missing[0]} is missing.", "Get the app's files again.")]
    return [passed("fonts", "They come with the app.")]


CHECKS: tuple[Check, ...] = (
    data_folder,
    lock,
    database,
    migrations,
    index,
    port,
    policies,
    prompts,
    routes,
    fonts,
    issuer,
    models,
)


async def examine(settings: Settings) -> list[Result]:
    """Every check, in order. A check that breaks says so and the others go on."""
    around = Surroundings(settings)
    results: list[Result] = []
    for check in CHECKS:
        try:
            results += await check(around)
        except Exception as error:
            # A pre-flight that stops at the first surprise would hide what it was run for.
            name = check.__name__.replace("_", " ")
            what = f"The check broke: {type(error).__name__}: {_first_line(error)}"
            results.append(failed(name, what, "Report it with this line."))
    if "database" in vars(around):
        around.database.close()
    return results


def run_checks(settings: Settings, out: TextIO = sys.stdout) -> int:
    """Prints the table; 1 when anything failed, else 0."""
    results = asyncio.run(examine(settings))
    print(table(results), file=out)
    return 1 if any(result.outcome is Outcome.FAIL for result in results) else 0


def table(results: list[Result]) -> str:
    width = max(len(result.name) for result in results)
    lines = []
    for result in results:
        lines.append(f"{result.outcome:<8}{result.name:<{width}}  {result.cause}")
        if result.fix and result.outcome is not Outcome.PASS:
            lines.append(f"{'':<8}{'':<{width}}  → {result.fix}")
    counts = {kind: sum(r.outcome is kind for r in results) for kind in Outcome}
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return "\n".join([*lines, "", summary])


def _settings_of_models(around: Surroundings, scratch: Path) -> Database:
    """The database with what admins changed about models; an empty one where it is missing or of another revision."""
    if not around.no_database_yet:
        try:
            if current_revision(around.database) == newest_revision():
                return Database(around.settings.database)
        except (SwitchboardError, SQLAlchemyError):
            pass  # the line on the database says it
    empty = Database(f"sqlite:///{scratch / 'models.sqlite'}")
    migrate(empty)
    return empty


async def _model(catalogue: Catalogue, model_id: str, label: str) -> Result:
    name = f"model {label}"
    try:
        await asyncio.wait_for(catalogue.model(model_id).check(), MODEL_TIMEOUT_S)
    except ModelError as error:
        return failed(name, error.message, error.fix)
    except TimeoutError:
        fix = "Check the network and the provider's status page."
        return failed(name, f"No answer within {MODEL_TIMEOUT_S:.0f} s.", fix)
    return passed(name, "Answers.")


def _clock(name: str, skew_s: float | None, tolerated_s: int) -> Result:
    if skew_s is None:
        return unknown(name, "The provider sends no date.")
    told = f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} the provider's"
    if abs(skew_s) > tolerated_s:
        fix = "Set this machine's clock (NTP), or raise SWITCHBOARD_CLOCK_SKEW_S."
        return failed(name, f"This machine's clock is {told}.", fix)
    return passed(name, f"This machine's clock is {told}; {tolerated_s} s are tolerated.")


def _loads(name: str, load: Callable[[], Loaded], say: Callable[[Loaded], str]) -> Result:
    try:
        return passed(name, say(load()))
    except SwitchboardError as error:
        return failed_by(name, error)


def _database_fix(kind: str) -> str:
    if kind == "SQLite":
        return "Check the file's rights and the disk, or restore a backup."
    return "Check that the server runs and that SWITCHBOARD_DATABASE_URL is right."


def _first_line(error: Exception) -> str:
    """The driver's own words without the statement; addresses of databases hold passwords, so nothing else is shown."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
