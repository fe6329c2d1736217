"""Ask the models of a route in order until one says its first word. The reader never sees a half answer twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from app.domain import ModelCall, ModelChunk, ModelDone, Route, TextDelta
from app.errors import ModelError, NoModel
from app.llm.deadline import with_deadlines
from app.routing.catalogue import Catalogue


@dataclass
class Attempt:
    """One model that was asked; `error` is empty when it answered."""

    model: str
    label: str
    error: str = ""


async def relay(
    route: Route,
    call: ModelCall,
    catalogue: Catalogue,
    attempts: list[Attempt],
    *,
    first_token_s: float,
    silence_s: float,
) -> AsyncIterator[ModelChunk]:
    """Yields the chunks of the first model that answers and appends every model tried to `attempts`.

    Raises the ModelError of a model that broke off after its first word or refused, and NoModel when all failed before.
    """
    for model_id in (route.model, *route.fallbacks):
        label = catalogue.card(model_id).label
        attempt = Attempt(model_id, label)
        attempts.append(attempt)
        spoke = False
        try:
            stream = catalogue.model(model_id).stream(call)
            timed = with_deadlines(
                stream, label=label, first_token_s=first_token_s, silence_s=silence_s
            )
            async with aclosing(timed) as chunks:
                async for chunk in chunks:
                    spoke = spoke or (isinstance(chunk, TextDelta) and bool(chunk.text))
                    if isinstance(chunk, ModelDone):
                        catalogue.health.succeeded(model_id)
                    yield chunk
            return
        except ModelError as error:
            attempt.error = error.message
            catalogue.health.failed(model_id, error)
            if spoke or not error.retryable:
                raise
    tried = "; ".join(f"{attempt.label}: {attempt.error}" for attempt in attempts)
    raise NoModel(f"No model could answer. {tried}", fix="Try again in a minute.")
