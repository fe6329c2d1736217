"""The machine: the data folder, who owns it, the database, the port."""

from __future__ import annotations

import shutil
import socket
import tempfile

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import current_revision, newest_revision
from app.errors import SwitchboardError
from app.preflight.result import Result, failed, failed_by, first_line, passed, unknown
from app.preflight.surroundings import Surroundings

SMALLEST_DISK = 1_000_000_000


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
        return [failed(name, f"{kind}: {first_line(error)}", _database_fix(kind))]
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


def _database_fix(kind: str) -> str:
    if kind == "SQLite":
        return "Check the file's rights and the disk, or restore a backup."
    return "Check that the server runs and that SWITCHBOARD_DATABASE_URL is right."
