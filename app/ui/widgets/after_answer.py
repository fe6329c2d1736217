"""What can be done with the last answer: say whether it helped, copy it, ask again, change the question."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from app.access.policy import require
from app.chat import TurnView
from app.domain import Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import ask_row, other_topic, page
from app.wiring import Services

ANSWERED = ("finished", "stopped")


def draw(services: Services, person: Person, turn: TurnView) -> None:
    if st.session_state.get("editing") == turn.id:
        _edit(services, person, turn)
        return
    again = "Regenerate" if turn.status in ANSWERED else "Retry"
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="small"):
        if turn.status in ANSWERED:
            _verdict(services, person, turn)
            st.html(
                '<button class="sb-copy" type="button" data-copy="text" '
                f'data-text="{quote(turn.answer)}">Copy</button>',
                width="content",
            )
        st.button(
            again,
            key=f"again_{turn.id}",
            type="tertiary" if turn.status in ANSWERED else "secondary",
            on_click=ask_row.start,
            args=(services, person, turn.question, turn.id),
        )
        st.button(
            "Edit question",
            key=f"edit_{turn.id}",
            type="tertiary",
            on_click=_begin_edit,
            args=(turn.id,),
        )
        if turn.status in ANSWERED:
            other_topic.draw(services, person, turn)
        if turn.status == "finished" and services.policy.administer(person, "models"):
            st.button(
                "Make it golden",
                key=f"golden_{turn.id}",
                type="tertiary",
                help="Puts the question and the documents it cited into the golden set of its intent, which every admin reads.",
                on_click=_golden,
                args=(services, person, turn.id),
            )


def _golden(services: Services, person: Person, turn_id: str) -> None:
    who = identity.as_of_now(services, person)
    if who is None:
        return
    try:
        allowed = services.policy.administer(who, "models")
        require(allowed, who, "change golden sets", services.ledger)
        services.rehearsals.answers.take_own(who, turn_id)
    except SwitchboardError as error:
        st.session_state["trouble"] = error
    else:
        page.say("It is in the golden set. Say under Routes what an answer must say.")


def _begin_edit(turn_id: str) -> None:
    st.session_state["editing"] = turn_id


def _end_edit() -> None:
    st.session_state.pop("editing", None)


def _edit(services: Services, person: Person, turn: TurnView) -> None:
    key = f"edited_{turn.id}"
    with st.form("editor"):
        st.text_area(
            "Your question",
            value=turn.question,
            key=key,
            max_chars=ask_row.LONGEST_QUESTION,
        )
        st.caption("The new answer takes the place of this one.")
        with st.container(horizontal=True):
            st.form_submit_button(
                "Send again",
                type="primary",
                key="send_edit",
                on_click=_send_edit,
                args=(services, person, turn.id, key),
            )
            st.form_submit_button("Cancel", key="cancel_edit", on_click=_end_edit)


def _send_edit(services: Services, person: Person, turn_id: str, key: str) -> None:
    ask_row.start(services, person, str(st.session_state.get(key) or ""), turn_id)


def _verdict(services: Services, person: Person, turn: TurnView) -> None:
    key = f"verdict_{turn.id}"
    st.feedback(
        "thumbs",
        key=key,
        default=turn.feedback,
        on_change=_judge,
        args=(services, person, turn.id, key, turn.feedback_comment),
    )
    if st.session_state.get(key, turn.feedback) is not None:
        comment = f"comment_{turn.id}"
        with st.popover("Comment", type="tertiary"):
            st.text_input(
                "What should we know? (optional)",
                value=turn.feedback_comment,
                key=comment,
                max_chars=2000,
                on_change=_comment,
                args=(services, person, turn.id, key, comment),
            )
            st.caption("Admins read comments to make answers better.")


def _judge(services: Services, person: Person, turn_id: str, key: str, comment: str) -> None:
    _save(services, person, turn_id, st.session_state.get(key), comment)


def _comment(services: Services, person: Person, turn_id: str, key: str, comment: str) -> None:
    verdict, said = st.session_state.get(key), str(st.session_state.get(comment) or "")
    _save(services, person, turn_id, verdict, said)
    page.say("Thank you, your comment is kept with the answer.")


def _save(
    services: Services, person: Person, turn_id: str, value: int | None, comment: str
) -> None:
    try:
        services.chats.feedback(person, turn_id, value, comment)
    except SwitchboardError as error:
        st.session_state["trouble"] = error
