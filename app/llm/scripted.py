"""A model that says what it was told to, for tests and benchmarks. Part of the product.

`ScriptedModel` answers in process; scripted_server.py says the same over HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import cycle, islice

from app.domain import ModelCall, ModelChunk, ModelDone, TextDelta
from app.errors import ModelError
from app.llm.model import Continues, estimated

_WORDS = (
    "The policy says so in plain words and the passage above is where it stands. "
    "Whoever asks first gets the answer and the source along with it. "
)


def script(tokens: int, cited: bool) -> list[str]:
    """`tokens` pieces of text; with passages the last piece cites the first of them."""
    words = [f"{word} " for word in _WORDS.split()]
    pieces = list(islice(cycle(words), tokens))
    if cited and pieces:
        pieces[-1] = "[1]."
    return pieces


class ScriptedModel:
    """Answers from a script. `answer` gives the pieces for a call; `faults` are raised one by one, before the first piece
    of a call, None meaning that this call goes well. `calls` keeps what it was asked."""

    continues: Continues = "instruction"

    def __init__(
        self,
        id: str = "scripted",
        *,
        label: str = "Scripted model",
        provider: str = "scripted",
        tokens: int = 40,
        delay_ms: float = 0.0,
        answer: Callable[[ModelCall], Iterable[str]] | None = None,
        faults: Iterable[ModelError | None] = (),
    ) -> None:
        self.id, self.label, self.provider = id, label, provider
        self._delay_s = delay_ms / 1000
        self._answer = answer or (lambda call: script(tokens, bool(call.passages)))
        self._faults = deque(faults)
        self.calls: list[ModelCall] = []

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        self.calls.append(call)
        fault = self._faults.popleft() if self._faults else None
        if fault is not None:
            raise fault
        said = []
        for piece in self._answer(call):
            await asyncio.sleep(self._delay_s)
            said.append(piece)
            yield TextDelta(piece)
        yield ModelDone(estimated(call, "".join(said)))

    async def check(self) -> None:
        if self._faults and (fault := self._faults[0]) is not None:
            raise fault

    async def close(self) -> None:
        return None
