"""“This was about something else”: the person who asked says what a question was about, and the intents learn it."""

from __future__ import annotations

import streamlit as st

from app.chat import TurnView
from app.domain import Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import page, sharing
from app.ui.widgets.choices import told_apart
from app.wiring import Services


def draw(services: Services, person: Person, turn: TurnView) -> None:
    """Nothing for an answer that never got as far as an intent."""
    if turn.receipt is None or turn.receipt.intent is None:
        return
    labels = told_apart({e.name: e.label for e in services.intents.table().entries})
    key = f"topic_{turn.id}"
    said = services.intents.corrections.said([turn.id]).get(turn.id)
    names = list(labels)
    with st.popover("Other topic", type="tertiary"):
        st.selectbox(
            f"Taken for “{turn.receipt.intent.label}”. What was it about?",
            names,
            index=names.index(said) if said in labels else None,
            format_func=lambda name: labels.get(name, name),
            placeholder="Choose",
            key=key,
            on_change=_say,
            args=(services, person, turn.id, key),
        )
        st.caption("The next questions like it are sorted by what you say.")
        sharing.toggle(services, person, turn.id)


def _say(services: Services, person: Person, turn_id: str, key: str) -> None:
    intent = st.session_state.get(key)
    who = identity.as_of_now(services, person)
    if intent is None or who is None:
        return
    try:
        services.intents.correct_own(who, turn_id, str(intent))
    except SwitchboardError as error:
        st.session_state["trouble"] = error
    else:
        page.say("Thank you. Questions like it will be sorted better.")
