"""Models: which there are, how they are doing, what they may be sent and cost; a test call; switching one on or off."""

from __future__ import annotations

import time

import streamlit as st

from app.domain import DataClass, Person
from app.errors import SwitchboardError
from app.routing import ModelCard, ModelHealth
from app.ui import identity
from app.ui.widgets import model_add, model_more, page
from app.ui.widgets.administration import permitted
from app.ui.widgets.receipt_html import class_tag
from app.ui.widgets.words import count, milliseconds, text
from app.wiring import Services

TEST_TIMEOUT_S = 30.0
HEALTH = {
    "healthy": ("green", "answers"),
    "unknown": ("grey", "not asked yet"),
    "failing": ("amber", "failed last time"),
    "half-open": ("amber", "being tried again"),
    "open": ("red", "left out for now"),
}


def render(services: Services, person: Person) -> None:
    page.title(
        "Models",
        "What may answer. A model is only sent documents up to its clearance, and routes leave out what is off or failing.",
    )
    page.said()
    cards = services.catalogue.cards()
    st.html(_table(services, cards))
    model_add.draw(services, person)
    for card in cards:
        _one(services, person, card)


def _table(services: Services, cards: list[ModelCard]) -> str:
    rows = "".join(
        f"<tr><td>{text(card.label)}<small>{text(card.note)}</small></td>"
        f"<td>{page.status(*_state(card, services.catalogue.health.of(card.id)))}</td>"
        f"<td>{class_tag(card.clearance)}</td>"
        f"<td class='sb-k'>{'this machine' if card.local else text(card.provider)}</td>"
        f"<td class='sb-n sb-k'>{_price(card)}</td></tr>"
        for card in cards
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Model</th><th>Health</th><th>May be sent up to</th>'
        '<th>Runs at</th><th class="sb-n">In / out, per million tokens</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _state(card: ModelCard, health: ModelHealth) -> tuple[str, str]:
    if card.retired:
        return "grey", "retired"
    return HEALTH[health.state] if card.enabled else ("grey", "off")


def _more(health: ModelHealth) -> str:
    """How soon it speaks, until when it is left out, and why."""
    half, most = health.first_token_p50_s, health.first_token_p95_s
    parts = []
    if half is not None and most is not None:
        parts.append(
            f"First words after {milliseconds(half * 1000)}, nearly always within "
            f"{milliseconds(most * 1000)}."
        )
    if health.wait_s:
        parts.append(f"Tried again in {health.wait_s:.0f} s.")
    return " ".join([*parts, health.last_error]).strip()


def _price(card: ModelCard) -> str:
    if card.price_in == card.price_out == 0:
        return "free" if card.local else "not set"
    cached = [
        f"${price:,.3f} {word}"
        for price, word in (
            (card.price_cached, "read from its cache"),
            (card.price_cache_write, "written to it"),
        )
        if price is not None
    ]
    small = f"<small>{', '.join(cached)}</small>" if cached else ""
    return f"${card.price_in:,.2f} / ${card.price_out:,.2f}{small}"


@st.fragment
def _one(services: Services, person: Person, card: ModelCard) -> None:
    person = identity.still(services, person)
    with st.expander(f"Change {card.label.split(' (')[0]}"):
        health = services.catalogue.health.of(card.id)
        if health.calls:
            said = f"{count(health.failed, 'failure')} in the last {count(health.calls, 'call')}."
            page.note(_state(card, health)[0], said, _more(health))
        with st.form(f"model_{card.id}", border=False):
            enabled = st.toggle("May answer", value=card.enabled)
            clearance = st.selectbox(
                "May be sent documents up to",
                list(DataClass),
                index=int(card.clearance),
                format_func=lambda level: DataClass(level).label,
                width=260,
            )
            with st.container(horizontal=True):
                price_in = st.number_input(
                    "US dollars per million tokens in",
                    value=card.price_in,
                    min_value=0.0,
                    format="%.3f",
                    width=260,
                )
                price_out = st.number_input(
                    "US dollars per million tokens out",
                    value=card.price_out,
                    min_value=0.0,
                    format="%.3f",
                    width=260,
                )
            with st.container(horizontal=True):
                saved = st.form_submit_button("Save", type="primary")
                tested = st.form_submit_button("Test call")
        if saved:
            _save(
                services,
                person,
                card,
                enabled,
                card.clearance if clearance is None else clearance,
                price_in,
                price_out,
            )
        if tested:
            _test(services, person, card)
        model_more.draw(services, person, card)


def _save(
    services: Services,
    person: Person,
    card: ModelCard,
    enabled: bool,
    clearance: DataClass,
    price_in: float,
    price_out: float,
) -> None:
    """Only what differs is stored, so that a later catalogue's prices reach what nobody changed."""
    try:
        permitted(services, person, "models")
        services.catalogue.change(
            person,
            card.id,
            enabled=enabled if enabled != card.enabled else None,
            clearance=clearance if clearance != card.clearance else None,
            price_in=price_in if price_in != card.price_in else None,
            price_out=price_out if price_out != card.price_out else None,
        )
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.session_state.pop("model_choices", None)
        st.toast("Saved. Questions from now on follow it.")
        st.rerun()


def _test(services: Services, person: Person, card: ModelCard) -> None:
    started = time.perf_counter()
    try:
        permitted(services, person, "models")
        with st.spinner("Asking it for one word…"):
            services.turns.on_loop(services.catalogue.check(card.id), TEST_TIMEOUT_S)
    except SwitchboardError as error:
        page.trouble(error)
    else:
        took = milliseconds((time.perf_counter() - started) * 1000)
        page.note("green", "It answered.", f"A test call took {took}.")
