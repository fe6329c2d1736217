"""Approvals: what waits for my decision, oldest first, and what I decided before."""

from __future__ import annotations

import json
import time

import streamlit as st

from app.db.tables import ActionRequestRow
from app.domain import Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import budget_html, model_form, offers, page
from app.ui.widgets.request_html import status_of
from app.ui.widgets.words import text, time_html, zone_of
from app.wiring import Services

REFRESH_S = 5
TOLD_S = 60.0
RISK_DOTS = {"low": "green", "medium": "amber", "high": "red"}
BEFORE = 20


def render(services: Services, person: Person) -> None:
    page.title("Waiting for you", "Requests that run only after you agree.")
    _waiting(services, person)
    _decided(services, person)


@st.fragment(run_every=REFRESH_S)
def _waiting(services: Services, person: Person) -> None:
    person = identity.still(services, person)
    if st.session_state.pop("decided", False):
        st.rerun()  # the number in the sidebar and the list below change too
    page.said()
    waiting = services.actions.waiting_for(person)
    refused, error = _refused()
    if error is not None and refused not in {row.id for row in waiting}:
        page.trouble(error)
    if not waiting:
        page.blank(
            "Nothing waits for you",
            "When somebody in your team sends a request that needs approval, it appears here by itself.",
        )
    for row in waiting:
        with st.container(border=True, key=f"card_{row.id}"):
            _card(services, person, row)


def _card(services: Services, person: Person, row: ActionRequestRow) -> None:
    st.html(_about(services, row))
    with st.expander("Exactly what will be sent"):
        st.code(json.dumps(row.payload, indent=2, ensure_ascii=False), "json", wrap_lines=True)
        st.caption(f"Your approval holds for this content only (SHA-256 {row.payload_hash[:12]}…).")
    reason = f"reason_{row.id}"
    st.text_input(
        "Comment",
        key=reason,
        max_chars=500,
        placeholder="A reason, needed if you reject",
        label_visibility="collapsed",
        on_change="ignore",
    )
    with st.container(horizontal=True):
        for label, approve, kind in (("Approve", True, "primary"), ("Reject", False, "secondary")):
            st.button(
                label,
                key=f"{label}_{row.id}",
                type=kind,  # type: ignore[arg-type]
                on_click=_decide,
                args=(services, person, row.id, approve, reason),
            )
    refused, error = _refused()
    if error is not None and refused == row.id:
        page.trouble(error)


def _refused() -> tuple[str, SwitchboardError | None]:
    """Which request could not be decided a moment ago, and why. Told under its buttons, so that they do not move while somebody
    presses them, and longer than until the page looks again."""
    refused, error, at = st.session_state.get("refused") or ("", None, 0.0)
    return (refused, error) if time.monotonic() - at < TOLD_S else ("", None)


def _about(services: Services, row: ActionRequestRow) -> str:
    who = services.identity.accounts.get(row.person_id)
    zone = zone_of(st.context.timezone)
    definition = services.actions.definition(row.action)
    said = model_form.labelled(definition.parameters, row.arguments) | _budget(services, row)
    grid = "".join(
        f"<dt>{text(label)}</dt><dd>{text(value)}</dd>"
        for label, value in said.items()
        if value not in ("", None)
    )
    return (
        f'<div class="sb-page"><h1 style="font-size:1.05rem">{text(who.name if who else "Somebody")} '
        f"{text(definition.request)}</h1></div>"
        f'<p class="sb-meta" style="margin:.2rem 0 .7rem">{text(row.team or "no team")} · asked '
        f'{time_html(row.created_at, zone)} · <span class="sb-dot sb-{RISK_DOTS[definition.risk]}">'
        f"</span>{definition.risk} risk</p>"
        f'<dl class="sb-grid">{grid}<dt>Why it waits</dt><dd>{text(row.policy_reason)}</dd></dl>'
    )


def _budget(services: Services, row: ActionRequestRow) -> dict[str, str]:
    """What the request for more money is about, as it stands now."""
    key = services.actions.sum_of(row)
    if key is None:
        return {}
    standing = services.budgets.book.of_sum(key)
    if standing is None:
        return {"Budget": "It has been removed."}
    account = services.identity.accounts.get(key.key)
    return budget_html.about(standing, account.name if account else key.key)


def _decide(
    services: Services, person: Person, request_id: str, approve: bool, reason: str
) -> None:
    current = identity.as_of_now(services, person)
    if current is None:
        return
    try:
        services.actions.decide(
            current, request_id, approve, str(st.session_state.get(reason) or "")
        )
    except SwitchboardError as error:
        st.session_state["refused"] = request_id, error, time.monotonic()
    else:
        st.session_state["decided"] = True
        st.session_state.pop("refused", None)
        page.say("Approved. It runs now." if approve else "Rejected. They see your reason.")


def _decided(services: Services, person: Person) -> None:
    rows = services.actions.decided_by(person)[:BEFORE]
    if not rows:
        return
    zone = zone_of(st.context.timezone)
    lines = "".join(
        _decided_row(services, row, time_html(row.decided_at or row.created_at, zone))
        for row in rows
    )
    st.html(
        '<div class="sb-question">What you decided before</div>'
        '<div class="sb-table"><table><thead><tr><th>Request</th><th>By</th><th>Now</th>'
        f"<th>Your words</th><th>Decided</th></tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _decided_row(services: Services, row: ActionRequestRow, when: str) -> str:
    who = services.identity.accounts.get(row.person_id)
    colour, word = status_of(row)
    return (
        f"<tr><td>{text(offers.label_of(services, row.action, for_others=True))}</td>"
        f"<td>{text(who.name if who else row.person_id)}</td><td>{page.status(colour, word)}</td>"
        f"<td>{text(row.decision_comment or '–')}</td><td>{when}</td></tr>"
    )
