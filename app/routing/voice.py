"""One model that is being asked: until its first token, and from there to the end of its part of the answer.

What it does is told to its circuit breaker, and kept in its `Attempt` for the receipt.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from app.domain import ModelCall, ModelChunk, ModelDone, TextDelta, Usage
from app.errors import ModelBusy, ModelError, ModelRateLimited, ModelUnavailable, OverBudget
from app.llm.deadline import with_deadlines
from app.llm.model import prompt_tokens, tokens_of
from app.llm.seam import Seam
from app.routing.gate import Gate
from app.routing.health import Health

Hold = Callable[[str, ModelCall], Awaitable[None]]
"""Makes sure that a model (by id) can be paid for this call before it is asked. Raises OverBudget."""


async def unpaid(model_id: str, call: ModelCall) -> None:
    """Where no budget is kept."""


@dataclass
class Attempt:
    """One model of a route. `error` is empty unless it failed, `note` says what else there is to say; `asked` is False as long as
    no request was made. It was sent about `sent` tokens and wrote `wrote` characters; `usage` is None until it is known."""

    model: str
    label: str
    error: str = ""
    note: str = ""
    asked: bool = False
    sent: int = 0
    wrote: int = 0
    usage: Usage | None = None
    cost_usd: float = 0.0

    def used(self) -> Usage | None:
        """What it said it used; estimated if it did not say, and answered or broke off in mid-answer. None when nothing is due."""
        if self.usage is None and self.asked and (self.wrote or not self.error):
            return Usage(self.sent, tokens_of(self.wrote), estimated=True)
        return self.usage


class Voice:
    """`begin` waits for the first token, `chunks` gives the part. Deadlines are in seconds."""

    def __init__(
        self,
        model: Gate,
        attempt: Attempt,
        call: ModelCall,
        health: Health,
        *,
        first_token_s: float,
        silence_s: float,
        hold: Hold,
    ) -> None:
        self.attempt = attempt
        self._hold = hold
        self._model, self._call, self._health = model, call, health
        self._first_token_s, self._silence_s = first_token_s, silence_s
        self._stream: AsyncGenerator[ModelChunk, None] | None = None
        self._first: ModelChunk | None = None
        self._seam: Seam | None = None
        self._began = 0.0
        self._told = False

    async def begin(self) -> Voice:
        """Raises ModelError when there is no first token in time, and OverBudget before anything is asked."""
        await self._paid()
        self._began = time.monotonic()
        self._stream = with_deadlines(
            self._model.stream(self._call),
            label=self.attempt.label,
            first_token_s=self._first_token_s,
            silence_s=self._silence_s,
        )
        try:
            self._seam = self._sewn()
            self._first = await anext(self._stream, None)
        except ModelError as error:
            self._failed(error)
            raise
        if self._first is None:
            silent = ModelUnavailable(f"{self.attempt.label} sent no answer.", detail="no chunk")
            self._failed(silent)
            raise silent
        self._health.spoke(self.attempt.model, time.monotonic() - self._began)
        return self

    async def chunks(self) -> AsyncGenerator[ModelChunk, None]:
        """From the first chunk to ModelDone; in a continuation, without what was already written. Raises ModelError."""
        seam = self._seam
        try:
            async for chunk in self._all():
                if isinstance(chunk, TextDelta):
                    if text := seam.take(chunk.text) if seam else chunk.text:
                        yield self._wrote(text)
                    continue
                if seam and (rest := seam.rest()):
                    yield self._wrote(rest)
                self._finished(chunk)
                yield chunk
        except ModelError as error:
            if seam and (rest := seam.rest()):
                yield self._wrote(rest)
            self._failed(error)
            raise

    async def _paid(self) -> None:
        try:
            await self._hold(self.attempt.model, self._call)
        except ModelError as error:
            self._failed(error)
            raise
        self.attempt.asked, self.attempt.sent = True, prompt_tokens(self._call)

    async def lost(self, winner: str) -> None:
        """Another model, labelled `winner`, was quicker: closes the connection. What it had read is paid for all the same."""
        if self._stream is None:
            return
        await self._stream.aclose()
        if self._told or not winner:
            return
        self._told = True
        self.attempt.note = f"asked in parallel; {winner} spoke first"
        self.attempt.usage = Usage(self.attempt.sent, 0, estimated=True)
        self._health.outpaced(self.attempt.model, time.monotonic() - self._began)

    def let_go(self) -> None:
        """The turn is over. If it ended before the model did, that says nothing about the model."""
        if not self._told:
            self._health.let_go(self.attempt.model)

    async def _all(self) -> AsyncGenerator[ModelChunk, None]:
        assert self._stream is not None
        assert self._first is not None
        async with aclosing(self._stream):
            yield self._first
            async for chunk in self._stream:
                yield chunk

    def _sewn(self) -> Seam | None:
        """To the words as this model is sent them: with placeholders, if it may not see the values. Raises NotCleared."""
        continuing = self._model.admitted(self._call).continuing
        if continuing is None:
            return None
        return Seam(continuing.text, exact=self._model.continues == "prefill")

    def _wrote(self, text: str) -> TextDelta:
        self.attempt.wrote += len(text)
        return TextDelta(text)

    def _finished(self, done: ModelDone) -> None:
        self.attempt.usage = done.usage
        self._told = True
        self._health.succeeded(self.attempt.model)

    def _failed(self, error: ModelError) -> None:
        """A model that had no free connection, or that would only have said that its limit is reached, was not asked."""
        foreseen = isinstance(error, ModelRateLimited) and error.foreseen
        self.attempt.asked = not (foreseen or isinstance(error, ModelBusy | OverBudget))
        self.attempt.error = error.message
        self._told = True
        self._health.failed(self.attempt.model, error)
