"""What people's questions say about the intents: what nobody claims, in clusters to label or to make examples of, and what
people corrected."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.domain import Person
from app.routing.edits import name_of
from app.routing.traffic import Cluster, Unclaimed, unclaimed
from app.ui.widgets import intent_html, page
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import text
from app.wiring import Services

KEPT = "unclaimed"
SHOWN = 8
Do = Callable[[Callable[[Person], object], str], None]


def draw(services: Services, labels: dict[str, str], do: Do) -> None:
    """`do` carries out a change for the admin and draws the page again."""
    _heading("Questions that no intent claims")
    if st.button("Look through last month's questions", key="look"):
        with st.spinner("Reading last month's questions…"):
            st.session_state[KEPT] = unclaimed(services.database, services.intents)
    found: Unclaimed | None = st.session_state.get(KEPT)
    if found is not None:
        st.html(intent_html.unclaimed_html(found))
        for number, cluster in enumerate(found.clusters[:SHOWN]):
            with st.container(border=True):
                st.html(intent_html.cluster_html(cluster))
                _label(services, labels, cluster, number, do)
    _heading("What people corrected")
    confused = services.intents.corrections.confusion()
    if any(was != should for was, should in confused):
        st.html(intent_html.confusion_table(confused, labels))
    else:
        page.blank(
            "No question was put right yet",
            "Under each answer, Other topic lets the person say what it was about. It is counted here, without its words.",
        )


def _label(
    services: Services,
    labels: dict[str, str],
    cluster: Cluster,
    number: int,
    do: Do,
) -> None:
    """Belongs to an intent in force: a correction of each, learned while its person shares it. Or examples for the draft."""
    in_force = told_apart(
        {e.name: labels.get(e.name, e.name) for e in services.intents.table().entries}
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        intent = st.selectbox(
            "They are about",
            list(in_force),
            index=None,
            placeholder="Choose",
            format_func=in_force.__getitem__,
            key=f"about_{number}",
            width=260,
        )
        if st.button("Label them", key=f"label_{number}", disabled=intent is None):
            do(lambda who: _correct(services, who, cluster, str(intent)), "Labelled and learned.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Or a new intent of them", placeholder="Canteen", key=f"new_{number}", width=260
        )
        if st.button("Add to the draft", key=f"draft_{number}"):
            do(lambda who: _draft(services, who, cluster, name), "It is in the draft.")


def _correct(services: Services, who: Person, cluster: Cluster, intent: str) -> None:
    for question in cluster.questions:
        services.intents.correct(who, question.turn_id, intent)
    services.intents.refresh()
    st.session_state[KEPT] = unclaimed(services.database, services.intents)


def _draft(services: Services, who: Person, cluster: Cluster, label: str) -> None:
    file = services.intents.file
    texts = [question.text for question in cluster.questions]
    services.intents.versions.edit(
        who, lambda edits: edits.add(file, name_of(label), label, file.fallback.name, texts)
    )


def _heading(words: str) -> None:
    st.html(f'<div class="sb-question">{text(words)}</div>')
