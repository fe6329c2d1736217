"""The golden set of an intent on the Routes page: what is in it, a form for one question, good answers, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from app.db.tables import GoldenQuestionRow
from app.domain import Person
from app.rehearsal import Golden, golden_csv, golden_jsonl, read_golden
from app.ui.widgets import golden_answers, page, rehearsal_html
from app.ui.widgets.administration import carry_out, permitted
from app.ui.widgets.choices import told_apart
from app.ui.widgets.words import count
from app.wiring import Services

NEW = ""
SHOWN = 12
BEGINS = 100


def draw(services: Services, person: Person, intent: str) -> None:
    sets = services.rehearsals.golden
    rows = sets.of(intent)
    st.html('<div class="sb-question">Golden set</div>')
    if rows:
        titles = sets.names.titles(person, [s for row in rows for s in row.sources])
        st.html(rehearsal_html.golden_table(rows[:SHOWN], titles))
        if len(rows) > SHOWN:
            st.caption(f"{count(len(rows) - SHOWN, 'more question')} in the CSV.")
    else:
        page.blank(
            "Nothing to rehearse with yet",
            "A golden question says what a good answer rests on, must say and must not say. Every admin can read it.",
        )
    taken = st.session_state.pop(golden_answers.TAKEN, None)
    if taken in {row.id for row in rows}:
        st.session_state[f"golden_{intent}"] = taken
    with st.expander("Add or change a question", expanded=taken is not None):
        _form(services, person, intent, rows)
    golden_answers.draw(services, person, intent)
    with st.expander("Import and export"):
        _files(services, person, intent, rows)


def _form(services: Services, person: Person, intent: str, rows: list[GoldenQuestionRow]) -> None:
    by_id = {row.id: row for row in rows}
    chosen = NEW
    if rows:
        labels = _labels(rows)
        chosen = st.selectbox(
            "Question",
            list(labels),
            format_func=labels.__getitem__,
            key=f"golden_{intent}",
        )
    known = Golden.of(by_id[chosen]) if chosen in by_id else Golden("")
    titles = services.rehearsals.golden.names.titles(person, known.sources)
    back = {title: source for source, title in titles.items()}
    with st.form(f"golden_form_{intent}_{chosen}", border=False, clear_on_submit=chosen == NEW):
        question = st.text_area("What is asked", known.question, height=80, max_chars=4000)
        with st.container(horizontal=True):
            sources = _lines(
                "Rests on, one title or address a line", [titles[s] for s in known.sources]
            )
            must = _lines("Must say, one phrase a line", known.must_say)
            must_not = _lines("Must not say", known.must_not_say)
        st.caption(
            "Several wordings of one phrase: 180 euros | €180. Case and spacing do not matter."
        )
        with st.container(horizontal=True):
            saved = st.form_submit_button("Save the question", type="primary")
            removed = chosen != NEW and st.form_submit_button("Remove it")
    golden = Golden(question, tuple(back.get(s, s) for s in sources), must, must_not)
    sets = services.rehearsals.golden
    if saved and chosen:
        _do(services, person, lambda who: sets.change(who, chosen, golden), "Changed.")
    elif saved:
        _do(services, person, lambda who: sets.add(who, intent, golden), "Added.")
    elif removed:
        _do(services, person, lambda who: sets.remove(who, chosen), "Removed.")


def _labels(rows: Sequence[GoldenQuestionRow]) -> dict[str, str]:
    """What the list says for each id: the beginning of its question, and its place where others begin the same."""
    place = {NEW: 0} | {row.id: number for number, row in enumerate(rows, 1)}
    begins = {NEW: "A new one"} | {row.id: row.question[:BEGINS] for row in rows}
    return told_apart(begins, lambda id: f"question {place[id]}" if id else "not yet in the set")


def _lines(label: str, values: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    typed = st.text_area(label, "\n".join(values), height=110, width=258)
    return tuple(line.strip() for line in (typed or "").splitlines() if line.strip())


def _files(services: Services, person: Person, intent: str, rows: list[GoldenQuestionRow]) -> None:
    sets = services.rehearsals.golden
    with st.form(f"import_{intent}", border=False, clear_on_submit=True):
        file = st.file_uploader("A CSV or JSONL file", type=["csv", "jsonl"], key=f"file_{intent}")
        brought = st.form_submit_button("Import")
    st.caption(
        "Columns or names: question, sources, must_say, must_not_say; in a CSV several of a cell on lines of their own. "
        "A question that is there already takes the file's expectations."
    )
    if brought and file is not None:
        _do(
            services,
            person,
            lambda who: sets.bring(who, intent, read_golden(file.getvalue(), file.name)),
            "Imported.",
        )
    if rows:
        with st.container(horizontal=True):
            for name, write in (("CSV", golden_csv), ("JSONL", golden_jsonl)):
                st.download_button(
                    f"Download {name}",
                    data=partial(_exported, services, person, intent, write),
                    file_name=f"golden-{intent}.{name.lower()}",
                    key=f"golden_{name}_{intent}",
                    type="tertiary",
                    on_click="ignore",
                )


def _exported(
    services: Services, person: Person, intent: str, write: Callable[[Sequence[Golden]], str]
) -> str:
    return write(services.rehearsals.golden.exported(permitted(services, person, "models"), intent))


def _do(services: Services, person: Person, change: Callable[[Person], object], words: str) -> None:
    carry_out(services, person, "models", change, words)
