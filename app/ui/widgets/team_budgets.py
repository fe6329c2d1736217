"""A team's budgets on the page Usage: its own, and those of its people where people may be named."""

from __future__ import annotations

import streamlit as st

from app.domain import Person
from app.ui.widgets import budget_html, page
from app.wiring import Services


def draw(services: Services, viewer: Person, team: str) -> None:
    """Nothing where no budget applies. The CSV is made, and its export recorded, only when its button is pressed."""
    found = services.team_budgets.of(viewer, team)
    if not found.all and not found.note:
        return
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.html('<div class="sb-question">What is left of the budgets?</div>')
        if found.all:
            st.download_button(
                "CSV",
                data=lambda: services.team_budgets.export(viewer, team),
                file_name="switchboard-budgets.csv",
                mime="text/csv",
                key="csv_budgets",
                type="tertiary",
                on_click="ignore",
            )
    if found.all:
        st.html(budget_html.table(found.all, lambda _scope, key: found.names.get(key, key)))
    if found.note:
        page.note("grey", "People.", found.note)
    st.caption(
        f"Days and months begin in {services.budgets.zone}; they are not those chosen above."
    )
