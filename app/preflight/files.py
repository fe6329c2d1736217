"""The files that come with the app and are under review: rules, prompts, routes, fonts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.errors import PromptError, SwitchboardError
from app.preflight.result import Result, failed, failed_by, passed
from app.preflight.surroundings import Surroundings

Loaded = TypeVar("Loaded")
FONTS = Path(__file__).parents[1] / "ui" / "static" / "fonts"
FONT_FILES = ("inter-latin-wght-normal.woff2", "jetbrains-mono-latin-wght-normal.woff2")


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


def _loads(name: str, load: Callable[[], Loaded], say: Callable[[Loaded], str]) -> Result:
    try:
        return passed(name, say(load()))
    except SwitchboardError as error:
        return failed_by(name, error)
