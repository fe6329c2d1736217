"""What a rehearsal will ask and may cost, before it does: searches and choices are real, no model is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.budgets import BudgetBook, Spender, Standing, SumKey, money
from app.domain import Person
from app.draft import Draft
from app.errors import NoModel
from app.rehearsal.golden import Golden
from app.rehearsal.judge import LONGEST
from app.rehearsal.side import chosen, scene
from app.routing import ModelCard, RouteEntry, RoutingTable
from app.routing.prices import at_least, at_most
from app.routing.spending import UNPRICED
from app.stages import Stages

JUDGE_FRAME = 350
"""Tokens of the judge's prompt without the answers and the question."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`most_usd` if every answer were as long as its route allows and the first choice answered: what would be held for all of
    them. `models` counts the calls by model id; `refused` the questions that a side would not answer, with the reason. `short`
    says in a sentence which budget has no room for that much, or whose price is not known; empty when it fits."""

    questions: int
    calls: int
    most_usd: float
    models: dict[str, int]
    refused: tuple[tuple[str, str], ...]
    short: str = ""


def estimate(
    goldens: Sequence[Golden],
    entry: RouteEntry,
    tables: Sequence[RoutingTable],
    person: Person,
    stages: Stages,
    judge: str = "",
) -> Estimate:
    """Blocking, some 50 ms a question. `tables` are the sides."""
    models, needed = Counter[str](), Counter[str]()
    refused: list[tuple[str, str]] = []
    for golden in goldens:
        asked = scene(entry, golden, person, stages, "estimate")
        answer_tokens = 0
        for table in tables:
            draft = Draft("estimate")
            try:
                route = chosen(asked, table, stages, draft).route
            except NoModel as error:
                refused.append((golden.question, error.message))
                continue
            assert draft.call is not None
            models[route.model] += 1
            answer_tokens += route.max_tokens
            needed[route.model] += at_most(stages.catalogue.card(route.model), draft.call).total
        if judge:
            models[judge] += 2
            read = JUDGE_FRAME + answer_tokens
            needed[judge] += 2 * at_least(stages.catalogue.card(judge), read, LONGEST).total
    short = _short(
        stages.budgets.book, Spender.of(person, entry.name), needed, stages.catalogue.card
    )
    return Estimate(
        len(goldens),
        models.total(),
        money.usd(needed.total()),
        dict(models),
        tuple(refused),
        short,
    )


def _short(
    book: BudgetBook,
    spender: Spender,
    needed: Mapping[str, int],
    card: Callable[[str], ModelCard],
) -> str:
    """`needed` is in micro-dollars by model. Of several budgets that have no room, the one that begins anew last is told."""
    found, wanted = dict[SumKey, Standing](), Counter[SumKey]()
    for model, standings in book.standings(spender, needed).items():
        if standings and not card(model).price_known:
            return f"{card(model).label}: {UNPRICED}."
        for standing in standings:
            found[standing.sum] = standing
            wanted[standing.sum] += needed[model]
    short = [one for key, one in found.items() if wanted[key] > one.left_micro]
    if not short:
        return ""
    tight = max(short, key=lambda one: (one.renews_on, -one.left_micro))
    left = ""
    if tight.budget.scope == "person":
        left = f": {money.words(tight.left_micro)} of {money.words(tight.limit_micro)} are left"
    said = f"{tight.whose()} for {tight.when} has no room for that much{left}."
    return f"{said[0].upper()}{said[1:]} It renews {tight.renewal(book.zone)}."
