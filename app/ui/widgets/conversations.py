"""The list of conversations in the sidebar: new, search, open, rename, delete with undo.

The list is drawn as one piece of HTML and runs by itself (fragment `recents`), so that a new question can refresh it without
drawing the rest of the page.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import streamlit as st

from app.chat import ConversationView
from app.domain import Person, now
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import page
from app.ui.widgets.words import day_group, text, zone_of
from app.wiring import Services

PAGE = 30
UNDO_S = 60.0
OPEN = "c"
"""The query parameter that names the open conversation."""


def draw(services: Services, person: Person, chat: Any, *, on_chat: bool) -> None:
    new = st.button(
        "New chat", icon=":material/add:", shortcut="Ctrl+K", width="stretch", key="new_chat"
    )
    if new:
        open_chat(chat, "", on_chat)
    st.text_input(
        "Search your chats",
        type="search",
        placeholder="Search your chats",
        label_visibility="collapsed",
        icon=":material/search:",
        live="300ms",
        key="search",
    )
    recents(services, person, on_chat)


def open_chat(chat: Any, conversation_id: str, on_chat: bool) -> None:
    """Goes to a conversation, or to an empty chat for ''."""
    st.session_state.pop("editing", None)
    if not on_chat:
        st.switch_page(chat, query_params={OPEN: conversation_id} if conversation_id else None)
    if conversation_id:
        st.query_params[OPEN] = conversation_id
    else:
        st.query_params.clear()
    st.rerun()


@st.fragment(key="recents")
def recents(services: Services, person: Person, on_chat: bool) -> None:
    person = identity.still(services, person)
    query = str(st.session_state.get("search") or "")
    _undo(services, person)
    limit = int(st.session_state.get("recents_limit", PAGE))
    found = services.chats.list(person, query, limit=limit + 1)
    current = st.query_params.get(OPEN, "") if on_chat else ""
    st.html(_list_html(found[:limit], current, query))
    if len(found) > limit and st.button("Show more", type="tertiary", key="more_chats"):
        st.session_state["recents_limit"] = limit + PAGE
        st.rerun(scope="fragment")


def _list_html(found: Sequence[ConversationView], current: str, query: str) -> str:
    if not found:
        words = (
            f"No chat of yours mentions “{text(query)}”."
            if query
            else "Your chats will be listed here. Ask something to begin."
        )
        return f'<div class="sb-empty">{words}</div>'
    zone, moment = zone_of(st.context.timezone), now()
    parts = []
    for day, group in groupby(found, lambda c: day_group(c.updated_at, moment, zone)):
        rows = "".join(_row_html(c, c.id == current) for c in group)
        parts.append(f'<div class="sb-group">{day}</div>{rows}')
    return f'<nav class="sb-chats" aria-label="Your chats">{"".join(parts)}</nav>'


def _row_html(conversation: ConversationView, on: bool) -> str:
    name, key = text(conversation.title), text(conversation.id)
    return (
        f'<div class="sb-row{" sb-on" if on else ""}">'
        f'<a class="sb-open" href="/?{OPEN}={key}" data-sb="chat:{key}" title="{name}"'
        f"{' aria-current=page' if on else ''}>{name}</a>"
        f'<a class="sb-more" href="#more" data-sb="more:{key}" '
        f'aria-label="Rename or delete {name}">···</a></div>'
    )


@st.dialog("This chat", width="small")
def change_dialog(services: Services, person: Person, conversation_id: str) -> None:
    try:
        conversation = services.chats.get(person, conversation_id)
    except SwitchboardError as error:
        page.trouble(error)
        return
    title = st.text_input("Name", value=conversation.title, max_chars=200, key="chat_title")
    with st.container(horizontal=True):
        if st.button("Rename", type="primary", key="rename"):
            try:
                services.chats.rename(person, conversation_id, title)
            except SwitchboardError as error:
                page.trouble(error)
            else:
                st.rerun()
        if st.button("Delete", icon=":material/delete:", key="delete"):
            delete(services, person, conversation_id, conversation.title)
            st.rerun()
    st.caption("A deleted chat can be brought back for a moment with Undo.")


def delete(services: Services, person: Person, conversation_id: str, title: str) -> None:
    """Deletes and offers Undo for a while. The page leaves the chat if it was open."""
    services.chats.delete(person, conversation_id)
    st.session_state["undo"] = (conversation_id, title, time.monotonic())
    if st.query_params.get(OPEN) == conversation_id:
        st.query_params.clear()


def _undo(services: Services, person: Person) -> None:
    conversation_id, title, at = st.session_state.get("undo") or ("", "", 0.0)
    if not conversation_id or time.monotonic() - at > UNDO_S:
        return
    with st.container(
        key="undo", horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        short = title if len(title) <= 16 else title[:15].rstrip() + "…"
        st.html(
            f'<span class="sb-status" role="status">Deleted “{text(short)}”</span>', width="content"
        )
        if st.button("Undo", type="tertiary", key="undo_delete"):
            services.chats.restore(person, conversation_id)
            del st.session_state["undo"]
            st.query_params[OPEN] = conversation_id
            st.rerun()
