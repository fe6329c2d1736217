"""Separate checks of a model of the catalogue, by every key of its account."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from app.llm.checks import ANSWERS, KEY, Check, Examination, examine
from app.llm.model import ChatModel
from app.routing.keys import PooledModel


async def examined(model: ChatModel, endings: Mapping[str, str]) -> tuple[Check, ...]:
    """`endings` are the last characters of the account's keys, by id. A key that was set aside is tried again, and one that
    is refused now is set aside."""
    if not isinstance(model, PooledModel):
        return (await examine(model)).checks
    keys = list(model.models)
    found = await asyncio.gather(*(examine(model.models[key]) for key in keys))
    for key, one in zip(keys, found, strict=True):
        model.judge(key, one.error)
    if len(found) == 1:
        return found[0].checks
    return _together([endings.get(key, "") for key in keys], found)


def answers(checks: tuple[Check, ...]) -> bool:
    return any(check.name == ANSWERS and check.passed for check in checks)


def _together(endings: list[str], found: list[Examination]) -> tuple[Check, ...]:
    """One check a key, the others by the key that got furthest."""
    best = next((one for one in found if one.answers), found[0])
    keys = [
        replace(check, name=f"Key …{ending} accepted")
        for ending, one in zip(endings, found, strict=True)
        for check in one.checks
        if check.name == KEY
    ]
    first, *rest = (check for check in best.checks if check.name != KEY)
    return (first, *keys, *rest)
