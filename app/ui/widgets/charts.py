"""Charts that each answer one question, written as the title, with the numbers as a table and CSV beneath."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from app.ui.widgets.words import money, share, text
from app.usage import UsageRow

HEIGHT_DAYS = 190
HEIGHT_ROW = 30
MOST_BARS = 12
Measure = Literal["questions", "cost_usd", "satisfaction", "with_sources", "actions"]
AXES: dict[Measure, tuple[str, str]] = {
    "questions": ("Questions", "~s"),
    "cost_usd": ("US dollars", "$.2f"),
    "satisfaction": ("Thumbs up, of all verdicts", ".0%"),
    "with_sources": ("Answers with sources", ".0%"),
    "actions": ("Actions run", "~s"),
}
STEPS = {"~s": 1.0, "$.4f": 0.0001, "$.6f": 0.000001}
"""How far two ticks of a format are apart at least, so that no two read the same."""


@dataclass(frozen=True, slots=True)
class Question:
    """One chart: what it answers, of which series it is made, what it measures."""

    title: str
    series: str
    measure: Measure


def draw(
    question: Question,
    rows: Sequence[UsageRow],
    names: Callable[[UsageRow], str],
    export: Callable[[], str],
    key: str,
) -> None:
    """`names` says what a row is called; `export` makes the CSV when it is asked for."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.html(f'<div class="sb-question">{text(question.title)}</div>')
        st.download_button(
            "CSV",
            data=export,
            file_name=f"switchboard-{question.series}.csv",
            mime="text/csv",
            key=f"csv_{key}",
            type="tertiary",
            on_click="ignore",
        )
    known = [row for row in rows if getattr(row, question.measure) is not None]
    if not any(getattr(row, question.measure) for row in known):
        st.html('<div class="sb-empty" style="padding-left:0">Nothing in this period yet.</div>')
        return
    chart = by_day if question.series == "by_day" else by_name
    st.altair_chart(chart(question.measure, known, names), width="stretch", key=f"chart_{key}")
    with st.expander("Table", type="compact"):
        st.html(table_html(rows, names))


def table_html(rows: Sequence[UsageRow], names: Callable[[UsageRow], str]) -> str:
    head = ("", "Questions", "Answered", "With sources", "Satisfaction", "Actions", "Cost")
    cells = "".join(
        "<tr><td>"
        + "</td><td class='sb-n'>".join(
            (
                text(names(row)),
                f"{row.questions:,}",
                f"{row.answered:,}",
                share(row.with_sources),
                share(row.satisfaction),
                f"{row.actions:,}",
                money(row.cost_usd),
            )
        )
        + "</td></tr>"
        for row in rows
    )
    titles = "".join(
        f"<th{' class=sb-n' if number else ''}>{name}</th>" for number, name in enumerate(head)
    )
    return f'<div class="sb-table"><table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table></div>'


def by_day(measure: Measure, rows: Sequence[UsageRow], _names: Callable[[UsageRow], str]) -> Any:
    import altair as alt

    name, shape = _axis(measure, rows)
    data = _data(alt, [{"day": row.key, "value": getattr(row, measure)} for row in rows])
    return (
        alt.Chart(data, height=HEIGHT_DAYS)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "day:T",
                timeUnit="utcyearmonthdate",
                title=None,
                axis=alt.Axis(format="%-d %b", ticks=False, domain=False, tickCount=5),
            ),
            y=alt.Y("value:Q", title=None, axis=_quiet(alt, shape), scale=alt.Scale(domainMin=0)),
            tooltip=[
                alt.Tooltip("day:T", title="Day", format="%-d %b %Y", timeUnit="utcyearmonthdate"),
                alt.Tooltip("value:Q", title=name, format=shape),
            ],
        )
    )


def by_name(measure: Measure, rows: Sequence[UsageRow], names: Callable[[UsageRow], str]) -> Any:
    import altair as alt

    name, shape = _axis(measure, rows)
    shown = sorted(rows, key=lambda row: -(getattr(row, measure) or 0))[:MOST_BARS]
    values = [{"name": names(row), "value": getattr(row, measure)} for row in shown]
    scale = alt.Scale(domain=[0, 1]) if shape.endswith("%") else alt.Scale(domainMin=0)
    return (
        alt.Chart(_data(alt, values), height=max(60, HEIGHT_ROW * len(values) + 30))
        .mark_bar(cornerRadiusEnd=2, height=14)
        .encode(
            y=alt.Y(
                "name:N",
                title=None,
                sort=None,
                axis=alt.Axis(labelLimit=220, ticks=False, domain=False),
            ),
            x=alt.X("value:Q", title=None, axis=_quiet(alt, shape), scale=scale),
            tooltip=[
                alt.Tooltip("name:N", title=" "),
                alt.Tooltip("value:Q", title=name, format=shape),
            ],
        )
    )


def _axis(measure: Measure, rows: Sequence[UsageRow]) -> tuple[str, str]:
    """What is measured and its d3 format; sums of less than a few cents get the digits that tell them apart."""
    name, shape = AXES[measure]
    most = max((getattr(row, measure) or 0 for row in rows), default=0)
    if shape != "$.2f" or most >= 0.05:
        return name, shape
    return name, "$.4f" if most >= 0.0005 else "$.6f"


def _quiet(alt: Any, shape: str) -> Any:
    step = STEPS.get(shape, 0.01)
    return alt.Axis(
        format=shape, ticks=False, domain=False, tickCount=5, tickMinStep=step, labelFlush=True
    )


def _data(alt: Any, values: list[dict[str, Any]]) -> Any:
    return alt.Data(values=values)
