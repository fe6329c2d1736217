"""Chat: ask, read the answer as it arrives, open its sources, take the next step.

The conversation runs as one fragment, so that asking draws nothing but the conversation. A question starts in the input's
callback, before anything is drawn; what follows only looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.chat import TurnView
from app.domain import Person
from app.errors import NotFound
from app.ui import identity
from app.ui.widgets import after_answer, ask_row, budget_line, offers, page
from app.ui.widgets.conversations import OPEN
from app.ui.widgets.follow import follow, follow_elsewhere
from app.ui.widgets.receipt_html import Reader
from app.ui.widgets.turn_html import question_html, rest_html, turn_html
from app.ui.widgets.words import text, zone_of
from app.wiring import Services

SHOWN = 20
SUGGESTED = 4


@dataclass(frozen=True, slots=True)
class Desk:
    """What the parts of this page work with."""

    services: Services
    person: Person
    reader: Reader
    conversation_id: str


def render(services: Services, person: Person) -> None:
    ask_row.stop_button(services, person)
    conversation(services, person)


@st.fragment(key="conversation")
def conversation(services: Services, person: Person) -> None:
    person = identity.still(services, person)
    reader = Reader(person.email, person.role, zone_of(st.context.timezone))
    desk = Desk(services, person, reader, st.query_params.get(OPEN, ""))
    past = st.container()
    try:
        turns = _turns(desk, past)
    except NotFound as error:
        _no_such_chat(error, _places(desk, clear=True)[-1])
        return
    running = turns[-1] if turns and turns[-1].status == "running" else None
    question, answer, after = _places(desk, clear=running is not None)
    left = ask_row.draw(services, person)
    if not turns:
        budget_line.draw(services, person, left)
        _empty(desk, after)
        return
    for turn in turns[:-1]:
        past.html(turn_html(turn, reader))
    question.html(question_html(turns[-1].question))
    last = _answered(desk, turns[-1], answer)
    budget_line.draw(services, person, left)
    with after.container():
        page.said()
        after_answer.draw(services, person, last)
        # A chat that has just begun cannot have sent anything yet.
        offers.draw(services, person, last, sent_before=len(turns) > 1 or running is None)


def _places(desk: Desk, *, clear: bool) -> Sequence[DeltaGenerator]:
    """For the last question, its answer and what comes after it: the same in every run. Cleared first for another chat, or on
    demand, so that nothing of the run before lingers while an answer arrives. Else they are drawn over: what is cleared is
    taken away from under whoever is pressing it, and what was unfolded folds up."""
    other = st.session_state.get("drawn_chat") != desk.conversation_id
    st.session_state["drawn_chat"] = desk.conversation_id
    places = [st.container() for _ in range(3)]
    return [place.empty() for place in places] if clear or other else places


def _turns(desk: Desk, past: DeltaGenerator) -> Sequence[TurnView]:
    """The latest turns, oldest first; one more than shown tells that there are earlier ones."""
    past.html(f'<span class="sb-chatpage" data-chat="{text(desk.conversation_id)}"></span>')
    if not desk.conversation_id:
        return ()
    begun = st.session_state.pop("begun", None)
    if begun is not None and begun.conversation_id == desk.conversation_id:
        return (begun,)
    key = f"shown_{desk.conversation_id}"
    shown = int(st.session_state.get(key, SHOWN))
    turns = desk.services.chats.turns(desk.person, desk.conversation_id, last=shown + 1)
    if len(turns) <= shown:
        return turns
    if past.button("Show earlier questions", type="tertiary", key="earlier"):
        st.session_state[key] = shown + SHOWN
        st.rerun(scope="fragment")
    return turns[1:]


def _answered(desk: Desk, turn: TurnView, answer: DeltaGenerator) -> TurnView:
    """Draws the newest answer; one that is under way is followed to its end."""
    if turn.status != "running":
        answer.html(rest_html(turn, desk.reader))
        return turn
    live = desk.services.turns.live(desk.person, turn.id)
    if live is None:
        return follow_elsewhere(desk.services.chats, desk.person, turn, desk.reader, answer)
    return follow(live, turn, desk.reader, answer)


def _empty(desk: Desk, place: DeltaGenerator) -> None:
    first = desk.person.name.split(" ")[0]
    with place.container():
        page.said()
        st.html(
            f'<div class="sb-hero"><h1>What do you need, {text(first)}?</h1>'
            "<p>Answers come from the documents you may read, each with its source.</p></div>"
        )
        with st.container(key="suggestions"):
            for number, suggestion in enumerate(desk.services.table.suggestions[:SUGGESTED]):
                st.button(
                    suggestion,
                    key=f"suggestion_{number}",
                    width="stretch",
                    on_click=ask_row.start,
                    args=(desk.services, desk.person, suggestion),
                )


def _no_such_chat(error: NotFound, place: DeltaGenerator) -> None:
    place.html(
        f'<div class="sb-gate" role="alert"><h1>No such chat</h1><p>{text(error.message)} '
        "It may have been deleted, or the link is somebody else’s.</p>"
        '<a class="sb-button" href="/">Start a new chat</a></div>'
    )
