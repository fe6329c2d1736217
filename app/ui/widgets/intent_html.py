"""Intents as HTML: the list, a draft's changes and its effect, scores of a question, what people corrected, the versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from app.domain import Intent
from app.routing.live import Intents
from app.routing.table import TieBreak
from app.routing.tie_break import is_close
from app.routing.traffic import Cluster, Effect, Unclaimed
from app.routing.versions import Version
from app.ui.widgets import page
from app.ui.widgets.words import count, text, time_html

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One intent of the list. `gone` is empty, `retired`, or the label of the intent it is merged into."""

    name: str
    label: str
    examples: int
    gone: str
    changed: str


def state_of(intents: Intents, zone: tzinfo) -> tuple[str, str, str]:
    """Colour, word and sentence about what is in force, as HTML-free text."""
    now_, trouble = intents.now(), intents.trouble
    examples = sum(len(entry.examples) for entry in now_.table.entries)
    learned = f"{count(examples, 'example')} and {count(now_.classifier.corrections, 'correction')}"
    at = now_.trained_at.astimezone(zone).strftime("%-d %b, %H:%M")
    version = f"Version {now_.version}" if now_.version else "As delivered"
    if trouble is not None:
        return (
            "red",
            f"Version {trouble.version} could not be learned.",
            f"{trouble.why}. What is in force stays: {version.lower()}. Change the examples or restore a version and publish again.",
        )
    return "green", "In use.", f"{version}, learned from {learned} at {at}."


def intents_table(rows: Sequence[Row]) -> str:
    body = "".join(
        f'<tr><td><a href="/intents?id={text(row.name)}" data-sb="go:admin_intents:{text(row.name)}">'
        f"{text(row.label)}</a></td><td class='sb-n'>{row.examples:,}</td><td>{_state(row)}</td></tr>"
        for row in rows
    )
    return _table("<th>Intent</th><th class='sb-n'>Examples</th><th>State</th>", body)


def draft_html(changes: Mapping[str, str], labels: Labels, by: str) -> str:
    lines = "".join(
        f"<li><b>{text(labels.get(name, name))}</b>: {text(_worded(what, labels))}</li>"
        for name, what in changes.items()
    )
    nothing = "<p>It is the same as what is in force.</p>"
    return (
        f"<ul>{lines}</ul><p class='sb-meta'>Last changed by {text(by)}.</p>" if lines else nothing
    )


def effect_html(found: Effect) -> str:
    if not found.questions:
        return (
            '<div class="sb-blank"><b>No question in the last month</b>'
            "Then nothing can be said beforehand. Try single questions below.</div>"
        )
    of = (
        f"the newest {found.questions:,} questions"
        if found.cut
        else count(found.questions, "question")
    )
    head = (
        f"<p><b>{found.differ:,} of {of}</b> of the last month would be for another intent. Words are shown of people who"
        " let admins read their questions.</p>"
    )
    rows = "".join(
        f"<tr><td>{text(m.before)}</td><td>{text(m.after)}{_texts(m.texts)}</td><td class='sb-n'>{m.questions:,}</td></tr>"
        for m in found.moves
    )
    table = _table("<th>Now</th><th>With the draft</th><th class='sb-n'>Questions</th>", rows)
    moves = f"<div class='sb-narrow'>{table}</div>" if rows else ""
    return head + moves + _ties_html(*found.ties)


def _ties_html(before: int, after: int) -> str:
    if before == after == 0:
        return ""
    of = count(after, "question")
    return f"<p>A model would be asked which of two intents it is for <b>{of}</b>; now for {before:,}.</p>"


def tie_break_words(settings: TieBreak | None, models: Labels) -> str:
    """What happens where two intents are about as likely; `models` are names of the routing table and what they are called."""
    if settings is None:
        return "Where two intents are about as likely, the closest is taken and no model is asked."
    asked = " or ".join(models.get(name, name) for name in settings.models)
    return (
        f"Where the two likeliest intents lie within {settings.margin:g} of each other, a model is asked which it is: the cheapest"
        f" that may be of {asked}. It has {settings.deadline_s:g} seconds; otherwise the closest is taken."
    )


def scores_html(
    judged: Intent, scores: Mapping[str, float], labels: Labels, settings: TieBreak | None = None
) -> str:
    """The five likeliest, and what would happen."""
    rows = "".join(
        f"<tr><td>{text(labels.get(name, name))}</td><td class='sb-n'>{score:.2f}</td></tr>"
        for name, score in list(scores.items())[:5]
    )
    why = (
        "It is the likeliest, and close enough to its examples."
        if judged.chosen_by == "examples"
        else "No intent's examples are close enough, so this one answers."
    )
    if is_close(judged, settings):
        why += " The next is close: a model would be asked which of the two it is."
    head = f"<p><b>{text(judged.label)}</b> <span class='sb-meta'>{why}</span></p>"
    table = _table("<th>Intent</th><th class='sb-n'>Probability</th>", rows)
    return f"{head}<div class='sb-narrow'>{table}</div>"


def unclaimed_html(found: Unclaimed) -> str:
    if not found.unsure:
        return (
            '<div class="sb-blank"><b>Nothing to look at</b>'
            f"Each of {count(found.questions, 'question')} of the last month was claimed by an intent or labelled.</div>"
        )
    private = (
        f" {count(found.private, 'of them is', 'of them are')} not shown: their people do not share, or they hold personal data."
        if found.private
        else ""
    )
    none = "" if found.clusters else " No three of those that are shared are about the same."
    return (
        f"<p><b>{found.unsure:,} of {count(found.questions, 'question')}</b> of the last month were claimed by no intent, or"
        f" with less than half a chance.{private}{none}</p>"
    )


def cluster_html(cluster: Cluster) -> str:
    questions = "".join(f"<li>{text(one.text)}</li>" for one in cluster.questions[:8])
    more = len(cluster.questions) - 8
    rest = f"<li class='sb-meta'>and {more:,} more</li>" if more > 0 else ""
    return (
        f"<b>{len(cluster.questions):,} questions</b> <span class='sb-meta'>nearest: {text(cluster.nearest)}</span>"
        f"<ul>{questions}{rest}</ul>"
    )


def confusion_table(found: Mapping[tuple[str, str], int], labels: Labels) -> str:
    """Each pair of intents that was confused, the most frequent first, and how often the first was right."""
    right = {was: n for (was, should), n in found.items() if was == should}
    wrong = sorted(
        (pair for pair in found if pair[0] != pair[1]), key=lambda pair: (-found[pair], pair)
    )
    judged: dict[str, int] = {}
    for (was, _), n in found.items():
        judged[was] = judged.get(was, 0) + n
    rows = "".join(
        f"<tr><td>{text(labels.get(was, was))}</td><td>{text(labels.get(should, should))}</td>"
        f"<td class='sb-n'>{found[was, should]:,}</td><td class='sb-n'>{right.get(was, 0):,} of {judged[was]:,}</td></tr>"
        for was, should in wrong
    )
    head = (
        "<th>Taken for</th><th>Was about</th><th class='sb-n'>Questions</th>"
        "<th class='sb-n'>Labelled right</th>"
    )
    return _table(head, rows)


def version_html(
    version: Version, changes: Mapping[str, str], labels: Labels, by: str, zone: tzinfo
) -> str:
    at = time_html(version.published_at, zone) if version.published_at else ""
    what = "; ".join(
        f"{labels.get(name, name)}: {_worded(change, labels)}" for name, change in changes.items()
    )
    return f"<b>Version {version.number}</b> <span class='sb-meta'>{text(by)} · {at}<br>{text(what or 'no change')}</span>"


def _state(row: Row) -> str:
    if row.gone:
        word = "retired" if row.gone == "retired" else f"merged into {row.gone}"
        return page.status("grey", word)
    if row.changed:
        return page.status("amber", f"draft: {row.changed}")
    return page.status("green", "in use")


def _worded(change: str, labels: Labels) -> str:
    """A change as the edits tell it, with what people call the intent in place of its name."""
    told, merged, into = change.partition("merged into ")
    return f"{told}{merged}{labels.get(into, into)}"


def _texts(texts: Sequence[str]) -> str:
    return "".join(f"<small>{text(one)}</small>" for one in texts)


def _table(head: str, rows: str) -> str:
    return f'<div class="sb-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
