"""A model's opinion on which of two answers is better. It is shown as that, beside what was measured, and decides nothing.

The model is asked twice, with the answers in both orders, because models favour a place (Zheng et al. 2023, "Judging
LLM-as-a-judge", section 3.3); where the two disagree, the opinion is that neither is better.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from app.domain import DataClass, ModelCall, TextDelta, Usage
from app.draft import Draft
from app.errors import ModelError, OverBudget, SwitchboardError
from app.llm.deadline import with_deadlines
from app.llm.model import estimated
from app.records.events import BudgetBlocked, ModelCalled
from app.rehearsal.golden import Golden
from app.rehearsal.till import Till
from app.routing.voice import Attempt
from app.stages import Stages

PROMPT = "judge"
LONGEST = 120
_TAG = re.compile(r"<(?=\s*/?\s*(?:answer|question)\b)", re.IGNORECASE)
_WORD = re.compile(r"\b(FIRST|SECOND|SAME)\b[\s:.*–-]*(.*)", re.DOTALL)

Favours = Literal["before", "after", "neither", ""]
_BEFORE_FIRST: dict[str, Favours] = {"FIRST": "before", "SECOND": "after", "SAME": "neither"}
_AFTER_FIRST: dict[str, Favours] = {"FIRST": "after", "SECOND": "before", "SAME": "neither"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """`favours` is the published route's answer (before), the draft's (after), or neither; empty with an `error`. `unpaid`: a
    budget had no room for the judge."""

    favours: Favours
    says: str = ""
    error: str = ""
    model: str = ""
    cost_usd: float = 0.0
    unpaid: bool = False


class Judge:
    """For one question. `model` is of the catalogue; its gate lets nothing through that it is not cleared for. `calls` are
    what was asked and `blocked` which budgets had no room, for the log, in the name of `actor` about `subject`."""

    def __init__(self, model: str, stages: Stages, till: Till, *, actor: str, subject: str) -> None:
        self._model = model
        self._stages = stages
        self._till = till
        self._actor, self._subject = actor, subject
        self.calls: list[ModelCalled] = []
        self.blocked: list[BudgetBlocked] = []

    @property
    def spent_usd(self) -> float:
        return round(sum(call.cost_usd for call in self.calls), 8)

    async def opinion(self, golden: Golden, before: Draft, after: Draft) -> Opinion:
        """Of two finished drafts. Never raises ModelError: what went wrong is told in the Opinion."""
        try:
            first, why = await self._ask(golden, before, after)
            second, other = await self._ask(golden, after, before)
        except SwitchboardError as error:
            unpaid = isinstance(error, OverBudget)
            return Opinion("", "", error.message, self._model, self.spent_usd, unpaid)
        cost = self.spent_usd
        if not first or not second:
            return Opinion("", why or other, "It gave no verdict.", self._model, cost)
        votes = {_BEFORE_FIRST[first], _AFTER_FIRST[second]}
        if len(votes) == 1:
            return Opinion(votes.pop(), why, "", self._model, cost)
        swayed = "neither" not in votes
        said = "It changed its mind with the order of the answers." if swayed else why
        return Opinion("neither", said, "", self._model, cost)

    async def _ask(self, golden: Golden, one: Draft, other: Draft) -> tuple[str, str]:
        """FIRST, SECOND, SAME or empty, and the reason. Raises ModelError."""
        call = self._call(golden, one, other)
        attempt = Attempt(self._model, self._stages.catalogue.card(self._model).label)
        async with self._till.purse(self._subject, [attempt]) as purse:
            try:
                await purse.hold(self._model, call)
            except OverBudget:
                self._till.stop(self._subject)
                self.blocked += purse.blocked(self._actor, "failed")
                raise
            said = await self._answer(call, attempt)
        match = _WORD.search(said)
        return (match[1], " ".join(match[2].split())[:300]) if match else ("", said[:300])

    async def _answer(self, call: ModelCall, attempt: Attempt) -> str:
        """Asks, and puts the cost into `attempt`, whatever comes of it. Raises ModelError."""
        patience, model = self._stages.patience, self._stages.catalogue.model(self._model)
        stream = with_deadlines(
            model.stream(call),
            label=model.label,
            first_token_s=patience.first_token_s,
            silence_s=patience.silence_s,
        )
        said: list[str] = []
        used: Usage | None = None
        outcome = "broken off"
        try:
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    if isinstance(chunk, TextDelta):
                        said.append(chunk.text)
                    else:
                        used = chunk.usage
            outcome = "answered"
        except ModelError as error:
            outcome = error.message
            raise
        finally:
            if said or used or outcome == "broken off":
                used = used or estimated(call, "".join(said))
            called = self._called(call, outcome, used or Usage())
            self.calls.append(called)
            attempt.cost_usd = called.cost_usd
        return "".join(said)

    def _called(self, call: ModelCall, outcome: str, used: Usage) -> ModelCalled:
        return ModelCalled(
            actor=self._actor,
            subject=self._subject,
            model=self._model,
            prompt=call.prompt.name,
            prompt_version=call.prompt.version,
            prompt_sha=call.prompt.sha,
            data_class=call.data_class.label,
            outcome=outcome,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            estimated=used.estimated,
            cost_usd=self._stages.catalogue.cost(self._model, used),
        )

    def _call(self, golden: Golden, one: Draft, other: Draft) -> ModelCall:
        prompt = self._stages.prompts.render(
            PROMPT,
            question=_quoted(golden.question),
            first=_quoted(one.text),
            second=_quoted(other.text),
            must_say=[_quoted(phrase) for phrase in golden.must_say],
            must_not_say=[_quoted(phrase) for phrase in golden.must_not_say],
        )
        return ModelCall(
            prompt,
            golden.question,
            max_tokens=LONGEST,
            temperature=0.0,
            data_class=max(class_of(one), class_of(other)),
        )


def class_of(draft: Draft) -> DataClass:
    """Of an answer with the values put back: the strictest of the words as typed and of the passages it was made from."""
    classes = [passage.data_class for passage in draft.found.passages]
    if draft.screening is not None:
        classes.append(draft.screening.typed.data_class)
    return max(classes, default=DataClass.RESTRICTED)


def _quoted(text: str) -> str:
    """What is judged cannot end its quotation."""
    return _TAG.sub("‹", text)
