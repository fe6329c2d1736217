"""Who is looking. The cookie proves it at each run of the page, the session at each run of a part of it."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from app.domain import Person
from app.identity import SESSION_COOKIE
from app.ui.widgets.page import mark
from app.wiring import Services

ONE_RUN_S = 0.5


def visitor(services: Services) -> Person | None:
    """The person whose session cookie the browser sent, checked against the database now."""
    token = st.context.cookies.get(SESSION_COOKIE)
    return services.identity.sessions.resolve(token if isinstance(token, str) else None)


def still(services: Services, person: Person) -> Person:
    """For fragments, which run without the page: the same person as of now. Leaves for the sign-in page when their session
    or account has ended since. Fragments that run right after one another share one check."""
    current = as_of_now(services, person)
    if current is None:
        st.rerun()
    return current


def as_of_now(services: Services, person: Person) -> Person | None:
    """The same for a callback, which cannot leave: None when the session has ended."""
    at = time.monotonic()
    known = st.session_state.get("checked")
    if known is not None and known[0] > at - ONE_RUN_S and known[1].session_id == person.session_id:
        checked: Person = known[1]
        return checked
    current = services.identity.sessions.resume(person.session_id)
    if current is not None:
        st.session_state["checked"] = (at, current)
    return current


def here() -> str:
    """The local address of this page with its query, for coming back after signing in."""
    path = urlsplit(st.context.url or "/").path or "/"
    query = urlencode(st.query_params.to_dict())
    return f"{path}?{query}" if query else path


def signed_out() -> None:
    """The page for somebody without a session."""
    target = f"/auth/login?next={quote(here(), safe='')}"
    st.html(
        f'<div class="sb-gate">{mark()}<h1>Sign in to Switchboard</h1>'
        "<p>Ask about your company and get answers from the documents you may read, with their sources.</p>"
        f'<a class="sb-button" href="{target}">Sign in</a></div>'
    )
