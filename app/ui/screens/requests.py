"""What I asked for: every action I sent, what became of it, and my tickets at the request desk."""

from __future__ import annotations

import json
from collections.abc import Sequence

import streamlit as st

from app.db.tables import ActionRequestRow, TicketRow
from app.domain import Person
from app.ui import identity
from app.ui.widgets import offers, page
from app.ui.widgets.request_html import OPEN
from app.ui.widgets.words import text, time_html, zone_of
from app.wiring import Services

REFRESH_S = 3


def render(services: Services, person: Person) -> None:
    page.title("My requests", "What you sent from a chat, and what became of it.")
    mine = services.actions.mine(person)
    if not mine:
        page.blank(
            "Nothing sent yet",
            "When an answer offers a next step, such as opening a ticket, press its button. It will be listed here.",
        )
        return
    every = REFRESH_S if any(row.status in OPEN for row in mine) else None
    st.fragment(_list, run_every=every)(services, person)
    _tickets(services.actions.tickets(person))


def _list(services: Services, person: Person) -> None:
    person = identity.still(services, person)
    for row in services.actions.mine(person):
        _card(services, person, row)


def _card(services: Services, person: Person, row: ActionRequestRow) -> None:
    zone = zone_of(st.context.timezone)
    with st.container(border=True):
        st.html(
            f"{offers.line(services, person, row)}"
            f'<p class="sb-meta" style="margin:.3rem 0 0">Sent {time_html(row.created_at, zone)}'
            f"{_chat_link(row)}</p>"
        )
        with st.expander("Exactly what was sent"):
            st.code(json.dumps(row.payload, indent=2, ensure_ascii=False), "json", wrap_lines=True)
        if row.status == "failed" and st.button("Try again", key=f"again_{row.id}"):
            services.actions.retry(person, row.id)
            st.rerun()


def _chat_link(row: ActionRequestRow) -> str:
    if not row.conversation_id:
        return ""
    key = text(row.conversation_id)
    return f' · <a href="/?c={key}" data-sb="chat:{key}">open the chat</a>'


def _tickets(tickets: Sequence[TicketRow]) -> None:
    if not tickets:
        return
    zone = zone_of(st.context.timezone)
    rows = "".join(
        f"<tr><td class='sb-n'>#{ticket.number}</td><td>{text(ticket.title)}</td>"
        f"<td>{text(ticket.queue)}</td><td>{text(ticket.priority)}</td>"
        f"<td>{page.status('amber' if ticket.status == 'open' else 'green', ticket.status)}</td>"
        f"<td>{time_html(ticket.created_at, zone)}</td></tr>"
        for ticket in tickets
    )
    st.html(
        '<div class="sb-question">My tickets at the request desk</div>'
        '<div class="sb-table"><table><thead><tr><th class="sb-n">Ticket</th><th>Title</th>'
        "<th>Queue</th><th>Priority</th><th>Status</th><th>Opened</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
