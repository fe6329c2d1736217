"""Charts of costs say what they show also where it is less than a cent."""

from __future__ import annotations

import pytest

from app.ui.widgets.charts import STEPS, by_day, by_name
from app.usage import UsageRow


def rows(*costs: float) -> list[UsageRow]:
    return [
        UsageRow(
            key=f"2026-11-{n:02}", name="", questions=1, answered=1, stopped=0, failed=0,
            cost_usd=cost, satisfaction=None, with_sources=None, actions=0, prompt_tokens=0,
            completion_tokens=0,
        )
        for n, cost in enumerate(costs, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "shape"),
    [(12.5, "$.2f"), (0.05, "$.2f"), (0.0499, "$.4f"), (0.004, "$.4f"), (0.0003, "$.6f")],
)
def test_the_ticks_of_a_cost_are_told_apart(most: float, shape: str) -> None:
    for chart, axis in (
        (by_day("cost_usd", rows(0.0, most), str), "y"),
        (by_name("cost_usd", rows(0.0, most), lambda row: row.key), "x"),
    ):
        drawn = chart.to_dict()["encoding"]
        assert drawn[axis]["axis"]["format"] == shape
        assert drawn[axis]["axis"]["tickMinStep"] == STEPS.get(shape, 0.01)
        assert drawn["tooltip"][1]["format"] == shape


def test_what_is_counted_is_whole() -> None:
    axis = by_day("questions", rows(0.0), str).to_dict()["encoding"]["y"]["axis"]
    assert (axis["format"], axis["tickMinStep"]) == ("~s", 1)
