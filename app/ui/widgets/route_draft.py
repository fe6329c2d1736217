"""The fields of a route's draft. No form: that would keep from us what is being changed, and Publish would take the stored draft
without a word."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.routing.swaps import Draft
from app.routing.swaps.draft import Names, gone
from app.routing.table import MOST_WORTH_USD
from app.ui.widgets import page

USUAL_WORTH_USD = 0.05


def fields(stored: Draft, names: Names, labels: Mapping[str, str]) -> Draft:
    """What is on the screen; at first what is stored, without what is not here any more."""
    models, prompts = list(names.models()), list(names.prompts())
    if lost := gone(stored.models, stored.prompt, names):
        page.note("red", f"No longer here: {', '.join(lost)}.", "Choose something else and save.")
    chosen = st.multiselect(
        "Models, in order of preference",
        models,
        default=[model for model in stored.models if model in models],
        format_func=lambda name: labels.get(name, name),
    )
    prompt = st.selectbox(
        "Prompt",
        prompts,
        index=prompts.index(stored.prompt) if stored.prompt in prompts else None,
        placeholder="Choose",
        help="A name alone means its newest version.",
    )
    with st.container(horizontal=True):
        temperature = st.number_input(
            "Temperature",
            0.0,
            2.0,
            stored.temperature,
            0.1,
            help="0 answers the same way each time, more varies the words.",
            width=260,
        )
        longest = st.number_input(
            "Longest answer, tokens", 16, 32_000, stored.max_tokens, width=260
        )
    worth = _weighing(stored.worth_usd)
    return Draft(tuple(chosen), str(prompt or ""), float(temperature), int(longest), worth)


def _weighing(worth_usd: float | None) -> float | None:
    """Whether easy questions go to the cheaper model, and what a good answer is worth then."""
    on = st.toggle(
        "Easy questions to the cheaper model",
        worth_usd is not None,
        help="Of the models above that may answer, the first asked is the one whose expected score is worth its cost most.",
    )
    worth = st.number_input(
        "A good answer is worth, $",
        0.0001,
        float(MOST_WORTH_USD),
        worth_usd or USUAL_WORTH_USD,
        0.01,
        format="%.4f",
        help="What a good answer instead of a bad one saves. More sends more questions to the better model, less to the cheaper.",
        width=260,
    )
    return float(worth) if on else None
