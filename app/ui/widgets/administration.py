"""A change by an admin: permitted anew, made as the admin is now, and told."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.access.policy import require
from app.domain import Person
from app.errors import SwitchboardError
from app.ui import identity
from app.ui.widgets import page
from app.wiring import Services


def permitted(services: Services, person: Person, area: str) -> Person:
    """The person as of now, who may look after `area` of the access catalogue. Raises Denied."""
    who = identity.still(services, person)
    require(services.policy.administer(who, area), who, f"change {area}", services.ledger)
    return who


def carry_out(
    services: Services,
    person: Person,
    area: str,
    change: Callable[[Person], object],
    words: str = "",
) -> None:
    """Makes the change and draws the page again, which says `words` where it calls `page.said`; or says what stood against it."""
    try:
        change(permitted(services, person, area))
    except SwitchboardError as error:
        page.trouble(error)
    else:
        if words:
            page.say(words)
        st.rerun()
