"""What else an admin decides about a model: its limits, region, who it is kept for, its keys, when it retires, taking it away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.domain import Person, now
from app.routing import ModelCard
from app.routing.cards import NEVER
from app.ui.widgets import page
from app.ui.widgets.administration import carry_out
from app.ui.widgets.words import day, in_markdown, text
from app.wiring import Services


def draw(services: Services, person: Person, card: ModelCard, routes: Mapping[str, str]) -> None:
    """`routes` that name the model: intent to where, as app.routing.swaps.in_use.naming has it."""
    if nobody := unknown(services, card.audience):
        page.note(
            "amber", nobody, "Whoever joins later may use it; correct the name if it is not meant."
        )
    if card.provider != "local":
        _keys(services, person, card)
    with st.container(horizontal=True):
        _retirement(services, person, card)
        if card.added:
            _removal(services, person, card, routes)


def unknown(services: Services, audience: Sequence[str]) -> str:
    """Of which teams and groups nobody is known, as a sentence; empty where there is somebody in each."""
    names = services.identity.accounts.empty(audience) if audience else []
    return f"Nobody known is in {', '.join(names)}." if names else ""


def limits(card: ModelCard) -> dict[str, Any]:
    """In the form of the model: what stands in the fields for its limits, region and audience, by the names of the card."""
    with st.container(horizontal=True):
        at_once = st.number_input(
            "Calls at once", value=card.at_once, min_value=0, help="0: no limit.", width=160
        )
        per_minute = st.number_input(
            "Calls a minute", value=card.per_minute, min_value=0, help="0: no limit.", width=160
        )
        region = st.text_input(
            "Region", value=card.region, placeholder="eu-central-1", max_chars=80, width=200
        )
    audience = st.text_input(
        "Kept for",
        value=", ".join(card.audience),
        placeholder="Everyone",
        help="Groups and teams, such as group:idp/finance, team:Sales.",
    )
    return {
        "at_once": int(at_once),
        "per_minute": int(per_minute),
        "region": region.strip(),
        "audience": tuple(name.strip() for name in audience.split(",") if name.strip()),
    }


def _keys(services: Services, person: Person, card: ModelCard) -> None:
    keyring, pool = services.catalogue.keyring, services.catalogue.pool
    ending, stored = keyring.given(card.account), keyring.stored(card.account)
    known = "Keys" if ending or stored else "No key is stored"
    st.html(f'<p class="sb-meta">{known} for {text(card.account)}</p>')
    if ending:
        st.html(f"<p>…{text(ending)} <span class='sb-meta'>from the settings</span></p>")
    for key in stored:
        with st.container(horizontal=True, vertical_alignment="center"):
            health = pool.health(key.id)
            reason = f" {health.reason}" if health.reason else ""
            st.html(
                f"<span>…{text(key.ending)}</span> <span class='sb-meta'>{text(health.state + reason)}</span>"
            )
            if st.button("Remove", key=f"key_{card.id}_{key.id}", type="tertiary"):
                _do(
                    services,
                    person,
                    lambda who, key=key: services.catalogue.remove_key(who, key.id),  # type: ignore[misc]
                    "The key is removed.",
                )
    with st.form(f"key_{card.id}", border=False, clear_on_submit=True):
        secret = st.text_input("Another key", type="password", autocomplete="off", width=360)
        if st.form_submit_button("Add the key"):
            _do(
                services,
                person,
                lambda who: services.catalogue.add_key(who, card.account, secret),
                "The key is stored, encrypted.",
            )


def _retirement(services: Services, person: Person, card: ModelCard) -> None:
    if card.retired:
        if st.button("Bring it back", key=f"restore_{card.id}"):
            _do(
                services,
                person,
                lambda who: services.catalogue.change(who, card.id, retired_on=NEVER),
                "It may answer again.",
            )
        return
    planned = card.retires_on
    if planned:
        st.html(f'<p class="sb-meta">It retires on {day(planned)}.</p>')
        if st.button("Cancel its retirement", key=f"keep_{card.id}"):
            _do(
                services,
                person,
                lambda who: services.catalogue.change(who, card.id, retired_on=NEVER),
                "It does not retire.",
            )
    with st.popover("Another date" if planned else "Retire"):
        st.write("Routes leave it out from then on. It can be brought back.")
        today = now().date()
        on = st.date_input("From", value=planned or today, min_value=today, key=f"day_{card.id}")
        if st.button("Retire it", key=f"retire_{card.id}") and on is not None:
            _do(
                services,
                person,
                lambda who: services.catalogue.change(who, card.id, retired_on=on),
                "Its retirement is set.",
            )


def _removal(
    services: Services, person: Person, card: ModelCard, routes: Mapping[str, str]
) -> None:
    """Says what routes that name it are called; of those that name it in a draft or canary only, that."""
    named = [
        services.table.entry(intent).label + ("" if place == "published" else f" ({place})")
        for intent, place in routes.items()
    ]
    with st.popover("Remove"):
        st.write(
            "Its settings go, and keys that no other model uses. Receipts keep its name. Routes that name it pass it over."
        )
        if named:
            st.write(f"Now it is named by: {in_markdown(', '.join(named))}.")
        if st.button("Remove the model", key=f"gone_{card.id}"):
            _do(
                services,
                person,
                lambda who: services.catalogue.remove_model(who, card.id),
                "The model is removed.",
            )


def _do(services: Services, person: Person, change: Callable[[Person], object], says: str) -> None:
    """Chat pages list the models that may be chosen; they look again."""

    def changed(who: Person) -> None:
        change(who)
        st.session_state.pop("model_choices", None)

    carry_out(services, person, "models", changed, says)
