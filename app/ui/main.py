"""Runs at every interaction: proves who is looking, draws the sidebar, opens the page."""

from __future__ import annotations

import streamlit as st

from app import wiring
from app.ui import identity, navigation
from app.ui.widgets import page

st.set_page_config(page_title="Switchboard", page_icon=page.FAVICON, layout="wide")
page.style()
services = wiring.current()
person = identity.visitor(services)
if person is None:
    identity.signed_out()
else:
    navigation.run(services, person)
