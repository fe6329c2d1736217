"""The line under the question box: what is left of the person's budget, and a notice once most of one is spent.

It is read once in a run of the page, after the answer that the run follows; until then the line of the run before stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.budgets import Told, told
from app.domain import Person
from app.ui.widgets import budget_html
from app.ui.widgets.words import in_markdown
from app.wiring import Services

SHOWN = "budget_line"
KNOWN = "budgets_told"
TOAST_S = 12


def before(person: Person, place: DeltaGenerator) -> None:
    """Draws what the last run drew, and asks nothing."""
    whose, line = st.session_state.get(SHOWN, ("", ""))
    if line and whose == person.id:
        place.html(line)


def draw(services: Services, person: Person, place: DeltaGenerator) -> None:
    """As the budgets stand now. A notice is also said aloud, once in its period."""
    budgets = services.budgets
    found = told(budgets.book.of_person(person), budgets.zone)
    line = budget_html.line(found)
    st.session_state[SHOWN] = (person.id, line)
    if line:
        place.html(line)
    else:
        place.empty()
    _say(services, person, [one for one in found if one.notice])


def _say(services: Services, person: Person, notices: Sequence[Told]) -> None:
    known = st.session_state.setdefault(KNOWN, set())
    for one in notices:
        key = (person.id, one.standing.sum, one.standing.limit_micro)
        if key in known:
            continue
        known.add(key)
        if services.budgets.book.first_told(person, one.standing):
            st.toast(in_markdown(one.words), icon="⚠️", duration=TOAST_S)
