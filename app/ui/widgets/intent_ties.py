"""Whether a model is asked which of two close intents a question is for, and which: a part of the intents' draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from app.routing.edits import Edits
from app.routing.table import RoutingTable, TieBreak
from app.ui.widgets.choices import told_apart

Change = Callable[[Edits], Edits]
BEGIN_WITH = 0.1  # a margin that asks seldom, for who turns it on without a figure in mind


def draw(
    edits: Edits, file: RoutingTable, models: Mapping[str, str], do: Callable[[Change], None]
) -> None:
    """`models`: what may be asked, and what it is called. `do` carries out a change of the draft."""
    now_ = edits.tie_break(file)
    labels = told_apart(models)
    settings = now_ or file.tie_break or TieBreak(margin=BEGIN_WITH)
    with st.form("ties", border=False):
        asked = st.toggle(
            "Ask a model which of the two it is",
            now_ is not None,
            help="One small call before the answer, with placeholders for personal data, and only to a model that is cleared for"
            " the question. It costs little and counts in the budgets.",
        )
        left, right = st.columns(2)
        margin = left.number_input(
            "Close within",
            0.01,
            1.0,
            max(0.01, settings.margin),
            0.01,
            help="The difference of the two probabilities. 0.1 asks for 0.48 against 0.40, and not for 0.55 against 0.40.",
        )
        seconds = right.number_input(
            "Seconds it has",
            0.5,
            10.0,
            max(0.5, settings.deadline_s),
            0.5,
            help="The reader waits for it. Without an answer in time the closest intent is taken.",
        )
        names = st.multiselect(
            "Models",
            list(labels),
            [name for name in settings.models if name in labels],
            format_func=labels.__getitem__,
            help="The cheapest of them that may be asked is.",
        )
        saved = st.form_submit_button("Save in the draft", type="primary")
    if saved and asked:
        do(lambda e: e.ask_when_close(margin, names, seconds, list(models)))
    elif saved:
        do(Edits.never_ask)
    if edits.ties != "file" and st.button("As delivered", key="ties_as_delivered"):
        do(Edits.ask_as_delivered)
