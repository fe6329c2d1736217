"""What is learned of an intent's easy and hard questions, as HTML: from how much, when, and where it sends the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from app.routing import RouteEntry
from app.routing.difficulty.expectation import State
from app.routing.swaps import Spread
from app.routing.swaps.dry_run import REFUSED
from app.ui.widgets.words import count, money, text, time_html

Labels = Mapping[str, str]


def difficulty_html(
    entry: RouteEntry,
    state: State,
    models: Sequence[str],
    labels: Labels,
    zone: tzinfo,
    spread: Spread | None = None,
) -> str:
    """`models` are the ids of the route's models that are here; `spread` is of last week's questions."""
    if entry.difficulty is None:
        return "Off: models are asked in the order above."
    worth = f"A good answer is worth {money(entry.difficulty.worth_usd)}."
    if len(models) < 2:
        return f"On. {worth} Fewer than two models of this route are here: there is nothing to choose between."
    missing = missing_html(state, models, entry.difficulty.least, labels)
    if state.version == 0 or state.learned_at is None:
        return f"On, without effect so far. {worth} {text(state.why_off)}{missing}"
    known = ", ".join(f"{_label(m, labels)} {n:,}" for m, n in sorted(state.outcomes.items()))
    return (
        f"On: easy questions go to the cheaper model. {worth} Version {state.version}, learned"
        f" {time_html(state.learned_at, zone)} from {count(sum(state.outcomes.values()), 'judged answer')}: {known}."
        f"{missing}{spread_html(spread, labels)}"
    )


def missing_html(state: State, models: Sequence[str], least: int, labels: Labels) -> str:
    """A line for each model that has too few judged answers to be weighed."""
    short = [(model, state.outcomes.get(model, 0)) for model in models]
    return "".join(
        f"<br>{_label(model, labels)}: {n:,} of {least:,} judged answers, {least - n:,} missing."
        for model, n in short
        if n < least
    )


def spread_html(spread: Spread | None, labels: Labels) -> str:
    if spread is None:
        return ""
    if not spread.questions:
        return "<br>No question of this kind in the last week."
    sent = ", ".join(
        f"{_label(model, labels)} {n / spread.questions:.0%}" for model, n in spread.models
    )
    return f"<br>Of {count(spread.questions, 'question')} of the last week: {sent}."


def _label(model: str, labels: Labels) -> str:
    return "refused" if model == REFUSED else text(labels.get(model, model))
