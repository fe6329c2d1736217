"""The passage behind a citation, opened beside the answer. Whether the person may read it is asked again, now."""

from __future__ import annotations

import streamlit as st

from app.domain import Found, Passage, Person
from app.errors import NotFound, SwitchboardError
from app.knowledge.documents import DocumentView
from app.ui.widgets import page
from app.ui.widgets.receipt_html import class_tag, numbered
from app.ui.widgets.words import permission, text, time_html, zone_of
from app.wiring import Services

CHANGED = "The document has changed since this answer; the passage is no longer in it. Open the document to read it as it is now."


def passage_of(services: Services, person: Person, turn_id: str, number: int) -> Passage:
    """Raises NotFound for a turn that is not theirs or a number that it does not cite."""
    receipt = services.chats.turn(person, turn_id).receipt
    if receipt is not None and number in numbered(receipt):
        return numbered(receipt)[number]
    live = services.turns.live(person, turn_id)
    if live is not None:
        for event in tuple(live.events):
            if isinstance(event, Found) and 0 < number <= len(event.passages):
                return event.passages[number - 1]
    raise NotFound("This answer has no such source.", fix="Reload the page.")


def passage_dialog(services: Services, person: Person, turn_id: str, number: str) -> None:
    """Opens it, or says in the same place why it cannot be opened."""
    try:
        passage = passage_of(services, person, turn_id, int(number) if number.isdigit() else 0)
        view = services.documents.open(person, passage.document_id)
    except SwitchboardError as error:
        st.dialog("Source")(page.trouble)(error)
    else:
        st.dialog(passage.title, width="medium")(_show)(passage, view, person)


def _show(passage: Passage, view: DocumentView, person: Person) -> None:
    zone = zone_of(st.context.timezone)
    heading = passage.heading if passage.heading != passage.title else ""
    # Receipts keep no texts: what is shown is what the document says today, if this passage is still in it.
    quote = next((c.text for c in view.chunks if c.id == passage.chunk_id), CHANGED)
    st.html(
        f"{f'<p class=sb-meta>{text(heading)}</p>' if heading else ''}"
        f'<div class="sb-quote">{text(quote)}</div>'
        '<dl class="sb-grid">'
        f"<dt>Where</dt><dd>{text(' · '.join(p for p in (view.source, view.space) if p))}</dd>"
        f"<dt>You may read it as</dt><dd>{text(permission(view.basis.principal, person.email))}, "
        f"confirmed {time_html(view.basis.checked_at, zone)}</dd>"
        f"<dt>Synced</dt><dd>{time_html(view.synced_at, zone)}</dd>"
        f"<dt>Data class</dt><dd>{class_tag(view.data_class)}</dd></dl>"
        f'<p style="margin:1rem 0 .2rem"><a class="sb-go" href="/document?id={text(view.id)}" '
        f'data-sb="go:document:{text(view.id)}">Open the document</a></p>'
    )
