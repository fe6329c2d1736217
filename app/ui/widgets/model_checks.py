"""Testing a model: its separate checks, one line each."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import streamlit as st

from app.llm.checks import Check, Outcome
from app.ui.widgets.words import text
from app.wiring import Services

LONGEST_S = 60.0
DOTS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.UNTOLD: "grey"}

Checks = tuple[Check, ...]


def run(services: Services, work: Coroutine[Any, Any, Checks]) -> Checks:
    """Waits for them. Raises SwitchboardError."""
    with st.spinner("Looking for it, then asking it for a few words…"):
        return services.turns.on_loop(work, LONGEST_S)


def show(checks: Checks) -> None:
    if checks:
        st.html("".join(_line(check) for check in checks))


def _line(check: Check) -> str:
    return (
        f'<div class="sb-note" role="status"><span class="sb-dot sb-{DOTS[check.outcome]}"></span>'
        f"<div><b>{text(check.name)}: {check.outcome.value}.</b> {text(check.cause)} "
        f"{text(check.fix)}</div></div>"
    )
