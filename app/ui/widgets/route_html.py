"""Routes and their versions as HTML: the list, the state in a sentence, a dry run, a canary beside the others, the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from app.db.tables import RouteVersionRow
from app.routing import RouteEntry
from app.routing.swaps import Comparison, DryRun, Margins
from app.routing.swaps.comparison import Side
from app.routing.swaps.dry_run import REFUSED
from app.ui.widgets import page
from app.ui.widgets.words import count, milliseconds, money, text, time_html

STATES = {
    "draft": ("amber", "draft"),
    "canary": ("amber", "canary"),
    "published": ("green", "published"),
    "retired": ("grey", "replaced"),
    "rolled_back": ("red", "rolled back"),
    "discarded": ("grey", "discarded"),
}
Labels = Mapping[str, str]


def routes_table(
    entries: Sequence[RouteEntry],
    open_versions: Mapping[str, RouteVersionRow | None],
    labels: Labels,
) -> str:
    rows = "".join(
        f'<tr><td><a href="/routes?id={text(e.name)}" data-sb="go:admin_routes:{text(e.name)}">'
        f"{text(e.label)}</a></td><td>{_row_state(e, open_versions.get(e.name))}</td>"
        f"<td>{_models(e.models, labels)}</td><td class='sb-k'>{text(e.prompt)}</td></tr>"
        for e in entries
    )
    return _table("<th>Intent</th><th>State</th><th>Models, in order</th><th>Prompt</th>", rows)


def state_of(
    entry: RouteEntry, version: RouteVersionRow | None, history: Sequence[RouteVersionRow]
) -> tuple[str, str, str]:
    """Colour, word and sentence."""
    if version is not None and version.status == "canary":
        return (
            "amber",
            "A canary runs.",
            f"Version {version.number} answers {version.share:.0%} of people. It is rolled back by itself when it does"
            " clearly worse.",
        )
    last = history[0] if history else None
    if last is not None and last.status == "rolled_back":
        return "red", f"Version {last.number} was rolled back.", last.note
    if version is not None:
        return "amber", "There is a draft.", "It changes nothing until you publish it or try it."
    where = f"Version {entry.version}, published here." if entry.version else "As delivered."
    return "green", "In use.", where


def contents(entry: RouteEntry, labels: Labels, difficulty: str) -> str:
    """`difficulty` is HTML."""
    return (
        '<dl class="sb-grid">'
        f"<dt>Models, in order</dt><dd>{_models(entry.models, labels)}</dd>"
        f"<dt>Prompt</dt><dd>{text(entry.prompt)}</dd>"
        f"<dt>Temperature</dt><dd>{entry.temperature:g}</dd>"
        f"<dt>Longest answer</dt><dd>{entry.max_tokens:,} tokens</dd>"
        f"<dt>Difficulty</dt><dd>{difficulty}</dd></dl>"
    )


def dry_run_html(found: DryRun, labels: Labels) -> str:
    if not found.questions:
        return (
            '<div class="sb-blank"><b>No question of this kind in the last week</b>'
            "Then nothing can be said beforehand. Try it with a few people instead.</div>"
        )
    moves = "".join(
        f"<tr><td>{_model(m.before, labels)}</td><td>{_model(m.after, labels)}</td>"
        f"<td class='sb-n'>{m.questions:,}</td></tr>"
        for m in found.moves
    )
    left = "".join(
        f"<li>{text(label)} is left out of {count(n, 'question')}: {text(why)}</li>"
        for label, why, n in found.left_out[:8]
    )
    head = (
        f"<p><b>{found.differ:,} of {count(found.questions, 'question')}</b> of the last week would go to another model. "
        f"Cost {money(found.cost_before)} → {money(found.cost_after)}; refused {found.refused_before:,} →"
        f" {found.refused_after:,}. No model was called.</p>"
        f"<p class='sb-meta'>With the draft, first asked: {_sent(found, labels)}.</p>"
    )
    table = _table("<th>Now</th><th>With the draft</th><th class='sb-n'>Questions</th>", moves)
    return head + (table if moves else "") + (f"<ul class='sb-meta'>{left}</ul>" if left else "")


def comparison_html(found: Comparison, margins: Margins) -> str:
    rows = "".join(
        f"<tr><td>{name}</td><td class='sb-n'>{of(found.canary)}</td><td class='sb-n'>{of(found.baseline)}</td></tr>"
        for name, of in (
            ("Questions", lambda side: f"{side.turns:,}"),
            ("Failed, or saved by another model", _share_failed),
            ("Thumbs down", _share_down),
            ("First words, median", _first_words),
            ("Cost an answer", _cost),
        )
    )
    told = (
        "; ".join(found.reasons)
        if found.reasons
        else f"Nothing speaks against it. It goes when more than {margins.failures:.0%} more fail,"
        f" {margins.thumbs_down:.0%} more thumbs point down, or first words take {margins.slower:g} times as long."
        if found.enough
        else f"Too few questions to tell: each side needs {margins.samples}."
    )
    head = "<th></th><th class='sb-n'>Canary</th><th class='sb-n'>Without it</th>"
    without = "Left out: questions whose model somebody picked, and those that ended before a model was asked, as for a budget."
    return (
        f"<div class='sb-narrow'>{_table(head, rows)}</div>"
        f"<p class='sb-meta'>{text(told)}</p><p class='sb-meta'>{without}</p>"
    )


def history_table(
    history: Sequence[RouteVersionRow], people: Mapping[str, str], labels: Labels, zone: tzinfo
) -> str:
    rows = "".join(
        f"<tr><td class='sb-n'>{row.number}</td><td>{page.status(*STATES[row.status])}"
        f"<small>{text(row.note)}</small></td><td>{_models(row.models, labels)}<small>{text(row.prompt)}{_worth(row)}</small></td>"
        f"<td>{text(people.get(row.created_by, row.created_by))}<small>{time_html(row.created_at, zone)}</small></td></tr>"
        for row in history
    )
    return _table("<th class='sb-n'>No.</th><th>State</th><th>What</th><th>By</th>", rows)


def _row_state(entry: RouteEntry, version: RouteVersionRow | None) -> str:
    if version is not None and version.status == "canary":
        return page.status("amber", f"canary, {version.share:.0%} of people")
    if version is not None:
        return page.status("amber", "draft")
    return page.status("green", f"version {entry.version}" if entry.version else "as delivered")


def _models(names: Sequence[str], labels: Labels) -> str:
    return text(" → ".join(labels.get(name, name) for name in names))


def _model(name: str, labels: Labels) -> str:
    return "nobody (refused)" if name == REFUSED else text(labels.get(name, name))


def _sent(found: DryRun, labels: Labels) -> str:
    return ", ".join(
        f"{_model(model, labels)} {n:,} ({n / found.questions:.0%})" for model, n in found.sent
    )


def _worth(row: RouteVersionRow) -> str:
    if row.worth_usd is None:
        return ""
    return f" · easy questions to the cheaper model, a good answer worth {money(row.worth_usd)}"


def _share_failed(side: Side) -> str:
    return f"{side.failed / side.turns:.1%}" if side.turns else "–"


def _share_down(side: Side) -> str:
    return f"{side.thumbs_down} of {side.thumbs}" if side.thumbs else "–"


def _first_words(side: Side) -> str:
    return milliseconds(side.median_ms) if side.median_ms is not None else "–"


def _cost(side: Side) -> str:
    return money(side.cost_usd / side.answered) if side.answered else "–"


def _table(head: str, rows: str) -> str:
    return f'<div class="sb-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
