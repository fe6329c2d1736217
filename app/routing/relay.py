"""Ask the models of a route until one has answered.

Before the first word the next model takes over in order, or, hedged, is asked in parallel once the first has been silent for
long; whoever speaks first answers and the other's connection is closed. After the first word an answer that breaks off is an
interruption, which keeps the text, or is finished by the next model where the intent allows it. Only models of the route are
ever asked: they alone are cleared for the question and its passages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.domain import Continuation, ModelCall, ModelChunk, Route, TextDelta
from app.errors import ModelError, NoModel
from app.routing.catalogue import Catalogue
from app.routing.voice import Attempt, Hold, Voice, unpaid

QUEUE_SHARE = 0.5  # of the first-token deadline; the rest is the model's own
UNKNOWN_SHARE = 0.5  # of the deadline stands for a model's usual time until enough is known of it


@dataclass(frozen=True, slots=True)
class Patience:
    """What holds for every route that does not say otherwise: deadlines in seconds, the hedge's share, and the instruction
    that a model is given to finish another's answer."""

    first_token_s: float
    silence_s: float
    hedge: float = 0.0
    instruction: str = ""


async def relay(
    route: Route,
    call: ModelCall,
    catalogue: Catalogue,
    attempts: list[Attempt],
    patience: Patience,
    hold: Hold = unpaid,
) -> AsyncGenerator[ModelChunk, None]:
    """Yields the chunks of an answer, one ModelDone last, and appends every model asked to `attempts`. `hold` is waited for
    before each of them.

    Raises the ModelError of a model that refused or broke off after its first word, and NoModel when none said a word.
    """
    race = _Race(route, catalogue, attempts, patience, hold)
    said: list[str] = []
    broke_off: ModelError | None = None
    try:
        while True:
            voice = await race.next_voice(call, broke_off)
            try:
                async with aclosing(voice.chunks()) as chunks:
                    async for chunk in chunks:
                        if isinstance(chunk, TextDelta):
                            said.append(chunk.text)
                        yield chunk
                return
            except ModelError as error:
                if not (said and error.retryable and route.resilience.continuation):
                    raise
                broke_off = error
                continuing = Continuation("".join(said), patience.instruction)
                call = replace(call, continuing=continuing)
    finally:
        race.over()


class _Race:
    """The models of one route: those that have not been asked yet, and the one or two that are being asked."""

    def __init__(
        self,
        route: Route,
        catalogue: Catalogue,
        attempts: list[Attempt],
        patience: Patience,
        hold: Hold,
    ) -> None:
        self._hold = hold
        self._waiting = [route.model, *route.fallbacks]
        self._catalogue = catalogue
        self._attempts = attempts
        self._voices: list[Voice] = []
        self._left_out: list[str] = []
        own = route.resilience
        self._first_token_s = own.first_token_s or patience.first_token_s
        self._silence_s = own.silence_s or patience.silence_s
        self._hedge = patience.hedge if own.hedge is None else own.hedge

    async def next_voice(self, call: ModelCall, broke_off: ModelError | None) -> Voice:
        """The next model to say a word. Raises ModelRefused when one declines; when none is left, the error of the answer that
        is to be continued, or NoModel."""
        call = replace(call, queue_s=self._first_token_s * QUEUE_SHARE)
        while (voice := self._admitted(call)) is not None:
            try:
                return await (self._hedged(voice, call) if self._hedge else voice.begin())
            except ModelError as error:
                if not error.retryable and broke_off is None:
                    raise
            finally:
                self._attempts[:] = [one for one in self._attempts if one.asked]
        if broke_off is not None:
            raise broke_off
        told = [f"{v.attempt.label}: {v.attempt.error}" for v in self._voices]
        tried = "; ".join([*told, *self._left_out])
        raise NoModel(f"No model could answer. {tried}", fix="Try again in a minute.")

    def over(self) -> None:
        for voice in self._voices:
            voice.let_go()

    def _admitted(self, call: ModelCall) -> Voice | None:
        """The next model that can be asked and that its breaker admits."""
        while self._waiting:
            model_id = self._waiting.pop(0)
            label = self._catalogue.card(model_id).label
            model = self._catalogue.model(model_id)
            if call.continuing is not None and not model.continues:
                continue
            if objection := self._catalogue.health.admit(model_id):
                self._left_out.append(f"{label}: {objection}")
                continue
            attempt = Attempt(model_id, label)
            self._attempts.append(attempt)
            voice = Voice(
                model,
                attempt,
                call,
                self._catalogue.health,
                first_token_s=self._first_token_s,
                silence_s=self._silence_s,
                hold=self._hold,
            )
            self._voices.append(voice)
            return voice
        return None

    async def _hedged(self, first: Voice, call: ModelCall) -> Voice:
        """`first`, or the model after it if that speaks sooner. Raises the last error when both fail."""
        racing = {asyncio.create_task(first.begin()): first}
        winner: Voice | None = None
        try:
            await asyncio.wait(racing, timeout=self._hedge * self._usual_s(first))
            if not any(task.done() for task in racing) and (second := self._admitted(call)):
                racing[asyncio.create_task(second.begin())] = second
            while winner is None:
                done, _ = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
                errors = [task.exception() for task in racing if task in done]
                winner = next((racing[t] for t in racing if t in done and not t.exception()), None)
                if winner is None:
                    racing = {task: racing[task] for task in racing if task not in done}
                    _give_up(errors, last=not racing)
            return winner
        finally:
            await _close(racing, winner)

    def _usual_s(self, voice: Voice) -> float:
        usual = self._catalogue.health.usual_first_token_s(voice.attempt.model)
        return self._first_token_s * UNKNOWN_SHARE if usual is None else usual


def _give_up(errors: list[BaseException | None], *, last: bool) -> None:
    """Raises a refusal at once, and any other error when nobody is left to wait for."""
    for error in errors:
        if error is not None and (last or not getattr(error, "retryable", False)):
            raise error


async def _close(racing: dict[asyncio.Task[Voice], Voice], winner: Voice | None) -> None:
    """Cancels whoever did not win and waits until their connections are closed."""
    losers = {task: voice for task, voice in racing.items() if voice is not winner}
    for task in losers:
        task.cancel()
    await asyncio.gather(*losers, return_exceptions=True)
    for voice in losers.values():
        await voice.lost(winner.attempt.label if winner else "")
