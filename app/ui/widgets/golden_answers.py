"""Golden questions with one click: from answers that people rated well and share, and from the admin's own."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.db.tables import GoldenQuestionRow
from app.domain import Person
from app.rehearsal import Candidate
from app.ui.widgets.administration import carry_out
from app.ui.widgets.words import count, in_markdown
from app.wiring import Services

TAKEN = "golden_taken"
"""Where the id of a question is kept that was taken just now, for the form that fills in the rest."""


def draw(services: Services, person: Person, intent: str) -> None:
    with st.expander("Take one of your own answers", key=f"own_{intent}"):
        _own(services, person, intent)
    with st.expander("Take an answer that somebody rated well", key=f"well_{intent}"):
        if st.toggle("Show the answers that people rated well", key=f"rated_well_{intent}"):
            _shared(services, person, intent)
        st.caption(
            "Of people who let admins read their questions. Who asked and what was answered is not shown; questions with personal"
            " data, follow-ups and what the set holds already in much the same words are left out."
        )


def _own(services: Services, person: Person, intent: str) -> None:
    answers = services.rehearsals.answers
    found = answers.own(person, intent)
    if not found:
        st.caption(
            "Ask a question of this kind in a chat; when the answer is good, it can be taken from here with one click."
        )
    for one in found:
        cited = count(len(one.sources), "source")
        if _offered(one, f"{'👍 ' if one.liked else ''}", cited, "Take it", f"take_{one.turn_id}"):
            carry_out(
                services,
                person,
                "models",
                lambda who, turn=one.turn_id: _kept(answers.take_own(who, turn)),  # type: ignore[misc]
                "It is in the golden set with the documents it cited.",
            )


def _shared(services: Services, person: Person, intent: str) -> None:
    """Asked anew at every look, so that who shares no longer is gone from the list."""
    answers = services.rehearsals.answers
    with st.spinner("Comparing with the golden set…"):
        found = answers.shared(intent)
    if not found:
        st.caption("There is none that the golden set does not hold already.")
    titles = services.rehearsals.golden.names.titles(person, [s for c in found for s in c.sources])
    for one in found:
        cited = _cited(one.sources, titles)
        if _offered(one, "👍 ", cited, "Add to the golden set", f"add_{one.turn_id}"):
            carry_out(
                services,
                person,
                "models",
                lambda who, turn=one.turn_id: _kept(answers.take_shared(who, intent, turn)),  # type: ignore[misc]
                "It is in the golden set. Say above what an answer must say.",
            )


def _offered(one: Candidate, mark: str, cited: str, label: str, key: str) -> bool:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{mark}{in_markdown(one.question)} · {in_markdown(cited)}", width="stretch")
        return st.button(label, key=key, type="tertiary")


def _kept(row: GoldenQuestionRow) -> str:
    st.session_state[TAKEN] = row.id
    return row.id


def _cited(sources: Sequence[str], titles: dict[str, str]) -> str:
    return f"cites {', '.join(titles[s] for s in sources)}" if sources else "no source"
