"""What a turn sends: its words and passages, fitted to a model, as one call that holds every form a model may get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.access.sensitive import Screening, Wording
from app.domain import (
    ChatMessage,
    DataClass,
    Masked,
    ModelCall,
    Passage,
    Prompt,
    Question,
    Route,
)
from app.llm.model import estimate_tokens
from app.prompts import PromptLibrary
from app.routing import Matter

NOTICE = "placeholders"
VARIABLES = frozenset({"question", "history", "passages", "name", "team"})
"""What a turn gives its prompt."""


class Writer:
    """Renders one turn's prompts. `prompt` is the name of the route's prompt."""

    def __init__(self, prompts: PromptLibrary, question: Question, screening: Screening) -> None:
        self._prompts = prompts
        self._question = question
        self._screening = screening

    def matter(self, passages: tuple[Passage, ...]) -> Matter:
        """Everything that could be sent, with the classes of the mildest form."""
        mildest = self._screening.mildest
        classes = tuple(past.data_class for past in mildest.history)
        return Matter(mildest.data_class, passages, tuple(range(len(classes))), classes)

    def counter(self, prompt: str) -> Callable[[Matter], int]:
        """Counts the tokens of the rendered prompt (estimated, see app.llm.model)."""

        def tokens(matter: Matter) -> int:
            rendered = self._prompt(prompt, self._screening.typed, matter)
            return estimate_tokens(*(message.content for message in rendered.messages))

        return tokens

    def call(self, route: Route, matter: Matter) -> ModelCall:
        """The call for a model that may see the words as typed, with the masked form for the others."""
        typed, mildest = self._screening.typed, self._screening.mildest
        call = ModelCall(
            self._prompt(route.prompt, typed, matter),
            typed.question,
            matter.passages,
            max_tokens=route.max_tokens,
            temperature=route.temperature,
            data_class=_class(typed, matter),
        )
        if mildest is typed:
            return call
        masked = Masked(
            self._noticed(self._prompt(route.prompt, mildest, matter)),
            mildest.question,
            _class(mildest, matter),
            self._screening.placeholders.by_value,
        )
        return replace(call, masked=masked)

    def _prompt(self, prompt: str, wording: Wording, matter: Matter) -> Prompt:
        person = self._question.person
        return self._prompts.render(
            prompt,
            question=wording.question,
            history=tuple(wording.history[index] for index in matter.history),
            passages=matter.passages,
            name=person.name,
            team=person.team,
        )

    def _noticed(self, prompt: Prompt) -> Prompt:
        """With a paragraph in the system message on what placeholders are."""
        notice = self._prompts.render(NOTICE, marks=self._screening.placeholders.marks)
        first, *rest = prompt.messages
        text = f"{first.content}\n\n{notice.messages[0].content}"
        return replace(prompt, messages=(ChatMessage(first.role, text), *rest))


def cause(screening: Screening) -> str:
    """What in the question raised its class, for the sentence of a refusal; empty when nothing did."""
    kinds = sorted({kind.label for kind in screening.raising})
    if not kinds:
        return ""
    *most, last = kinds
    return f"the {', '.join(most)} and {last} in it" if most else f"the {last} in it"


def _class(wording: Wording, matter: Matter) -> DataClass:
    """Of the question and the exchanges that are sent with it."""
    return max(
        (wording.data_class, *(wording.history[index].data_class for index in matter.history))
    )
