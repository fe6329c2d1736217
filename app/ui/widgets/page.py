"""What every page begins with: the style sheet, the script that listens to drawn links, titles, notes and empty places."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.errors import SwitchboardError
from app.ui.widgets.words import in_markdown, text

UI = Path(__file__).parent.parent
LONGEST_SAID = 1_000
FAVICON = UI / "static" / "favicon.svg"


@lru_cache(maxsize=8)
def asset(name: str) -> str:
    return (UI / "assets" / name).read_text(encoding="utf-8")


def mark() -> str:
    """The sign of Switchboard, beside its name."""
    return '<img src="/app/static/favicon.svg" alt="">'


def style() -> None:
    """The style sheet. The mark beside it keeps it in the page: styles alone go where toasts go, and a toast replaces them."""
    st.html(f"<style>{asset('switchboard.css')}</style><i></i>")


@lru_cache(maxsize=1)
def _component() -> Any:
    return st.components.v2.component("switchboard_links", js=asset("page.js"), html="<i></i>")


def pressed(key: str, *kinds: str) -> tuple[str, ...]:
    """Listens to drawn links for the whole page: the parts of the `data-sb` of the one that was just pressed, such as
    ("passage", "turn_1", "2"), else (). Only links of these `kinds` are heard. Once a page."""
    result = _component()(key=key, data={"kinds": list(kinds)}, on_pressed_change=_heard, height=1)
    parts = tuple(str(result.pressed or "").split(":"))
    return parts if parts[0] in kinds else ()


def _heard() -> None:
    """A trigger needs a callback to be kept for the run that follows."""


def title(name: str, says: str = "") -> None:
    """A page's heading and, in a sentence, what it is for."""
    line = f"<p>{text(says)}</p>" if says else ""
    st.html(f'<div class="sb-page"><h1>{text(name)}</h1>{line}</div>')


def blank(what: str, how: str) -> None:
    """An empty place: what will be here, and how it gets there."""
    st.html(f'<div class="sb-blank"><b>{text(what)}</b>{text(how)}</div>')


def status(colour: str, word: str) -> str:
    """A dot and a word, as HTML. Colours: green, amber, red, grey."""
    return f'<span class="sb-status"><span class="sb-dot sb-{colour}"></span>{text(word)}</span>'


def note(colour: str, head: str, says: str) -> None:
    st.html(
        f'<div class="sb-note" role="status"><span class="sb-dot sb-{colour}"></span>'
        f"<div><b>{text(head)}</b> {text(says)}</div></div>"
    )


def say(words: str) -> None:
    """In a callback: something to be said briefly, as it is written, once the page is drawn."""
    st.session_state["said"] = words


def said() -> None:
    """Says it, and shows what went wrong in the callback before."""
    words = st.session_state.pop("said", None)
    if words:
        st.toast(in_markdown(words, LONGEST_SAID))
    error = st.session_state.pop("trouble", None)
    if isinstance(error, SwitchboardError):
        trouble(error)


def trouble(error: SwitchboardError) -> None:
    """What happened, and what to do."""
    st.html(
        '<div class="sb-note" role="alert"><span class="sb-dot sb-red"></span>'
        f"<div><b>{text(error.message)}</b> {text(error.fix)}</div></div>"
    )
