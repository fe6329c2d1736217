"""One golden question on one route, through the stages of a turn: what a person would be answered, measured.

find (once, for both sides) → screen → decide → render → hold its price → ask → conclude → Side

A budget does not choose the route here: a model that it has no room for is not rehearsed by way of another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from app.domain import Found, Intent, Person, Question, TextDelta
from app.draft import Draft
from app.errors import SwitchboardError
from app.outgoing import Writer
from app.rehearsal.golden import Golden
from app.rehearsal.measure import Side, measured
from app.rehearsal.till import PatientPurse, Till, why
from app.routing import Fitted, RouteEntry, RoutingTable
from app.stages import Stages
from app.turn import ask, conclude, decide, find, render, screen

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
BROKE = "Something in Switchboard broke while answering; the log has the cause."


@dataclass(frozen=True, slots=True)
class Scene:
    """One golden question as one person asks it. `found` is what they may use for it; both sides get the same."""

    question: Question
    golden: Golden
    intent: Intent
    found: Found
    vector: NDArray[np.float32]


def scene(entry: RouteEntry, golden: Golden, person: Person, stages: Stages, id: str) -> Scene:
    """Blocking. Searches as `person`, where the intent searches. Raises IndexUnavailable."""
    question = Question(id, "", person, golden.question)
    intent = Intent(entry.name, entry.label, 1.0, "", 0.0)
    looked, vector = Draft(id, intent=intent), stages.embedder.query(golden.question)
    if entry.search:
        find(question, vector, stages, looked)
    return Scene(question, golden, intent, looked.found, vector)


def chosen(scene: Scene, table: RoutingTable, stages: Stages, draft: Draft) -> Fitted:
    """Blocking: everything before the model is asked; fills the draft. Raises NoModel."""
    draft.intent, draft.found = scene.intent, scene.found
    writer = Writer(stages.prompts, scene.question, screen(scene.question, stages, draft))
    route = table.entry(scene.intent.name)
    expected = stages.difficulty.expect(route, scene.question.text, scene.vector)
    fitted = decide(scene.question, scene.intent, table, writer, stages, draft, expected)
    render(writer, fitted, draft)
    return fitted


async def play(scene: Scene, table: RoutingTable, stages: Stages, draft: Draft, till: Till) -> Side:
    """Asks, and measures. What goes wrong is told in the Side; when cancelled, `draft` keeps what was asked and its cost.
    See `unpaid` for what no budget had room for."""
    error = ""
    async with till.purse(draft.turn_id, draft.attempts) as purse:
        try:
            await stages.in_pool(lambda: chosen(scene, table, stages, draft))
            await _paid(draft, purse)
            async with aclosing(_words(stages, draft)) as words:
                async for _ in words:
                    pass
            conclude(draft)
        except SwitchboardError as failed:
            error = f"{failed.message} {failed.fix}"
        except Exception:
            # One question that breaks must not take the others with it.
            log.exception("a rehearsed question broke", intent=scene.intent.name)
            error = BROKE
        finally:
            draft.settle(stages.catalogue.cost)
            if unpaid(draft):
                till.stop(draft.turn_id)
    return _side(scene.golden, draft, error)


def unpaid(draft: Draft) -> str:
    """Which budget had no room for a model that the route would have asked; empty where one before it answered all the same."""
    refused, route = draft.purse.refused, draft.route
    if not refused or route is None:
        return ""
    order = (route.model, *route.fallbacks)
    if draft.finished and order.index(draft.model) < min(order.index(one) for one in refused):
        return ""
    return why(draft.purse)


async def _paid(draft: Draft, purse: PatientPurse) -> None:
    """Holds the price of the route's first model. Raises OverBudget."""
    assert draft.route is not None
    assert draft.call is not None
    draft.purse = purse
    try:
        await purse.hold(draft.route.model, draft.call)
    finally:
        draft.waited(purse.waited_s)


def _words(stages: Stages, draft: Draft) -> AsyncGenerator[TextDelta, None]:
    assert draft.route is not None
    assert draft.call is not None
    return ask(draft.route, draft.call, stages, draft)


def _side(golden: Golden, draft: Draft, error: str) -> Side:
    written = [attempt for attempt in draft.attempts if attempt.wrote]
    side = Side(
        answer=draft.text,
        error=error,
        note="; ".join(f"{label}: {why}" for label, why in _failed(draft)),
        model=draft.model,
        label=(written or draft.attempts)[-1].label if draft.attempts else "",
        prompt=f"{draft.prompt.name} {draft.prompt.version}" if draft.prompt else "",
        first_token_ms=draft.first_token_ms,
        total_ms=draft.elapsed_ms(),
        prompt_tokens=draft.usage.prompt_tokens,
        completion_tokens=draft.usage.completion_tokens,
        estimated=draft.usage.estimated,
        cost_usd=draft.cost_usd,
    )
    return measured(side, golden, draft.finished.answer) if draft.finished else side


def _failed(draft: Draft) -> list[tuple[str, str]]:
    """Models before the one that answered, and why they did not: they failed now, or a moment ago in this rehearsal."""
    failed = [(a.label, a.error) for a in draft.attempts if a.error]
    for decision in draft.route.decisions if draft.route else ():
        if decision.model == draft.model:
            break
        if decision.failing:
            failed.append((decision.label, decision.reason))
    return failed
