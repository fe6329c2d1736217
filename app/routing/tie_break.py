"""Two intents that are about as likely: one small call asks a model which of them a question is for, where the routing table
says so (`tie_break`). Off otherwise, and never for a question whose likeliest intent is clearly ahead.

The words are sent with placeholders for personal data, and only to a model that is cleared for them as typed. What goes wrong,
goes wrong quietly: without a usable answer in time the classifier's choice stands, and the receipt says why.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from app.access.sensitive import Screen
from app.budgets import Spender
from app.domain import DataClass, Intent, ModelCall, Person, Route, SecondOpinion, TextDelta
from app.errors import NoModel, SwitchboardError
from app.llm.model import prompt_tokens
from app.prompts import PromptLibrary
from app.routing.catalogue import Catalogue
from app.routing.choice import ModelPolicy, choose
from app.routing.prices import at_most
from app.routing.relay import Patience, relay
from app.routing.spending import Purse
from app.routing.table import RouteEntry, RoutingTable, TieBreak
from app.routing.voice import Attempt

PROMPT = "tie_break"
LONGEST_QUESTION = 2_000  # characters: what a question is for is told by its beginning
ANSWER_TOKENS = 16
EXAMPLES = 6  # of each intent
_TAG = re.compile(r"<(?=\s*/?\s*(?:question|topic)\b)", re.IGNORECASE)
_MARKS = " \t\r\n.:*\"'`“”()[]"


@dataclass(frozen=True, slots=True)
class World:
    """What a tie needs of the desk."""

    catalogue: Catalogue
    policy: ModelPolicy
    prompts: PromptLibrary
    screen: Screen


@dataclass
class Tie:
    """`pair` are the two intents in the order in which the model is shown them, which says nothing of their rank. `attempts`
    are filled while it is asked, so that a turn that ends meanwhile knows what it costs."""

    intent: Intent
    pair: tuple[RouteEntry, RouteEntry]
    deadline_s: float
    purse: Purse
    attempts: list[Attempt] = field(default_factory=list)
    call: ModelCall | None = None
    route: Route | None = None
    why_not: str = ""

    async def settled(self, catalogue: Catalogue, patience: Patience) -> Intent:
        """The intent that the model named, or the classifier's own; never raises SwitchboardError."""
        if self.route is None or self.call is None:
            return self._stands("", "", self.why_not)
        model = self.route.model
        label = catalogue.card(model).label
        said, why = await self._answer(self.route, self.call, catalogue, patience)
        cost = sum(catalogue.cost(model, used) for one in self.attempts if (used := one.used()))
        named = self._named(said) if not why else None
        if named is None:
            return self._stands(model, label, why or "it named neither of the two", cost)
        opinion = SecondOpinion(model, label, named.name, cost_usd=cost)
        if named.name == self.intent.name:
            return replace(self.intent, chosen_by="model", opinion=opinion)
        return replace(
            self.intent,
            name=named.name,
            label=named.label,
            score=self.intent.runner_up_score,
            runner_up=self.intent.name,
            runner_up_score=self.intent.score,
            chosen_by="model",
            opinion=opinion,
        )

    async def _answer(
        self, route: Route, call: ModelCall, catalogue: Catalogue, patience: Patience
    ) -> tuple[str, str]:
        """What it said, or why it said nothing. The deadline is not the model's own: to be slower than this says nothing
        about its health."""
        said: list[str] = []
        patience = replace(patience, hedge=0.0)
        try:
            async with (
                asyncio.timeout(self.deadline_s),
                aclosing(
                    relay(route, call, catalogue, self.attempts, patience, self.purse.hold)
                ) as chunks,
            ):
                async for chunk in chunks:
                    if isinstance(chunk, TextDelta):
                        said.append(chunk.text)
        except TimeoutError:
            late = f"it gave no answer within {self.deadline_s:g} seconds"
            for attempt in self.attempts:
                attempt.note = attempt.note or late
            return "", late
        except SwitchboardError as error:
            return "", error.message.rstrip(".")
        return "".join(said), ""

    def _named(self, said: str) -> RouteEntry | None:
        """Its number or its name and no more: whoever says more has not understood, or was talked into it."""
        word = said.strip(_MARKS).casefold()
        for number, entry in enumerate(self.pair, 1):
            if word in (str(number), entry.label.casefold()):
                return entry
        return None

    def _stands(self, model: str, label: str, why: str, cost: float = 0.0) -> Intent:
        return replace(self.intent, opinion=SecondOpinion(model, label, "", why, cost))


def is_close(intent: Intent, settings: TieBreak | None) -> bool:
    """Whether both are believed and lie within the margin. What no intent claims is no tie."""
    return (
        settings is not None
        and intent.chosen_by == "examples"
        and round(intent.score - intent.runner_up_score, 4) <= settings.margin
    )


def tied(
    text: str, intent: Intent, table: RoutingTable, person: Person, world: World, purse: Purse
) -> Tie | None:
    """Blocking: chooses the model and writes the call, and asks nothing. None where no two intents are close. `text` is the
    question as it is searched for. The call counts for the intent that the question may yet turn out not to be for."""
    settings = table.tie_break
    if settings is None or not is_close(intent, settings):
        return None
    one, other = sorted(
        (table.entry(intent.name), table.entry(intent.runner_up)), key=lambda entry: entry.name
    )
    attempts: list[Attempt] = []
    purse = purse.aside(Spender.of(person, intent.name), attempts)
    tie = Tie(intent, (one, other), settings.deadline_s, purse, attempts)
    tie.call = _call(text, tie.pair, world)
    try:
        route = _route(tie.call, settings, person, world, purse)
    except NoModel as error:
        told = "; ".join(f"{world.catalogue.missing(m)[0]}: {r}" for m, r in error.reasons.items())
        tie.why_not = f"no model may be asked ({told})" if told else "no model may be asked"
        return tie
    tie.route = replace(route, fallbacks=())
    return tie


def _call(text: str, pair: tuple[RouteEntry, RouteEntry], world: World) -> ModelCall:
    screening = world.screen.look(text)
    question = screening.mildest.question[:LONGEST_QUESTION]
    first, second = (
        {"label": _quoted(e.label), "examples": [_quoted(x) for x in e.examples[:EXAMPLES]]}
        for e in pair
    )
    prompt = world.prompts.render(PROMPT, question=_quoted(question), first=first, second=second)
    return ModelCall(
        prompt,
        question,
        max_tokens=ANSWER_TOKENS,
        temperature=0.0,
        # The examples are the company's own words.
        data_class=max(screening.typed.data_class, DataClass.INTERNAL),
    )


def _route(
    call: ModelCall, settings: TieBreak, person: Person, world: World, purse: Purse
) -> Route:
    """The cheapest that may be asked, by the rules for every call; one without a price comes last. Raises NoModel."""
    cards = {c.id: c for name in settings.models for c in world.catalogue.expand(name)}
    cheapest = sorted(
        cards, key=lambda id: (not cards[id].price_known, at_most(cards[id], call).total)
    )
    entry = RouteEntry(
        name=PROMPT,
        label="Which of two intents",
        prompt=PROMPT,
        models=tuple(cheapest) or settings.models,
        search=False,
        examples=("", "", ""),
        temperature=0.0,
        max_tokens=ANSWER_TOKENS,
        hedge=0.0,
    )
    return choose(
        RoutingTable((entry,), 0.0),
        Intent(PROMPT, entry.label, 1.0, "", 0.0),
        person,
        call.data_class,
        None,
        world.catalogue,
        world.policy,
        needs_passages=False,
        prompt_tokens=prompt_tokens(call),
        over_budget=purse.objection,
    )


def _quoted(text: str) -> str:
    """What is sorted cannot end its quotation."""
    return _TAG.sub("‹", text).replace('"', "'")
