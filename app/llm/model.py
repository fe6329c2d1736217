"""What every adapter is, and the token estimate for servers that report no usage."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from app.domain import ChatMessage, ModelCall, ModelChunk, Usage

_CHARACTERS_PER_TOKEN = 3.8  # English prose with common BPE vocabularies lies between 3.5 and 4.5


Continues = Literal["", "prefill", "instruction"]


class ChatModel(Protocol):
    """One model that answers. Adapters raise only `ModelError` and its subclasses."""

    @property
    def continues(self) -> Continues:
        """How it finishes another model's answer: speaking on from the last character, told to go on, or not at all."""
        ...

    @property
    def id(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def provider(self) -> str: ...

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        """TextDelta… and one ModelDone at the end. Closing the generator, or cancelling the task that waits on it, ends the
        call at the provider."""
        ...

    async def check(self) -> None:
        """A tiny real call. Returns if the model answers, raises ModelError if not."""
        ...

    async def close(self) -> None: ...


def messages(call: ModelCall, how: Continues) -> list[ChatMessage]:
    """What is said to the model. A continuation ends with the answer so far, followed by the instruction unless the model
    speaks on by itself."""
    said = list(call.prompt.messages)
    if call.continuing is not None:
        said.append(ChatMessage("assistant", call.continuing.text.rstrip()))
        if how != "prefill":
            said.append(ChatMessage("user", call.continuing.instruction))
    return said


def estimate_tokens(*texts: str) -> int:
    """A rough count for budgets and for servers without usage; never billed as if it were exact."""
    return sum(tokens_of(len(text)) for text in texts)


def tokens_of(characters: int) -> int:
    return max(1, round(characters / _CHARACTERS_PER_TOKEN)) if characters else 0


def prompt_tokens(call: ModelCall) -> int:
    return estimate_tokens(*(message.content for message in messages(call, "instruction")))


def estimated(call: ModelCall, answer: str) -> Usage:
    return Usage(prompt_tokens(call), estimate_tokens(answer), estimated=True)
