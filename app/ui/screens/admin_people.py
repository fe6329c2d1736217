"""People: who there is, their role, whether their account is active, where they are signed in; ending any of it."""

from __future__ import annotations

import streamlit as st

from app.db.tables import PersonRow, SessionRow
from app.domain import Person, Role
from app.ui.widgets import page
from app.ui.widgets.administration import carry_out
from app.ui.widgets.words import count, permission, text, time_html, zone_of
from app.wiring import Services

CHOSEN = "id"
FROM_PROVIDER = "as the provider says"


def render(services: Services, person: Person) -> None:
    chosen = st.query_params.get(CHOSEN, "")
    if not chosen:
        _all(services)
        return
    if st.button("All people", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.clear()
        st.rerun()
    row = services.identity.accounts.get(chosen)
    if row is None:
        page.note("red", "There is nobody with this id.", "Go back to the list.")
    else:
        _one(services, person, row)


def _all(services: Services) -> None:
    page.title(
        "People",
        "Everybody who has signed in. Names, teams and groups come from your identity provider at each sign-in.",
    )
    needle = st.text_input(
        "Find",
        type="search",
        placeholder="Name, address or team",
        label_visibility="collapsed",
        live="300ms",
    )
    shown = [row for row in services.identity.accounts.people() if _matches(row, needle or "")]
    if not shown:
        page.blank("Nobody matches", "Search for part of a name, an address or a team.")
        return
    zone = zone_of(st.context.timezone)
    rows = "".join(
        f'<tr><td><a href="/people?id={text(row.id)}" data-sb="go:admin_people:{text(row.id)}">'
        f"{text(row.name)}</a><small>{text(row.email)}</small></td><td>{text(row.team or '–')}</td>"
        f"<td>{Role(row.role).label}{' (set here)' if row.role_pinned else ''}</td>"
        f"<td>{page.status(*_state(row))}</td>"
        f"<td>{time_html(row.last_seen_at, zone) if row.last_seen_at else 'never'}</td></tr>"
        for row in shown
    )
    st.html(
        '<div class="sb-table"><table><thead><tr><th>Name</th><th>Team</th><th>Role</th><th>Account</th>'
        f"<th>Last seen</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _matches(row: PersonRow, needle: str) -> bool:
    return needle.lower() in f"{row.name} {row.email} {row.team}".lower()


def _state(row: PersonRow) -> tuple[str, str]:
    return ("green", "active") if row.active else ("grey", "deactivated")


def _one(services: Services, actor: Person, row: PersonRow) -> None:
    page.title(row.name, f"{row.email} · {row.team or 'no team'}")
    page.note(*_state_note(row))
    _groups(services, row)
    _role(services, actor, row)
    _sessions(services, actor, row)
    _account(services, actor, row)


def _state_note(row: PersonRow) -> tuple[str, str, str]:
    colour, word = _state(row)
    return colour, f"{word.capitalize()}.", f"{Role(row.role).label.capitalize()}."


def _role(services: Services, actor: Person, row: PersonRow) -> None:
    choices = [FROM_PROVIDER, *Role]
    current = Role(row.role) if row.role_pinned else FROM_PROVIDER
    with st.container(horizontal=True, vertical_alignment="bottom"):
        role = st.selectbox(
            "Role",
            choices,
            index=choices.index(current),
            format_func=lambda choice: choice.label if isinstance(choice, Role) else str(choice),
            key=f"role_{row.id}",
            width=260,
        )
        if st.button("Save role", key=f"save_role_{row.id}", disabled=role == current):
            pinned = role if isinstance(role, Role) else None
            carry_out(
                services,
                actor,
                "people",
                lambda who: services.identity.accounts.set_role(who, row.id, pinned),
            )


def _groups(services: Services, row: PersonRow) -> None:
    person = services.identity.accounts.person(row.id)
    if person is None:
        return
    names = sorted(permission(p) for p in person.principals if p.startswith("group:"))
    st.html(
        '<dl class="sb-grid"><dt>Groups, nested ones included</dt>'
        f"<dd>{text(', '.join(names)) or 'none'}</dd></dl>"
    )


def _sessions(services: Services, actor: Person, row: PersonRow) -> None:
    sessions = services.identity.sessions.of(row.id)
    st.html(f'<div class="sb-question">{count(len(sessions), "session")}</div>')
    for session in sessions:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(_session_html(session, mine=session.id == actor.session_id))
            if st.button("End", key=f"end_{session.id}", type="tertiary"):
                carry_out(
                    services,
                    actor,
                    "people",
                    lambda who, session=session: services.identity.sessions.revoke_id(  # type: ignore[misc]
                        who, session.id
                    ),
                )


def _session_html(session: SessionRow, *, mine: bool) -> str:
    zone = zone_of(st.context.timezone)
    return (
        f"{text(_browser(session.user_agent))}{' · <b>this one</b>' if mine else ''} "
        f"<span class='sb-meta'>used {time_html(session.last_seen_at, zone)}, since "
        f"{time_html(session.created_at, zone)}</span>"
    )


def _browser(agent: str) -> str:
    """Roughly what people call it."""
    for mark, name in (
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ):
        if mark in agent:
            return name
    return "A browser" if agent else "Unknown"


def _account(services: Services, actor: Person, row: PersonRow) -> None:
    label = "Deactivate the account" if row.active else "Reactivate the account"
    if st.button(label, key=f"active_{row.id}", disabled=row.id == actor.id):
        carry_out(
            services,
            actor,
            "people",
            lambda who: services.identity.accounts.set_active(who, row.id, not row.active),
        )
    if row.active:
        st.caption("Deactivating ends every session and key at once.")
