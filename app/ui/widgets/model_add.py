"""Adding a model in the browser: what and where it is, its key, and checks before it may answer."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.domain import DataClass, Person
from app.errors import SwitchboardError
from app.llm.checks import ADDRESS, KNOWN, Check, Outcome
from app.llm.guard import TICK
from app.routing.added import PROVIDERS, NewModel, Provider
from app.routing.examination import answers
from app.routing.labels import LONGEST_LABEL
from app.ui.widgets import model_checks, page
from app.ui.widgets.administration import permitted
from app.ui.widgets.words import in_markdown
from app.wiring import Services

ADDED = "models_added"
FAILED = "model_checks"
ANY_DIGITS = "%g"
"""A price below a cent would read as 0 with a fixed number of digits."""
FREE = "Free: its answers cost us nothing"
FREE_HELP = "Such as a server of your own. A model whose price is not known is left out where a budget applies."
NAMES: dict[str, str] = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "compatible": "OpenAI-compatible server",
}


def draw(services: Services, person: Person) -> None:
    """What was entered stays when it is refused; once a model is added an empty form takes its place, so that no key lingers."""
    form = f"add_model_{st.session_state.get(ADDED, 0)}"
    model_checks.show(st.session_state.pop(FAILED, ()))
    with st.expander("Add a model", icon=":material/add:"):
        with st.form(form, border=False):
            new, key = _fields(form)
            with st.container(horizontal=True):
                added = st.form_submit_button("Add and test", type="primary")
                tested = st.form_submit_button("Test only", help="Nothing is stored.")
        if tested and new is not None:
            _test(services, person, new, key)
        if added and new is not None:
            _add(services, person, new, key)


def _fields(form: str) -> tuple[NewModel | None, str]:
    with st.container(horizontal=True):
        provider: Provider | None = st.selectbox(
            "Provider", PROVIDERS, format_func=NAMES.__getitem__, key=f"{form}_provider", width=260
        )
        name = st.text_input(
            "Model id", placeholder="gpt-5-mini", help="As the provider writes it.", width=260
        )
        label = st.text_input(
            "What people see", placeholder="The same", max_chars=LONGEST_LABEL, width=260
        )
    url = st.text_input(
        "Address",
        placeholder="Empty for the provider's own; http://gpu-1:8000/v1",
        help="The address that the server's API begins with.",
    )
    inside = st.checkbox(
        TICK,
        help="For your own model server: an address in a private network is refused without this.",
    )
    key = st.text_input(
        "Key",
        type="password",
        autocomplete="off",
        help="Stored encrypted; only its last characters are ever shown. Empty where the account has one, or none is wanted.",
    )
    with st.container(horizontal=True):
        clearance = st.selectbox(
            "May be sent documents up to",
            list(DataClass),
            index=int(DataClass.INTERNAL),
            format_func=lambda level: DataClass(level).label,
            key=f"{form}_clearance",
            width=260,
        )
        context = st.number_input(
            "Tokens that it reads", value=None, min_value=1_000, placeholder="As listed", width=180
        )
        price_in = st.number_input(
            "US dollars per million tokens in", value=None, min_value=0.0, format=ANY_DIGITS,
            placeholder="As listed", key=f"{form}_price_in", width=240,
        )  # fmt: skip
        price_out = st.number_input(
            "US dollars per million tokens out", value=None, min_value=0.0, format=ANY_DIGITS,
            placeholder="As listed", key=f"{form}_price_out", width=240,
        )  # fmt: skip
    free = st.checkbox(FREE, help=FREE_HELP)
    if provider is None or clearance is None:
        return None, ""
    return (
        NewModel(
            provider=provider,
            model_name=name,
            label=label,
            base_url=url,
            inside=inside,
            context_tokens=int(context or 0),
            clearance=clearance,
            price_in=price_in,
            price_out=price_out,
            free=free,
            enabled=False,
        ),
        key,
    )


def _test(services: Services, person: Person, new: NewModel, key: str) -> None:
    try:
        # Testing makes this server call an address that somebody typed.
        permitted(services, person, "models")
        checks = model_checks.run(services, services.catalogue.try_out(new, key))
    except SwitchboardError as error:
        page.trouble(error)
    else:
        where = new.base_url.strip() or NAMES[new.provider]
        st.caption(f"What a test of {in_markdown(f'{new.model_name.strip()} at {where}')} said:")
        model_checks.show(checks)


def _next(checks: Sequence[Check]) -> str:
    """What to do about the first check that failed: a key is not to blame for an address that nobody listens at."""
    failed = next((check.name for check in checks if check.outcome is Outcome.FAILED), "")
    if failed == ADDRESS:
        return "Its address was not reached: test again below once it is, or remove it and add it with the right one."
    if failed.startswith("Key "):
        return "Its key was refused: give it another one below and test again."
    if failed == KNOWN:
        return "There is no model of that id: remove it and add it with the right one."
    return "Test it again below, or remove it and add it anew."


def _add(services: Services, person: Person, new: NewModel, key: str) -> None:
    """Adds it switched off and tests it; it may answer once it has."""
    try:
        who = permitted(services, person, "models")
        model_id = services.catalogue.add_model(who, new, key)
    except SwitchboardError as error:
        page.trouble(error)
        return
    label = services.catalogue.card(model_id).label
    try:
        checks = model_checks.run(services, services.catalogue.examine(model_id))
    except SwitchboardError as error:
        st.session_state["trouble"] = error
        checks = ()
    if answers(checks):
        services.catalogue.change(who, model_id, enabled=True)
        page.say(f"{label} is added, has answered, and may be used.")
    else:
        st.session_state[FAILED] = checks
        page.say(f"{label} is added, but off: it has not answered. {_next(checks)}")
    st.session_state[ADDED] = st.session_state.get(ADDED, 0) + 1
    st.session_state.pop("model_choices", None)
    st.rerun()
