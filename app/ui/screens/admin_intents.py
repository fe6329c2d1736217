"""Intents: what people ask for, learned from example questions. What is changed here is one draft until it is published."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.domain import Person
from app.errors import SwitchboardError
from app.routing.edits import TIES, Edits, name_of
from app.routing.traffic import effect
from app.routing.versions import Draft, Version
from app.ui.widgets import intent_html, intent_ties, intent_traffic, page
from app.ui.widgets.administration import carry_out
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import text, zone_of
from app.wiring import RouteNames, Services

CHOSEN = "id"
SAVED = "Saved in the draft. Nothing changes for anybody until you publish it."


def render(services: Services, person: Person) -> None:
    latest, draft = services.intents.versions.latest(), services.intents.versions.draft()
    edits = draft.edits if draft else latest.edits
    chosen = st.query_params.get(CHOSEN, "")
    if not chosen:
        _all(services, person, edits, latest, draft)
        return
    if st.button("All intents", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.clear()
        st.rerun()
    try:
        _one(services, person, edits, chosen)
    except SwitchboardError as error:
        page.trouble(error)


def _all(
    services: Services, person: Person, edits: Edits, latest: Version, draft: Draft | None
) -> None:
    page.title(
        "Intents",
        "What people ask for, learned from example questions. A change is a draft until you publish it.",
    )
    page.said()
    page.note(*intent_html.state_of(services.intents, zone_of(st.context.timezone)))
    st.caption(intent_html.tie_break_words(services.table.tie_break, _models(services)))
    labels = _labels(services, edits)
    if draft is not None:
        _draft(services, person, draft, latest, labels)
    st.html(intent_html.intents_table(_rows(services, edits, latest.edits, labels)))
    with st.expander("A new intent"):
        _new(services, person)
    with st.expander("Two intents that are close"):
        intent_ties.draw(
            edits, services.intents.file, _models(services), lambda c: _edit(services, person, c)
        )
    _try(services, edits, draft, labels)
    intent_traffic.draw(services, labels, lambda change, words: do(services, person, change, words))
    _versions(services, person, labels)


def _draft(
    services: Services, person: Person, draft: Draft, latest: Version, labels: dict[str, str]
) -> None:
    _heading("The draft")
    changes = draft.edits.differs(latest.edits)
    st.html(
        intent_html.draft_html(changes, _changed_labels(labels), _name(services, draft.changed_by))
    )
    # The keys hold the moment of the last change, so that nobody publishes what they have not seen.
    seen = draft.changed_at.isoformat()
    with st.container(horizontal=True):
        looked = st.button(
            "What would change", help="Over last month's questions; nothing is asked of a model."
        )
        if st.button("Publish", type="primary", key=f"publish_{seen}"):
            do(services, person, lambda who: _publish(services, who), "Published and learned.")
        if st.button("Discard", key=f"discard_{seen}"):
            do(services, person, services.intents.versions.discard, "Gone.")
    if looked:
        with st.spinner("Reading last month's questions…"):
            found = effect(services.database, services.intents, draft.edits)
        st.html(intent_html.effect_html(found))


def _publish(services: Services, who: Person) -> None:
    services.intents.versions.publish(who)
    services.intents.refresh()


def _new(services: Services, person: Person) -> None:
    file = services.intents.file
    with st.form("new_intent", border=False):
        label = st.text_input("Name", placeholder="Canteen", max_chars=40)
        like = st.selectbox(
            "Answered like",
            [entry.name for entry in file.entries],
            format_func=lambda name: file.entry(name).label,
            help="Its models, prompt and buttons at first. Routes can change its models and prompt once it is published.",
        )
        examples = st.text_area("Example questions, one a line", height=140)
        made = st.form_submit_button("Add to the draft", type="primary")
    if made:
        name = name_of(label)
        lines = examples.splitlines()
        _edit(services, person, lambda edits: edits.add(file, name, label, str(like), lines))


def _one(services: Services, person: Person, edits: Edits, name: str) -> None:
    file = services.intents.file
    entry, labels = edits.own(file, name), _labels(services, edits)
    page.title(entry.label)
    page.said()
    gone = edits.gone()
    if name in gone:
        into = gone[name]
        what = f"Merged into {labels.get(into, into)}." if into else "Retired."
        since = services.intents.versions.latest().edits.gone()
        page.note("grey", what, "In force." if since.get(name) == into else "In the draft.")
        if st.button("Bring it back", type="primary"):
            _edit(services, person, lambda edits: edits.restore(file, name))
    with st.form(f"intent_{name}", border=False):
        label = st.text_input("Name", entry.label, max_chars=40)
        examples = st.text_area(
            "Example questions, one a line",
            "\n".join(entry.examples),
            height=320,
            help="Real wordings teach more than variations of one.",
        )
        saved = st.form_submit_button("Save in the draft", type="primary", disabled=name in gone)
    if saved:
        lines = examples.splitlines()
        _edit(services, person, lambda edits: edits.change(file, name, label, lines))
    if name not in gone and name != file.fallback.name:
        _end(services, person, edits, name, labels)


def _end(
    services: Services, person: Person, edits: Edits, name: str, labels: dict[str, str]
) -> None:
    file = services.intents.file
    others = [e.name for e in edits.apply(file).entries if e.name != name]
    _heading("Use it no longer")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        into = st.selectbox(
            "Its examples go to",
            others,
            index=None,
            placeholder="Choose",
            format_func=told_apart(
                {other: labels.get(other, other) for other in others}
            ).__getitem__,
            width=260,
        )
        if st.button("Merge", disabled=into is None):
            _edit(services, person, lambda edits: edits.merge(file, name, str(into)))
        if st.button(
            "Retire", help="Its examples teach nothing; its questions go to what is closest."
        ):
            _edit(services, person, lambda edits: edits.retire(file, name))


def _try(services: Services, edits: Edits, draft: Draft | None, labels: dict[str, str]) -> None:
    _heading("Try a question")
    with st.form("try", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        question = st.text_input("Question", max_chars=300, placeholder="Where do I park?")
        tried = st.form_submit_button("Try")
    if not tried or not question.strip():
        return
    vector = services.embedder.query(question)
    sides = [("Now" if draft else "", services.intents.now())]
    if draft is not None:
        with st.spinner("Learning the draft…"):
            sides.append(("With the draft", services.intents.preview(edits)))
    for column, (title, side) in zip(st.columns(len(sides)), sides, strict=True):
        judged = side.classifier.classify(question, vector)
        scores = side.classifier.scores(question, vector)
        head = f"<p class='sb-meta'>{title}</p>" if title else ""
        column.html(head + intent_html.scores_html(judged, scores, labels, side.table.tie_break))


def _versions(services: Services, person: Person, labels: dict[str, str]) -> None:
    history = services.intents.versions.history()
    if not history:
        return
    _heading("What was published")
    zone = zone_of(st.context.timezone)
    for version, before in zip(history, [*history[1:], Version()], strict=True):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            changes = version.edits.differs(before.edits)
            by = _name(services, version.published_by)
            st.html(intent_html.version_html(version, changes, _changed_labels(labels), by, zone))
            if version is not history[0]:
                _restore(services, person, version.number, "Make it the draft")
    _restore(services, person, 0, "Make the draft as delivered")


def _restore(services: Services, person: Person, number: int, words: str) -> None:
    if st.button(words, key=f"restore_{number}"):
        versions = services.intents.versions
        do(services, person, lambda who: versions.restore(who, number), SAVED)


def _rows(
    services: Services, edits: Edits, in_force: Edits, labels: dict[str, str]
) -> list[intent_html.Row]:
    gone, changed = edits.gone(), edits.differs(in_force)
    counts = {e.name: len(e.examples) for e in edits.apply(services.intents.file).entries}
    return [
        intent_html.Row(
            name,
            label,
            counts.get(name, 0),
            (labels.get(gone[name], gone[name]) or "retired") if name in gone else "",
            changed.get(name, ""),
        )
        for name, label in labels.items()
    ]


def _labels(services: Services, edits: Edits) -> dict[str, str]:
    """Every intent there is or was, and what people call it."""
    file = services.intents.file
    known = [e.name for e in file.entries]
    known += [name for name, edit in edits.intents.items() if name not in known and edit.like]
    return {name: edits.own(file, name).label for name in known}


def _changed_labels(labels: dict[str, str]) -> dict[str, str]:
    """With the setting that belongs to no intent."""
    return labels | {TIES: "Two intents that are close"}


def _models(services: Services) -> dict[str, str]:
    known = RouteNames(services.catalogue, services.prompts).models()
    found = {name: services.catalogue.missing(name)[0] for name in known}
    return found | {card.id: card.label for card in services.catalogue.cards()}


def _name(services: Services, person_id: str) -> str:
    found = services.identity.accounts.person(person_id)
    return found.name if found else person_id


def _heading(words: str) -> None:
    st.html(f'<div class="sb-question">{text(words)}</div>')


def _edit(services: Services, person: Person, change: Callable[[Edits], Edits]) -> None:
    do(services, person, lambda who: services.intents.versions.edit(who, change), SAVED)


def do(services: Services, person: Person, change: Callable[[Person], object], words: str) -> None:
    carry_out(services, person, "models", change, words)
