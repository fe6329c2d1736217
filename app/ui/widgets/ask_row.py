"""The foot of the chat page: which model, Stop, the input, and what is left to spend. Also the one place where a page starts or stops an answer."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.chat import LiveTurn, TurnView
from app.domain import Person, now
from app.errors import SwitchboardError
from app.routing import ModelCard
from app.ui import identity
from app.ui.widgets import budget_line
from app.ui.widgets.choices import told_apart
from app.ui.widgets.conversations import OPEN
from app.wiring import Services

AUTO = "auto"
AT = {"openai": "Runs at OpenAI.", "anthropic": "Runs at Anthropic."}
BEST = "Best model for the question"
LONGEST_QUESTION = 8000


def stop_button(services: Services, person: Person) -> None:
    """Belongs to the page, not to the conversation's fragment: only a run of the whole page interrupts one that is drawing
    an answer. The style sheet shows it while an answer is under way."""
    with st.bottom:
        st.button(
            "Stop",
            key="stop",
            icon=":material/stop_circle:",
            shortcut="Esc",
            on_click=_stop,
            args=(services, person),
        )


def draw(services: Services, person: Person) -> DeltaGenerator:
    """The place under the input for what is left of a budget; it still says what it said before."""
    with st.bottom:
        with st.container(key="ask_row"):
            _model(services, person)
        st.chat_input(
            "Ask anything…",
            key="question",
            max_chars=LONGEST_QUESTION,
            submit_mode="disable",
            on_submit=_submitted,
            args=(services, person),
        )
        left = st.empty()
    budget_line.before(person, left)
    return left


def start(services: Services, person: Person, question: str, replaces: str | None = None) -> None:
    """In a callback: starts the answer, opens its conversation and refreshes the list beside it."""
    current = identity.as_of_now(services, person)
    if current is None:
        return  # the run that follows finds the same and shows the sign-in page
    wish = st.session_state.get("model") or AUTO
    try:
        live = services.turns.start(
            current,
            st.query_params.get(OPEN) or None,
            question,
            None if wish == AUTO else wish,
            replaces=replaces,
        )
    except SwitchboardError as error:
        st.session_state["trouble"] = error
        return
    st.session_state.pop("editing", None)
    if st.query_params.get(OPEN) != live.conversation_id:
        st.query_params[OPEN] = live.conversation_id
        st.session_state["begun"] = begun_turn(live, question, None if wish == AUTO else wish)
        st.rerun(["conversation", "recents"])  # the words first, the list when they are all there


def begun_turn(live: LiveTurn, question: str, wish: str | None) -> TurnView:
    """The first turn of a chat as its row will say, so that its words need not wait for reading it back."""
    return TurnView(
        id=live.turn_id,
        conversation_id=live.conversation_id,
        question=question.strip(),
        answer="",
        status="running",
        error="",
        model_wish=wish,
        receipt=None,
        offers=(),
        feedback=None,
        feedback_comment="",
        started_at=now(),
    )


def _submitted(services: Services, person: Person) -> None:
    question = st.session_state.get("question")
    if question:
        start(services, person, str(question))


def _stop(services: Services, person: Person) -> None:
    """Stops the newest answer of the open conversation; harmless when none is under way."""
    current = identity.as_of_now(services, person)
    conversation_id = st.query_params.get(OPEN, "")
    if current is None or not conversation_id:
        return
    try:
        for turn in services.chats.turns(current, conversation_id, last=1):
            services.turns.stop(current, turn.id)
    except SwitchboardError as error:
        st.session_state["trouble"] = error


def _model(services: Services, person: Person) -> None:
    """Remembered for the session; whether a model may be used is decided again for each question."""
    notes = _choices(services, person)
    st.selectbox(
        "Model",
        list(notes),
        key="model",
        format_func=lambda name: notes.get(name, name),
        label_visibility="collapsed",
        persist_state="session",
    )


def _where(card: ModelCard) -> str:
    """Where a question goes, for those who ask it. A server's address is for admins: it tells others how a network is laid."""
    if not card.added:
        return card.note
    if card.inside:
        return "Runs on your company's own server."
    if card.region:
        return f"Runs in {card.region}."
    return "Runs at an outside provider." if card.base_url else AT.get(card.provider, "")


def _choices(services: Services, person: Person) -> dict[str, str]:
    key = (person.id, person.role, person.team)
    known = st.session_state.get("model_choices")
    if known is None or known[0] != key:
        notes = {AUTO: BEST}
        for card in services.catalogue.cards():
            if card.offered and services.policy.use_model(
                person, card.id, card.provider, card.local, card.audience
            ):
                where = _where(card)
                notes[card.id] = f"{card.label} · {where}" if where else card.label
        notes = told_apart(notes, lambda name: "chosen for you" if name == AUTO else name)
        known = st.session_state["model_choices"] = (key, notes)
    choices: dict[str, str] = known[1]
    return choices
