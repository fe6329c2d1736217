"""One document for somebody who may read it. For anybody else the page says the same as for a document that does not exist."""

from __future__ import annotations

import re

import streamlit as st

from app.domain import Person
from app.errors import NotFound, Withheld
from app.knowledge.documents import DocumentView
from app.ui.widgets.answer_html import answer_html
from app.ui.widgets.receipt_html import class_tag
from app.ui.widgets.words import permission, text, time_html, zone_of
from app.wiring import Services

LONGEST_SHOWN = 200_000
MARKDOWN = re.compile(r"^#{1,4} \S", re.MULTILINE)


def render(services: Services, person: Person) -> None:
    try:
        view = services.documents.open(person, st.query_params.get("id", ""))
    except (NotFound, Withheld) as error:
        _nothing(error)
        return
    st.html(f'<div class="sb-page"><h1>{text(view.title)}</h1></div>{_facts(view, person)}')
    if view.url.startswith(("https://", "http://")):
        st.link_button("Open at the source", view.url, icon=":material/open_in_new:")
    st.divider()
    st.html(_body(view))


def _facts(view: DocumentView, person: Person) -> str:
    zone = zone_of(st.context.timezone)
    where = " · ".join(text(part) for part in (view.source, view.space) if part)
    changed = (
        f"<dt>Changed</dt><dd>{time_html(view.modified_at, zone)}</dd>" if view.modified_at else ""
    )
    return (
        '<dl class="sb-grid" style="margin-top:.8rem">'
        f"<dt>Where</dt><dd>{where or 'no space'}</dd>"
        f"<dt>Why you may read it</dt><dd>{text(permission(view.basis.principal, person.email))}, "
        f"confirmed {time_html(view.basis.checked_at, zone)}</dd>"
        f"<dt>Data class</dt><dd>{class_tag(view.data_class)}</dd>"
        f"<dt>Synced</dt><dd>{time_html(view.synced_at, zone)}</dd>{changed}</dl>"
    )


def _body(view: DocumentView) -> str:
    """Markdown is laid out as an answer is, with the same care; other text is shown as it was read."""
    shown = view.text[:LONGEST_SHOWN]
    body = (
        f'<div class="sb-answer">{answer_html(shown, "", {})}</div>'
        if MARKDOWN.search(shown)
        else f'<div class="sb-docs">{text(shown)}</div>'
    )
    rest = (
        '<p class="sb-meta">The rest is left out here. Open it at the source to read on.</p>'
        if len(view.text) > len(shown)
        else ""
    )
    return body + rest


def _nothing(error: NotFound | Withheld) -> None:
    st.html(
        f'<div class="sb-gate" role="alert"><h1>Nothing to show</h1><p>{text(error.message)} '
        f'{text(error.fix)}</p><a class="sb-button" href="/">Back to your chats</a></div>'
    )
