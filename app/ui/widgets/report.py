"""A usage report on a page: the period, five figures with their change, and the charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import streamlit as st

from app.domain import Person, now
from app.ui.widgets import charts
from app.ui.widgets.words import count, day, money, share, text, time_html, zone_of
from app.usage import Figures, Report, UsageRow
from app.wiring import Services

PERIODS = {"7 days": 7, "28 days": 28, "90 days": 90, "A year": 365}
USUAL = "28 days"


def period() -> tuple[date, date]:
    """The days to look at, today included, in UTC."""
    chosen = st.segmented_control(
        "Period",
        list(PERIODS),
        default=USUAL,
        required=True,
        label_visibility="collapsed",
        key="period",
    )
    end = now().date()
    return end - timedelta(days=PERIODS[chosen or USUAL] - 1), end


def as_of(report: Report) -> None:
    """What the numbers cover and how fresh they are."""
    zone = zone_of(st.context.timezone)
    st.html(
        f'<p class="sb-meta" style="margin:0">{day(report.start)} to {day(report.end)}, compared with '
        f"the period before · data as of {time_html(report.as_of, zone)}</p>"
    )


def figures(report: Report, *, own: bool) -> None:
    current, before = report.figures, report.previous
    first = (
        _figure("Actions run", current, before, lambda f: f.total.actions, _number)
        if own
        else _figure("Active people", current, before, lambda f: f.active_people, _number)
    )
    rest = (
        _figure("Questions", current, before, lambda f: f.total.questions, _number),
        _figure("Answers with sources", current, before, lambda f: f.total.with_sources, share),
        _figure("Satisfaction", current, before, lambda f: f.total.satisfaction, share),
        _figure("Cost", current, before, lambda f: f.total.cost_usd, money),
    )
    st.html(f'<div class="sb-figures">{first}{"".join(rest)}</div>')


def draw(
    services: Services,
    viewer: Person,
    report: Report,
    questions: Sequence[charts.Question],
) -> None:
    """The charts. A CSV is made, and its export recorded, only when its button is pressed."""
    for number, question in enumerate(questions):
        charts.draw(
            question,
            report.series(question.series),
            namer(services, question.series),
            lambda series=question.series: services.usage.export(viewer, report, series),  # type: ignore[misc]
            key=f"{number}_{question.series}",
        )


def namer(services: Services, series: str) -> Callable[[UsageRow], str]:
    """What the rows of a series are called on a page."""
    if series == "by_intent":
        labels = {entry.name: entry.label for entry in services.table.entries}
        return lambda row: labels.get(row.key, row.name) or "not decided"
    if series == "by_model":
        models = {card.id: card.label for card in services.catalogue.cards()}
        return lambda row: models.get(row.key, row.name) or "none answered"
    if series == "by_day":
        return lambda row: day(date.fromisoformat(row.key))
    return lambda row: row.name or "no team"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _figure(
    name: str,
    current: Figures,
    before: Figures,
    of: Callable[[Figures], float | None],
    shape: Callable[[float], str] | Callable[[float | None], str],
) -> str:
    value, was = of(current), of(before)
    shown = "–" if value is None else shape(value)
    return (
        f'<div class="sb-figure"><span>{text(name)}</span><strong>{shown}</strong>'
        f"<em>{_change(value, was, shape)}</em></div>"
    )


def _change(
    value: float | None,
    was: float | None,
    shape: Callable[[float], str] | Callable[[float | None], str],
) -> str:
    if value is None or was is None:
        return "nothing to compare with"
    if value == was:
        return "as before"
    if shape is share:
        points = round(abs(value - was) * 100)
        if not points:
            return "as before"
        return f"{'▲' if value > was else '▼'} {count(points, 'point')} from {share(was)}"
    if was == 0:
        return "none before"
    return f"{'▲' if value > was else '▼'} {abs(value - was) / was:.0%} from {shape(was)}"
