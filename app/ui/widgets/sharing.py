"""The person's own word on who may read their questions, wherever they find it. Off until they say otherwise."""

from __future__ import annotations

import streamlit as st

from app.domain import Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import page
from app.wiring import Services


def toggle(services: Services, person: Person, place: str) -> None:
    """`place` keeps two of them on one page apart."""
    key = f"sharing_{place}"
    st.toggle(
        "Let admins read my questions",
        value=services.intents.corrections.shares(person.id),
        key=key,
        on_change=_save,
        args=(services, person, key),
    )
    st.caption(
        "To sort questions better, and to test new models on questions whose answer you liked. Answers, and questions with personal"
        " data, are not shown. What an admin has made an example or a test stays one when you switch this off."
    )


def _save(services: Services, person: Person, key: str) -> None:
    who = identity.as_of_now(services, person)
    if who is None:
        return
    allowed = bool(st.session_state.get(key))
    try:
        services.intents.corrections.share(who, allowed)
    except SwitchboardError as error:
        st.session_state["trouble"] = error
    else:
        page.say(
            "Admins may read your questions." if allowed else "Your questions are yours alone."
        )
