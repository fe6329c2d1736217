"""The last look before anything leaves: no model is sent a word or a passage above its clearance, whoever calls it.

Every model of the catalogue stands behind a `Gate`. The route has been chosen by clearance already; the gate checks again
what is really sent, with the clearance as it is at that moment, for first choices, fallbacks and every other caller.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import replace

from app.domain import Continuation, DataClass, Masked, ModelCall, ModelChunk
from app.errors import NotCleared
from app.llm.model import ChatModel, Continues


class Gate:
    """A ChatModel. `clearance` gives the model's clearance now, `counted` holds a place under its limits during a call."""

    def __init__(
        self,
        inner: ChatModel,
        clearance: Callable[[], DataClass],
        counted: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.inner = inner
        self._clearance = clearance
        self._counted = counted

    @property
    def id(self) -> str:
        return self.inner.id

    @property
    def label(self) -> str:
        return self.inner.label

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def continues(self) -> Continues:
        return self.inner.continues

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        """Raises NotCleared, before anything is sent, unless the call or its masked form is within the clearance, and
        ModelBusy when the model is at a limit that an admin set."""
        form = self.admitted(call)
        with self._counted():
            async with aclosing(self.inner.stream(form)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def admitted(self, call: ModelCall) -> ModelCall:
        """The call in the form that this model may be sent."""
        form = form_for(call, self._clearance())
        if form is None:
            raise NotCleared(f"{self.label} is not cleared for {call.data_class.label} data.")
        return form

    async def check(self) -> None:
        await self.inner.check()

    async def close(self) -> None:
        await self.inner.close()


def form_for(call: ModelCall, clearance: DataClass) -> ModelCall | None:
    """The call as it is, or with placeholders; None when neither is within the clearance."""
    if any(passage.data_class > clearance for passage in call.passages):
        return None
    if call.data_class <= clearance:
        return call
    masked = call.masked
    if masked is None or masked.data_class > clearance:
        return None
    return replace(
        call,
        prompt=masked.prompt,
        question=masked.question,
        data_class=masked.data_class,
        continuing=_masked(call.continuing, masked),
        masked=None,
    )


def _masked(continuing: Continuation | None, masked: Masked) -> Continuation | None:
    """The model whose answer broke off may have seen the values, and written them."""
    if continuing is None:
        return None
    text = continuing.text
    for value, mark in masked.marks.items():
        text = text.replace(value, mark)
    return replace(continuing, text=text)
