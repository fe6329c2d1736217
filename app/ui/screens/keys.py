"""Personal keys for the API: made here, shown once, revoked here. A key may do what its owner may do."""

from __future__ import annotations

import streamlit as st

from app.db.tables import ApiKeyRow
from app.domain import Person, now
from app.errors import SwitchboardError
from app.ui.widgets import page
from app.ui.widgets.words import text, time_html, zone_of
from app.wiring import Services

LIVES = {"30 days": 30, "90 days": 90, "One year": 365}


def render(services: Services, person: Person) -> None:
    page.title(
        "Keys",
        "For programs that ask on your behalf, through the OpenAI-compatible address below. A key sees what you see.",
    )
    st.code(
        f"base_url = {services.settings.address}/v1\nmodel    = auto",
        language=None,
    )
    _new(services, person)
    _list(services, person)


def _new(services: Services, person: Person) -> None:
    with (
        st.form("new_key", clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        name = st.text_input("What is it for?", placeholder="Nightly report", max_chars=80)
        life = st.selectbox("Lives for", list(LIVES), index=1, width=160)
        made = st.form_submit_button("Create key", type="primary")
    if made:
        try:
            secret, _row = services.identity.keys.create(person.id, name, LIVES[life], person.id)
        except SwitchboardError as error:
            page.trouble(error)
        else:
            page.note("green", "Copy it now.", "It is shown this once and stored as a hash only.")
            st.code(secret, language=None)


def _list(services: Services, person: Person) -> None:
    keys = services.identity.keys.of(person.id)
    if not keys:
        page.blank(
            "No keys yet",
            "Name one above and create it. It will be listed here until you revoke it.",
        )
        return
    for key in keys:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.html(_about(key))
            if _state(key)[1] == "works" and st.button("Revoke", key=f"revoke_{key.id}"):
                services.identity.keys.revoke(person, key.id)
                st.rerun()


def _state(key: ApiKeyRow) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "grey", "revoked"
    return ("grey", "expired") if key.expires_at <= now() else ("green", "works")


def _about(key: ApiKeyRow) -> str:
    zone = zone_of(st.context.timezone)
    used = f"used {time_html(key.last_used_at, zone)}" if key.last_used_at else "never used"
    return (
        f"<b>{text(key.name)}</b> &nbsp; <code>{text(key.prefix)}…</code> &nbsp; "
        f"{page.status(*_state(key))}<br><span class='sb-meta'>{used} · ends "
        f"{text(key.expires_at.astimezone(zone).strftime('%-d %b %Y'))}</span>"
    )
