"""The next step: buttons under an answer, the form each opens, and what became of what was sent."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from app.chat import TurnView
from app.db.tables import ActionRequestRow
from app.domain import Offer, Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import model_form, page
from app.ui.widgets.request_html import OPEN, request_line
from app.wiring import Services

REFRESH_S = 2


def draw(services: Services, person: Person, turn: TurnView, *, sent_before: bool) -> None:
    """`sent_before` False spares looking for requests of this conversation where there cannot be any."""
    requests = services.actions.of_conversation(turn.conversation_id) if sent_before else []
    sent = {row.offer_id for row in requests}
    fresh = [offer for offer in turn.offers if offer.id not in sent]
    if fresh:
        with st.container(key="offers", horizontal=True, gap="small"):
            for offer in fresh:
                if st.button(offer.label, key=f"open_{offer.id}", icon=":material/bolt:"):
                    ask(services, person, offer, turn.id, turn.conversation_id)
    if requests:
        waiting = any(row.status in OPEN for row in requests)
        every = REFRESH_S if waiting else None
        st.fragment(_outcomes, run_every=every)(services, person, turn.conversation_id, waiting)


def ask(
    services: Services, person: Person, offer: Offer, turn_id: str = "", conversation_id: str = ""
) -> None:
    """Opens the form as a dialog; an offer that no answer made belongs to no turn."""
    st.dialog(offer.label, width="medium")(_form)(services, person, offer, turn_id, conversation_id)


def _form(
    services: Services, person: Person, offer: Offer, turn_id: str, conversation_id: str
) -> None:
    """What the person edits is exactly what is sent: the payload below follows each change."""
    try:
        definition = services.actions.definition(offer.action)
    except SwitchboardError as error:
        page.trouble(error)
        return
    st.caption(definition.help)
    tried = f"tried_{offer.id}"
    form, key = definition.parameters, offer.id
    before = model_form.standing(form, offer.arguments, key=key)
    arguments = model_form.fields(
        form,
        offer.arguments,
        key=key,
        origins=offer.origins,
        problems=definition.problems(before) if st.session_state.get(tried) else {},
    )
    problems = definition.problems(arguments)
    with st.expander("Exactly what is sent"):
        if problems:
            st.caption("Complete the form to see it.")
        else:
            payload = services.actions.payload(offer.action, person, arguments)
            st.code(_pretty(payload), "json", wrap_lines=True)
    st.caption(f"{offer.next_step}.")
    pressed = st.button(
        definition.label, type="primary", key=f"send_{offer.id}", on_click=_try, args=(tried,)
    )
    if pressed and not problems:
        _send(services, person, offer, arguments, turn_id, conversation_id)


def _try(key: str) -> None:
    """From now on the form says what is wrong with it."""
    st.session_state[key] = True


def _send(
    services: Services,
    person: Person,
    offer: Offer,
    arguments: dict[str, Any],
    turn_id: str,
    conversation_id: str,
) -> None:
    try:
        current = identity.still(services, person)
        services.actions.submit(
            current, offer.id, offer.action, arguments, turn_id, conversation_id
        )
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.rerun()


def _outcomes(services: Services, person: Person, conversation_id: str, was_waiting: bool) -> None:
    person = identity.still(services, person)
    requests = services.actions.of_conversation(conversation_id)
    st.html("".join(line(services, person, row) for row in reversed(requests)))
    for row in requests:
        if row.status == "failed" and st.button("Try again", key=f"retry_{row.id}"):
            services.actions.retry(person, row.id)
            st.rerun()
    if was_waiting and not any(row.status in OPEN for row in requests):
        st.rerun()


def line(services: Services, person: Person, row: ActionRequestRow) -> str:
    """One request of the person's own, as HTML."""
    waits_for = ""
    if row.status == "waiting":
        decision = services.policy.run_action(person, row.action)
        waits_for = services.actions.next_step(person, decision)
    decider = services.identity.accounts.get(row.decided_by) if row.decided_by else None
    return request_line(
        row, label_of(services, row.action), waits_for, decider.name if decider else ""
    )


def label_of(services: Services, action: str, *, for_others: bool = False) -> str:
    """What the button is called, or `for_others` what somebody sent with it; its plain name once it is no longer offered."""
    try:
        definition = services.actions.definition(action)
    except SwitchboardError:
        return action.replace("_", " ").capitalize()
    return definition.name_of_request if for_others else definition.label


def _pretty(payload: Any) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False, default=str)
