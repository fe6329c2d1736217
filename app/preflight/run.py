"""The list of checks, and running them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TextIO

from app.domain import now
from app.preflight.files import fonts, policies, prompts, routes
from app.preflight.machine import data_folder, database, lock, migrations, port
from app.preflight.result import Outcome, Result, failed, first_line, table
from app.preflight.services import index, issuer, models
from app.preflight.surroundings import Surroundings
from app.settings import Settings

Check = Callable[[Surroundings], Awaitable[list[Result]]]
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


async def examine(settings: Settings, clock: Callable[[], datetime] = now) -> list[Result]:
    """Every check, in order. A check that breaks says so and the others go on."""
    around = Surroundings(settings, clock)
    results: list[Result] = []
    for check in CHECKS:
        try:
            results += await check(around)
        except Exception as error:
            # A pre-flight that stops at the first surprise would hide what it was run for.
            name = check.__name__.replace("_", " ")
            what = f"The check broke: {type(error).__name__}: {first_line(error)}"
            results.append(failed(name, what, "Report it with this line."))
    if "database" in vars(around):
        around.database.close()
    return results


def run_checks(settings: Settings, out: TextIO = sys.stdout) -> int:
    """Prints the table; 1 when anything failed, else 0."""
    results = asyncio.run(examine(settings))
    print(table(results), file=out)
    return 1 if any(result.outcome is Outcome.FAIL for result in results) else 0
