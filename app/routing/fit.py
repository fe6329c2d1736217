"""What of a turn's material is sent: everything where a model is cleared for it and can hold it, otherwise less of it, by
policy, and said. Nothing here weakens a check: each smaller selection goes through `choose` again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from app.domain import DataClass, Intent, Passage, Person, Route
from app.errors import NoModel
from app.routing.catalogue import Catalogue
from app.routing.choice import (
    ANSWER_TOKENS,
    BudgetCheck,
    ModelPolicy,
    choose,
    largest_context,
    no_budget,
)
from app.routing.difficulty.expectation import Expectation
from app.routing.table import RoutingTable

Above = Literal["drop", "refuse"]


@dataclass(frozen=True, slots=True)
class Matter:
    """What a turn would send. `question` is the class of its words (with placeholders where they may be used); passages are
    in the order of their worth. `history` are the numbers of the earlier exchanges, oldest first; `classes` has the class of
    each exchange by its number."""

    question: DataClass
    passages: tuple[Passage, ...] = ()
    history: tuple[int, ...] = ()
    classes: tuple[DataClass, ...] = ()

    @property
    def data_class(self) -> DataClass:
        return max((self.question, *self._classes()))

    def up_to(self, level: DataClass) -> Matter:
        return replace(
            self,
            passages=tuple(p for p in self.passages if p.data_class <= level),
            history=tuple(n for n in self.history if self.classes[n] <= level),
        )

    def levels(self, above: Above) -> Iterator[DataClass]:
        """The class of everything, then each lower one that leaves something out."""
        yield self.data_class
        if above == "drop":
            lower = {self.question, *self._classes()} - {self.data_class}
            yield from sorted((c for c in lower if c >= self.question), reverse=True)

    def shorter(self) -> Matter | None:
        """Without the least of it: the passage of the lowest rank, then the oldest exchange; None when nothing is left."""
        if self.passages:
            return replace(self, passages=self.passages[:-1])
        if self.history:
            return replace(self, history=self.history[1:])
        return None

    def _classes(self) -> Iterator[DataClass]:
        yield from (p.data_class for p in self.passages)
        yield from (self.classes[number] for number in self.history)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The route and what is sent on it. `dropped` counts passages above the class by their class label, `forgotten` exchanges,
    `trimmed` passages and exchanges that did not fit into the context."""

    route: Route
    matter: Matter
    dropped: Mapping[str, int] = field(default_factory=dict)
    forgotten: int = 0
    trimmed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Choosing:
    """`choose` for one question, asked again for each selection of what is sent."""

    table: RoutingTable
    intent: Intent
    person: Person
    wish: str | None
    catalogue: Catalogue
    policy: ModelPolicy
    needs_passages: bool
    expected: Expectation | None = None
    over_budget: BudgetCheck = no_budget

    def route(self, data_class: DataClass, tokens: int) -> Route:
        """Raises NoModel."""
        return choose(
            self.table,
            self.intent,
            self.person,
            data_class,
            self.wish,
            self.catalogue,
            self.policy,
            self.needs_passages,
            prompt_tokens=tokens,
            expected=self.expected,
            over_budget=self.over_budget,
        )

    def room(self, data_class: DataClass) -> int:
        """Tokens of the largest context among the models that may answer; 0 for no model."""
        return largest_context(
            self.table,
            self.intent,
            self.person,
            data_class,
            self.wish,
            self.catalogue,
            self.policy,
            self.needs_passages,
            self.over_budget,
        )


def fit(
    matter: Matter,
    choosing: Choosing,
    tokens: Callable[[Matter], int],
    above: Above,
    cause: str = "",
) -> Fitted:
    """The most of `matter` that some model may and can be sent. `tokens` counts the prompt made of it; `cause` names what in
    the question raised its class ("the password in your question").

    Raises NoModel when there is none for any part of it: nothing is sent then.
    """
    refusal: NoModel | None = None
    for level in matter.levels(above):
        part = matter.up_to(level)
        try:
            return _told(matter, part, part, choosing.route(level, tokens(part)))
        except NoModel as error:
            refusal = refusal or error
        short = _shortened(part, choosing.room(level) - ANSWER_TOKENS, tokens)
        if short is not None:
            return _told(matter, part, short, choosing.route(short.data_class, tokens(short)))
    assert refusal is not None
    if matter.data_class > DataClass.PUBLIC and choosing.room(DataClass.PUBLIC):
        raise _not_cleared(matter, cause, refusal) from None
    raise refusal


def _not_cleared(matter: Matter, cause: str, refusal: NoModel) -> NoModel:
    """The refusal whose cause is the class, said so that the person knows what to change."""
    level = matter.data_class.label
    if cause and matter.question == matter.data_class:
        why, way = cause, "Take it out and ask again, or"
    elif matter.question == matter.data_class:
        why, way = "your question", "Ask another model, or"
    else:
        why, way = "what was found for your question", "Ask without it, or"
    told = "; ".join(f"{model}: {reason}" for model, reason in refusal.reasons.items())
    return NoModel(
        f"Nothing was sent: {why} counts as {level}, and no model that may answer is cleared for"
        f" {level} data. {told}.",
        reasons=refusal.reasons,
        failing=refusal.failing,
        fix=f"{way} ask your Switchboard admin for a model that is cleared for it.",
    )


def _shortened(part: Matter, room: int, tokens: Callable[[Matter], int]) -> Matter | None:
    """`part` cut down to `room` tokens; None when that is no way out."""
    short: Matter | None = part
    while room > 0 and short is not None and tokens(short) > room:
        short = short.shorter()
    return short if room > 0 and short is not part else None


def _told(whole: Matter, part: Matter, sent: Matter, route: Route) -> Fitted:
    left = Counter(p.data_class.label for p in whole.passages if p not in part.passages)
    forgotten = len(whole.history) - len(part.history)
    trimmed = len(part.passages) - len(sent.passages) + len(part.history) - len(sent.history)
    why = []
    if left or forgotten:
        why.append(
            f"no model that may answer is cleared for {whole.data_class.label} data,"
            f" so what is above {part.data_class.label} was left out"
        )
    if trimmed:
        why.append("the prompt was longer than the models that may answer can read")
    reason = "; ".join(why)
    return Fitted(route, sent, dict(left), forgotten, trimmed, reason)
