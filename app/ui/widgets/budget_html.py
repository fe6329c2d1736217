"""Budgets as HTML: how each stands, for admins; what somebody has left, for that person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.budgets import EACH, Budget, Standing, Told, money
from app.ui.widgets import page
from app.ui.widgets.words import day, text

EVERY = {
    "team": "each team",
    "person": "each person",
    "model": "each model",
    "intent": "each intent",
}
NOBODY = {
    "team": "; no team has spent yet",
    "person": "; nobody has spent yet",
    "model": "; no model has cost anything yet",
    "intent": "; no intent has cost anything yet",
}
PERIOD = {"day": "a day", "month": "a month"}
Namer = Callable[[str, str], str]
"""From a scope and its key to what people call it."""


def whose(budget: Budget, name: Namer) -> str:
    """`the company`, `each team`, `the team Sales`."""
    if budget.scope == "company":
        return "the company"
    if budget.scope_id == EACH:
        return EVERY[budget.scope]
    return f"the {budget.scope} {name(budget.scope, budget.scope_id)}"


def state(standing: Standing) -> tuple[str, str]:
    if standing.left_micro <= 0:
        return "red", "used up"
    if standing.near_limit:
        return "amber", f"{standing.share:.0%} spent"
    return "green", f"{standing.share:.0%} spent"


def table(standings: Sequence[Standing], name: Namer) -> str:
    rows = "".join(_row(standing, name) for standing in standings)
    return (
        '<div class="sb-table"><table><thead><tr><th>Budget of</th><th>Now</th>'
        '<th class="sb-n">Spent</th><th class="sb-n">Held</th><th class="sb-n">Left</th>'
        f'<th class="sb-n">Limit</th><th>Renews</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(standing: Standing, name: Namer) -> str:
    budget = standing.budget
    who = whose(budget, name)
    small = PERIOD[budget.period]
    if budget.scope_id == EACH:
        spender = standing.sum.key
        if spender == EACH:
            small += NOBODY[budget.scope]
        else:
            who, small = name(budget.scope, spender), f"{who}, {small}"
    extra = f"with {money.words(standing.extra_micro)} more; " if standing.extra_micro else ""
    return (
        f"<tr><td>{text(who[:1].upper() + who[1:])}<small>{text(small)}</small></td>"
        f"<td>{page.status(*state(standing))}</td>"
        f'<td class="sb-n">{money.words(standing.spent_micro)}</td>'
        f'<td class="sb-n">{money.words(standing.reserved_micro)}</td>'
        f'<td class="sb-n">{money.words(standing.left_micro)}</td>'
        f'<td class="sb-n">{money.words(standing.limit_micro)}'
        f"<small>{extra}notice at {budget.notice_share:.0%}</small></td>"
        f"<td>{day(standing.renews_on)}</td></tr>"
    )


def about(standing: Standing, name: str) -> dict[str, str]:
    """Label to words for whoever decides about more of it. `name` is what people call its key."""
    budget = standing.budget
    kind = "" if budget.scope == "person" else f"the {budget.scope} "
    whose = "The company's" if budget.scope == "company" else f"That of {kind}{name}"
    spent, limit = money.words(standing.spent_micro), money.words(standing.limit_micro)
    return {
        "Budget": f"{whose}, {PERIOD[budget.period]}",
        "Spent so far": f"{spent} of {limit}; it renews on {day(standing.renews_on)}",
    }


def mine(standings: Sequence[Standing]) -> list[tuple[str, str, str]]:
    """Colour, head and sentence for what one person may still spend. Others' budgets are named only when they run out, and
    without amounts."""
    said = []
    for standing in standings:
        colour, _ = state(standing)
        period = "today" if standing.budget.period == "day" else "this month"
        renews = f"It renews on {day(standing.renews_on)}."
        if standing.budget.scope == "person":
            left = f"{money.words(standing.left_micro)} of {money.words(standing.limit_micro)}"
            says = f"{standing.share:.0%} is spent. {renews}"
            said.append((colour, f"You have {left} left for {period}.", says))
        elif colour != "green":
            head = standing.whose()
            word = "is used up" if colour == "red" else "is nearly used up"
            said.append((colour, f"{head[:1].upper()}{head[1:]} {word} for {period}.", renews))
    return said


def line(found: Sequence[Told]) -> str:
    """Under the question box: each notice by itself, and what is left in one quiet line. Empty when there is nothing to say."""
    notices = "".join(
        '<div class="sb-left sb-spent" role="status"><span class="sb-bang" aria-hidden="true">!</span>'
        f"<span>{text(one.words)}</span></div>"
        for one in found
        if one.notice
    )
    left = " · ".join(one.words for one in found if not one.notice)
    if not left:
        return notices
    return f'{notices}<div class="sb-left" title="Your budget. More under My usage.">{text(left)}</div>'
