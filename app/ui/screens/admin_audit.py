"""The log: what happened, newest first; whether it still holds together; and a copy of it."""

from __future__ import annotations

import json
from datetime import tzinfo

import streamlit as st

from app.access.policy import require
from app.domain import Person
from app.records.read import TYPES, EventFilter, EventLog, EventView
from app.ui.widgets import page
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import count, text, time_html, zone_of
from app.wiring import Services

PAGE = 50
ANY = "Everything"


def render(services: Services, person: Person) -> None:
    page.title(
        "Audit",
        "Every sign-in, question, route, search, model call, action, change and denial, in a chain that shows any tampering.",
    )
    _chain(services, person)
    kind, who = _filters(services)
    wanted = EventFilter(types=() if kind == ANY else (kind,), actor=who)
    limit = int(st.session_state.get("audit_limit", PAGE))
    shown = EventLog(services.database).page(wanted, limit=min(limit, 200))
    if not shown.events:
        page.blank("Nothing of this kind yet", "Choose another kind or person.")
        return
    st.html(_table(shown.events, zone_of(st.context.timezone)))
    if shown.older is not None and limit < 200 and st.button("Show older", type="tertiary"):
        st.session_state["audit_limit"] = limit + PAGE
        st.rerun()
    if shown.older is not None and limit >= 200:
        st.caption("Older events are in the copy.")


def _chain(services: Services, person: Person) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        verify = st.button("Verify the chain", icon=":material/verified:")
        st.download_button(
            "Download a copy",
            data=lambda: _copy(services, person),
            file_name="switchboard-audit.jsonl",
            mime="application/jsonl",
            icon=":material/download:",
            on_click="ignore",
        )
    if not verify:
        return
    result = services.ledger.verify()
    if result.broken is None:
        page.note(
            "green",
            "The chain holds.",
            f"{count(result.events, 'event')}, head {result.head[:16]}…. Note the head elsewhere to prove it later.",
        )
    else:
        page.note(
            "red",
            f"Event {result.broken.seq}: {result.broken.problem}.",
            "Keep a copy of the database as it is and find out who changed it.",
        )


def _copy(services: Services, person: Person) -> str:
    """As JSON lines. The right to it is asked again, because a download has its own address."""
    require(services.policy.administer(person, "audit"), person, "copy the log", services.ledger)
    return "\n".join(EventLog(services.database).export()) + "\n"


def _filters(services: Services) -> tuple[str, str]:
    accounts = {row.id: row for row in services.identity.accounts.people()}
    people = {"": "Anybody", "system": "Switchboard itself"}
    people |= {key: row.name for key, row in accounts.items()}
    people = told_apart(people, lambda key: accounts[key].email if key in accounts else "no person")
    with st.container(horizontal=True):
        kind = st.selectbox(
            "Kind",
            [ANY, *TYPES],
            format_func=lambda name: name.replace("_", " ").capitalize(),
            label_visibility="collapsed",
        )
        who = st.selectbox(
            "Person",
            list(people),
            format_func=lambda key: people.get(key, key),
            label_visibility="collapsed",
        )
    return kind or ANY, who or ""


def _table(events: tuple[EventView, ...], zone: tzinfo) -> str:
    rows = "".join(_row(event, zone) for event in events)
    return (
        '<div class="sb-table"><table><thead><tr><th class="sb-n">No.</th><th>When</th><th>What</th>'
        f"<th>Who</th><th>Details</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(event: EventView, zone: tzinfo) -> str:
    colour = "red" if event.type in ("access_denied", "sign_in_failed") else "grey"
    return (
        f'<tr><td class="sb-n">{event.seq}</td><td>{time_html(event.at, zone)}</td>'
        f"<td>{page.status(colour, event.type.replace('_', ' '))}</td><td class='sb-k'>{text(event.actor_name)}</td>"
        f"<td><details><summary>{text(_gist(event))}</summary><code style='white-space:pre-wrap'>"
        f"{text(json.dumps(event.fields, indent=1, ensure_ascii=False))}\nsubject {text(event.subject)}\n"
        f"hash {text(event.hash)}</code></details></td></tr>"
    )


def _gist(event: EventView) -> str:
    parts = [
        f"{k.replace('_', ' ')}: {v}"
        for k, v in event.fields.items()
        if isinstance(v, str | int | float) and v != "" and not k.endswith(("sha", "sha256"))
    ]
    line = ", ".join(parts)
    return line if len(line) <= 90 else line[:89] + "…"
