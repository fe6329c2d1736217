"""One question, from asking to receipt. `answer` is the list of stages; everything else here is their bookkeeping.

    classify (→ ask a model, where two intents are close) → search → screen → choose → render → stream → cite → offer

The page, the API and the tests all run this function. It yields `TurnEvent`s and keeps what it learns in a `Draft`, so that
a turn that is stopped or fails half-way still has an honest receipt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.access.sensitive import Restorer, Screening
from app.budgets import Spender
from app.domain import (
    Failed,
    Finished,
    Found,
    Intent,
    ModelCall,
    ModelDone,
    Offer,
    Offered,
    Progress,
    Question,
    Route,
    Routed,
    Stopped,
    TextDelta,
    TurnEvent,
)
from app.draft import Draft
from app.errors import NoModel, SwitchboardError
from app.knowledge.cite import cite
from app.outgoing import Writer, cause
from app.routing import (
    Choosing,
    Fitted,
    InForce,
    IntentClassifier,
    RoutingTable,
    fit,
    in_context,
)
from app.routing.difficulty.expectation import Expectation
from app.routing.relay import relay
from app.routing.tie_break import World, tied
from app.stages import Stages


async def answer(
    question: Question, stages: Stages, draft: Draft
) -> AsyncGenerator[TurnEvent, None]:
    """Yields what happens, ending with Finished or Failed. Cancelling it closes the model call; see `stopped`."""
    draft.open_purse(stages.budgets, stages.catalogue, stages.in_pool)
    try:
        yield Progress("Searching what you can see")
        plan = await stages.in_pool(lambda: prepare(question, stages, draft))
        if isinstance(plan, Reading):
            reading = await decided(plan, stages, draft)
            plan = await stages.in_pool(lambda: planned(question, reading, stages, draft))
        if draft.found.searched:
            yield draft.found
        yield Routed(plan.intent, plan.route, plan.label)
        yield Progress(f"Asking {plan.label}")
        route = plan.route
        recorded: Awaitable[None] | None = stages.in_pool(
            lambda: stages.before_model(question, draft)
        )
        async with aclosing(ask(route, plan.call, stages, draft)) as chunks:
            async for chunk in chunks:
                if recorded is not None:
                    # What the model was sent is on record before its first word is shown.
                    await recorded
                    recorded = None
                yield chunk
        if recorded is not None:
            await recorded
        finished = conclude(draft)
        offers = await stages.in_pool(lambda: offer(question, route, finished, stages))
        if offers:
            yield Offered(offers)
        yield finished
    except SwitchboardError as problem:
        offers, fix = await stages.in_pool(partial(request_more, question, problem, stages, draft))
        error = draft.purse.polite(problem, fix)
        draft.settle(stages.catalogue.cost)
        if offers:
            yield Offered(offers)
        yield Failed(error.message, error.fix, draft.text, draft.receipt(), type(error).__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is settled before a model is asked."""

    intent: Intent
    route: Route
    label: str
    call: ModelCall


@dataclass(frozen=True, slots=True)
class Reading:
    """What a question is for, by the intents as they were when it was asked."""

    intents: InForce
    intent: Intent
    vector: NDArray[np.float32]


def prepare(question: Question, stages: Stages, draft: Draft) -> Plan | Reading:
    """The blocking stages in one go: each way to the pool and back costs more than choosing a model does. Only where two
    intents are close it ends with the reading, and a model is asked (`draft.tie`) before the rest."""
    intents = stages.intents()  # once, so that the table is of the version that named the intent
    intent, vector = understand(question, intents.classifier, stages, draft)
    reading = Reading(intents, intent, vector)
    world = World(stages.catalogue, stages.policy, stages.prompts, stages.screen)
    text, person = search_text(question), question.person
    draft.tie = tied(text, intent, intents.table, person, world, draft.purse)
    return reading if draft.tie is not None else planned(question, reading, stages, draft)


async def decided(reading: Reading, stages: Stages, draft: Draft) -> Reading:
    """With the intent that the model named; the classifier's if it named none."""
    assert draft.tie is not None
    draft.intent = await draft.tie.settled(stages.catalogue, stages.patience)
    draft.stage("tie-break")
    return replace(reading, intent=draft.intent)


def planned(question: Question, reading: Reading, stages: Stages, draft: Draft) -> Plan:
    """Everything after the intent and before the model, blocking."""
    intent, vector = reading.intent, reading.vector
    table = stages.versions.table(question.person, reading.intents.table)
    entry = table.entry(intent.name)
    draft.purse.spender = Spender.of(question.person, entry.name)
    if entry.search:
        find(question, vector, stages, draft)
    writer = Writer(stages.prompts, question, screen(question, stages, draft))
    expected = stages.difficulty.expect(entry, question.text, vector)
    found = draft.found
    fitted = decide(question, intent, table, writer, stages, draft, expected)
    while not draft.purse.secured(fitted.route.model, call := render(writer, fitted, draft)):
        draft.found = found
        fitted = decide(question, intent, table, writer, stages, draft, expected)
    route = fitted.route
    return Plan(intent, route, stages.catalogue.card(route.model).label, call)


def understand(
    question: Question, classifier: IntentClassifier, stages: Stages, draft: Draft
) -> tuple[Intent, NDArray[np.float32]]:
    vector = stages.embedder.query(search_text(question))
    draft.intent = classifier.classify(question.text, vector)
    draft.stage("understand")
    return draft.intent, vector


def find(question: Question, vector: NDArray[np.float32], stages: Stages, draft: Draft) -> Found:
    draft.found = stages.search.search(search_text(question), vector, question.person)
    draft.stage("search")
    return draft.found


def screen(question: Question, stages: Stages, draft: Draft) -> Screening:
    """Personal data and secrets in the person's own words, now and earlier in the conversation."""
    texts = [passage.text for passage in draft.found.passages]
    draft.screening = stages.screen.look(question.text, question.history, texts)
    draft.stage("screen")
    return draft.screening


def decide(
    question: Question,
    intent: Intent,
    table: RoutingTable,
    writer: Writer,
    stages: Stages,
    draft: Draft,
    expected: Expectation | None = None,
) -> Fitted:
    """The route is chosen after retrieval, so that no passage reaches a model that is not cleared for it. What no model may
    be sent is left out, or the turn ends here with NoModel."""
    passages = draft.found.passages
    try:
        draft.fitted = fit(
            writer.matter(passages),
            Choosing(
                table,
                intent,
                question.person,
                question.model_wish,
                stages.catalogue,
                stages.policy,
                needs_passages=bool(passages),
                expected=expected,
                over_budget=draft.purse.objection,
            ),
            writer.counter(table.entry(intent.name).prompt),
            stages.screen.handling.above_clearance,
            cause(screening) if (screening := draft.screening) else "",
        )
    except NoModel as error:
        if error.failing and not draft.purse.refused:
            draft.broken = table.entry(intent.name)
        raise
    draft.found = replace(draft.found, passages=draft.fitted.matter.passages)
    draft.route = draft.fitted.route
    models = (draft.route.model, *draft.route.fallbacks)
    draft.clearances = {model: stages.catalogue.card(model).clearance for model in models}
    draft.stage("choose")
    return draft.fitted


def render(writer: Writer, fitted: Fitted, draft: Draft) -> ModelCall:
    call = writer.call(fitted.route, fitted.matter)
    draft.call, draft.prompt = call, call.prompt
    return call


async def ask(
    route: Route, call: ModelCall, stages: Stages, draft: Draft
) -> AsyncGenerator[TextDelta, None]:
    """Streams from the first model of the route that answers, with the person's own values where the model wrote their
    placeholders. Raises ModelError or NoModel."""
    restorer = Restorer(draft.placeholders)
    answering = relay(
        route, call, stages.catalogue, draft.attempts, stages.patience, draft.purse.hold
    )
    async with aclosing(answering) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, ModelDone):
                continue
            if draft.first_token_ms is None:
                draft.stage("first words")
                draft.first_token_ms = draft.elapsed_ms()
            draft.said.append(chunk.text)
            if text := restorer.take(chunk.text):
                draft.parts.append(text)
                yield TextDelta(text)
    if text := restorer.rest():
        draft.parts.append(text)
        yield TextDelta(text)
    draft.settle(stages.catalogue.cost)
    draft.stage("write")


def conclude(draft: Draft) -> Finished:
    """Citations are read from what the model said: a value that is put back later may look like one."""
    cited = cite("".join(draft.said), draft.found.passages)
    cited = replace(cited, text=draft.placeholders.restore(cited.text))
    draft.finished = Finished(cited, draft.receipt())
    draft.stage("cite")
    draft.finished = Finished(cited, draft.receipt())
    return draft.finished


def offer(
    question: Question, route: Route, finished: Finished, stages: Stages
) -> tuple[Offer, ...]:
    if not route.actions:
        return ()
    return stages.actions.offers(
        route.actions,
        question.person,
        question.text,
        finished.answer.text,
        finished.receipt.passages,
        question.turn_id,
    )


def request_more(
    question: Question, problem: SwitchboardError, stages: Stages, draft: Draft
) -> tuple[tuple[Offer, ...], str]:
    """Where a budget ended the turn: the button that asks for more of it, and what to do in words."""
    standing = draft.purse.in_the_way(problem)
    if standing is None:
        return (), ""
    offered = stages.actions.more_budget(question.person, standing, question.turn_id)
    if offered is not None:
        return (offered,), "Ask again then, or request more."
    if stages.actions.waits_for_more(standing):
        return (), "Ask again then; a request for more waits for a decision."
    return (), "Ask again then."


def stopped(stages: Stages, draft: Draft) -> Stopped:
    """The end of a turn that was cancelled: what had arrived is kept, its tokens are estimated."""
    draft.settle(stages.catalogue.cost)
    draft.stage("stopped")
    return Stopped(draft.text, draft.receipt())


def search_text(question: Question) -> str:
    """A short follow-up means little alone, so it is searched with the question before it."""
    return in_context(question.text, question.history[-1].question if question.history else "")
