"""Models: which there are, how they are doing, what they may be sent and cost; testing one; switching one on or off."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.domain import DataClass, Person
from app.errors import SwitchboardError
from app.llm.guard import TICK
from app.routing import ModelCard, ModelHealth
from app.routing.labels import LONGEST_LABEL
from app.routing.swaps.in_use import naming
from app.ui import identity
from app.ui.widgets import model_add, model_checks, model_more, page
from app.ui.widgets.administration import permitted
from app.ui.widgets.choices import shortened
from app.ui.widgets.model_add import ANY_DIGITS, FREE, FREE_HELP
from app.ui.widgets.receipt_html import class_tag
from app.ui.widgets.words import count, day, in_markdown, milliseconds, price, text
from app.wiring import Services

UNPRICED = "Left out where a budget applies: set its price, or declare it free."
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
    names = shortened({card.id: card.label for card in cards})
    st.html(_table(services, cards))
    model_add.draw(services, person)
    routes = naming(services.database, services.table)
    for card in cards:
        _one(services, person, card, names[card.id], routes.get(card.id, {}))


def _table(services: Services, cards: list[ModelCard]) -> str:
    rows = "".join(
        f"<tr><td>{text(card.label)}<small>{text(_note(card))}</small></td>"
        f"<td>{page.status(*_state(card, services.catalogue.health.of(card.id)))}</td>"
        f"<td>{class_tag(card.clearance)}</td>"
        f"<td class='sb-k'>{'this machine' if card.local else text(card.provider)}</td>"
        f"<td class='sb-n sb-k'>{_price(card)}</td></tr>"
        for card in cards
    )
    return (
        '<div class="sb-table sb-models"><table><thead><tr><th>Model</th><th>Health</th><th>May be sent up to</th>'
        '<th>Runs at</th><th class="sb-n">In / out, per million tokens</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _state(card: ModelCard, health: ModelHealth) -> tuple[str, str]:
    if card.retired:
        return "grey", "retired"
    colour, word = HEALTH[health.state] if card.enabled else ("grey", "off")
    return colour, f"{word}, retires {day(card.retires_on)}" if card.retires_on else word


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


def _note(card: ModelCard) -> str:
    return card.note if card.price_known else f"{card.note} {UNPRICED}"


def _price(card: ModelCard) -> str:
    if not card.price_known:
        return "not known"
    if card.price_in == card.price_out == 0:
        return "free"
    cached = [
        f"{price(usd, 3)} {word}"
        for usd, word in (
            (card.price_cached, "read from its cache"),
            (card.price_cache_write, "written to it"),
        )
        if usd is not None
    ]
    small = f"<small>{', '.join(cached)}</small>" if cached else ""
    return f"{price(card.price_in)} / {price(card.price_out)}{small}"


@st.fragment
def _one(
    services: Services, person: Person, card: ModelCard, name: str, routes: dict[str, str]
) -> None:
    person = identity.still(services, person)
    with st.expander(f"Change {in_markdown(name)}"):
        health = services.catalogue.health.of(card.id)
        if health.calls:
            page.note(_state(card, health)[0], _recent(health), _more(health))
        with st.form(f"model_{card.id}", border=False):
            entered = _entered(card)
            with st.container(horizontal=True):
                saved = st.form_submit_button("Save", type="primary")
                tested = st.form_submit_button("Test")
        if saved:
            _save(services, person, card, entered)
        if tested:
            _test(services, person, card, changed=bool(_changed(card, entered)))
        model_more.draw(services, person, card, routes)


def _recent(health: ModelHealth) -> str:
    calls = "call" if health.calls == 1 else count(health.calls, "call")
    if not health.failed:
        return f"No failure in the last {calls}."
    return f"{count(health.failed, 'failure')} in the last {calls}."


def _entered(card: ModelCard) -> dict[str, Any]:
    """What stands in the form, by the names of the card."""
    entered: dict[str, Any] = {"enabled": st.toggle("May answer", value=card.enabled)}
    # A name that is longer comes from a card that no admin wrote; the field would not open with it.
    longest = max(LONGEST_LABEL, len(card.label))
    entered["label"] = st.text_input(
        "What people see", value=card.label, max_chars=longest, width=380
    ).strip()
    clearance = st.selectbox(
        "May be sent documents up to",
        list(DataClass),
        index=int(card.clearance),
        format_func=lambda level: DataClass(level).label,
        width=260,
    )
    entered["clearance"] = card.clearance if clearance is None else clearance
    with st.container(horizontal=True):
        for name, label in (
            ("price_in", "US dollars per million tokens in"),
            ("price_out", "US dollars per million tokens out"),
        ):
            entered[name] = st.number_input(
                label, value=float(getattr(card, name)), min_value=0.0, format=ANY_DIGITS, width=260
            )
    if not card.local:
        entered["free"] = st.checkbox(FREE, value=card.free, help=FREE_HELP)
    entered |= model_more.limits(card)
    if card.base_url:
        entered["inside"] = st.checkbox(TICK, value=card.inside, help=card.base_url)
    return entered


def _save(services: Services, person: Person, card: ModelCard, entered: dict[str, Any]) -> None:
    """Only what differs is stored, so that a later catalogue's prices reach what nobody changed."""
    changed = _changed(card, entered)
    try:
        permitted(services, person, "models")
        services.catalogue.change(person, card.id, **changed)
    except SwitchboardError as error:
        page.trouble(error)
    else:
        st.session_state.pop("model_choices", None)
        nobody = model_more.unknown(services, changed.get("audience", ()))
        page.say(f"Saved. {nobody or 'Questions from now on follow it.'}")
        st.rerun()


def _changed(card: ModelCard, entered: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entered.items() if value != getattr(card, name)}


def _test(services: Services, person: Person, card: ModelCard, *, changed: bool) -> None:
    if changed:
        page.note("amber", "It is tested as it was saved.", "Save what you changed and test again.")
    try:
        permitted(services, person, "models")
        checks = model_checks.run(services, services.catalogue.examine(card.id))
    except SwitchboardError as error:
        page.trouble(error)
    else:
        model_checks.show(checks)
