"""Which model answers: the intent's preference, filtered, with a reason for every model that was left out.

Nothing here can send a question to a model below its data class: `_objection` is asked for every candidate, whether the
table names it or the person picked it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain import DataClass, Decision, Intent, ModelDecision, Person, Route
from app.errors import NoModel
from app.routing.cards import ModelCard
from app.routing.catalogue import Catalogue
from app.routing.difficulty.expectation import Expectation
from app.routing.difficulty.order import reordered
from app.routing.table import RouteEntry, RoutingTable

AUTO = "auto"
BUT = "you picked it, but "
ANSWER_TOKENS = 800  # kept free for the answer


class ModelPolicy(Protocol):
    """What choosing needs of app.access.Policy."""

    def use_model(
        self,
        person: Person,
        model_id: str,
        provider: str,
        local: bool,
        audience: Sequence[str] = (),
    ) -> Decision: ...


BudgetCheck = Callable[[ModelCard, int, int], str]
"""Why a budget has no room for a model's answer, from the tokens of prompt and answer; empty where there is room."""


def no_budget(_card: ModelCard, _prompt_tokens: int, _answer_tokens: int) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Everything a candidate is judged by."""

    person: Person
    data_class: DataClass
    entry: RouteEntry
    needs_passages: bool
    prompt_tokens: int
    catalogue: Catalogue
    policy: ModelPolicy
    over_budget: BudgetCheck


def choose(
    table: RoutingTable,
    intent: Intent,
    person: Person,
    data_class: DataClass,
    wish: str | None,
    catalogue: Catalogue,
    policy: ModelPolicy,
    needs_passages: bool,
    *,
    prompt_tokens: int = 0,
    expected: Expectation | None = None,
    over_budget: BudgetCheck = no_budget,
) -> Route:
    """The route of one question; asking changes nothing. `wish` is a model id picked by hand, or None or "auto"; `needs_passages` says that the
    answer rests on passages; `prompt_tokens` is what is known of the prompt's length. `expected` reorders the models of the table
    that may answer; it adds and removes none.

    Raises NoModel, with a reason for each model, when none may and can answer.
    """
    entry = table.entry(intent.name)
    asked = _Asked(
        person, data_class, entry, needs_passages, prompt_tokens, catalogue, policy, over_budget
    )
    picked = None if wish in (None, "", AUTO) else wish
    decisions = [*_wish(picked, asked), *_listed(asked, picked)]
    why = ""
    if expected is not None:
        decisions, why = reordered(decisions, picked, expected, catalogue, prompt_tokens)
    allowed = [decision for decision in decisions if decision.allowed]
    if not allowed:
        raise _nothing(entry, decisions)
    return Route(
        intent=entry.name,
        model=allowed[0].model,
        fallbacks=tuple(decision.model for decision in allowed[1:]),
        prompt=entry.prompt,
        reason=_reason(allowed[0], decisions, picked, entry, why),
        decisions=tuple(decisions),
        data_class=data_class,
        search=entry.search,
        actions=entry.actions,
        temperature=entry.temperature,
        max_tokens=entry.max_tokens,
        version=entry.version,
        canary=entry.canary,
        arm=entry.arm,
        resilience=entry.resilience,
    )


def largest_context(
    table: RoutingTable,
    intent: Intent,
    person: Person,
    data_class: DataClass,
    wish: str | None,
    catalogue: Catalogue,
    policy: ModelPolicy,
    needs_passages: bool,
    over_budget: BudgetCheck = no_budget,
) -> int:
    """Tokens that the roomiest model can read of those that would answer a short prompt of this class; 0 for none."""
    entry = table.entry(intent.name)
    asked = _Asked(person, data_class, entry, needs_passages, 0, catalogue, policy, over_budget)
    picked = None if wish in (None, "", AUTO) else wish
    decisions = [*_wish(picked, asked), *_listed(asked, picked)]
    return max((catalogue.card(d.model).context_tokens for d in decisions if d.allowed), default=0)


def _wish(picked: str | None, asked: _Asked) -> Iterator[ModelDecision]:
    """The model picked by hand comes first, if it may and can answer."""
    if picked is None:
        return
    card = asked.catalogue.find(picked)
    if card is None:
        yield ModelDecision(picked, picked, False, f"{BUT}there is no such model")
        return
    problem = _objection(card, asked)
    reason = f"{BUT}{problem}" if problem else "you picked it"
    yield ModelDecision(card.id, card.label, not problem, reason)


def _listed(asked: _Asked, picked: str | None) -> Iterator[ModelDecision]:
    seen = {picked}
    for name in asked.entry.models:
        cards = asked.catalogue.expand(name)
        if not cards:
            label, why = asked.catalogue.missing(name)
            yield ModelDecision(name, label, False, why)
        for card in cards:
            if card.id in seen:
                continue
            seen.add(card.id)
            problem = _objection(card, asked)
            fits = f"cleared for {asked.data_class.label} data, allowed and healthy"
            failing = bool(problem) and problem == asked.catalogue.health.objection(card.id)
            yield ModelDecision(card.id, card.label, not problem, problem or fits, failing)


def _objection(card: ModelCard, asked: _Asked) -> str:
    """Why this model may not or cannot answer; empty when it may. Budgets come last: one is named only where nothing else is in the way."""
    if not card.enabled:
        return "an admin switched it off"
    if card.retired:
        return f"it was retired on {card.retired_on:%d %B %Y}"
    if card.clearance < asked.data_class:
        return (
            f"it is cleared for {card.clearance.label} data only, and this is "
            f"{asked.data_class.label}"
        )
    if asked.needs_passages and not card.grounded:
        return "it cannot be trusted to answer from documents"
    if card.needs_passages and not asked.entry.search:
        return "it only quotes documents, and this needs none"
    if card.context_tokens < asked.prompt_tokens + ANSWER_TOKENS:
        return f"the question is longer than the {card.context_tokens:,} tokens it can read"
    if unhealthy := asked.catalogue.health.objection(card.id):
        return unhealthy
    if full := asked.catalogue.limits.objection(card):
        return full
    decision = asked.policy.use_model(
        asked.person, card.id, card.provider, card.local, card.audience
    )
    if not decision.allowed:
        return decision.reason or "no policy allows it"
    return asked.over_budget(card, asked.prompt_tokens, asked.entry.max_tokens)


def _reason(
    first: ModelDecision,
    decisions: list[ModelDecision],
    picked: str | None,
    entry: RouteEntry,
    why: str,
) -> str:
    if first.model == picked:
        return f"You picked {first.label}."
    before = [d for d in decisions[: decisions.index(first)] if not d.allowed]
    place = "First choice" if not before else "First model that may and can answer"
    text = f"{place} for “{entry.label}”: {first.reason}."
    if why:
        text = f"For “{entry.label}”, of the models that may answer: {why}."
    if before and before[0].model == picked:
        text += f" Not {before[0].label}: {before[0].reason}."
    return text


def _nothing(entry: RouteEntry, decisions: list[ModelDecision]) -> NoModel:
    told = "; ".join(f"{d.label}: {d.reason}" for d in decisions)
    return NoModel(
        f"No model may answer questions about “{entry.label}” with this data. {told}.",
        reasons={d.model: d.reason for d in decisions},
        failing=any(d.failing for d in decisions),
    )
