"""A rehearsal as HTML: the verdicts in a sentence, both sides in figures, and each question with its two answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.db.tables import GoldenQuestionRow, RehearsalRow
from app.rehearsal import Estimate, Figures, Result, Side, figures, sign_test
from app.rehearsal.judge import Opinion
from app.rehearsal.sources import ID_PREFIX
from app.ui.widgets.answer_html import answer_html
from app.ui.widgets.page import status
from app.ui.widgets.words import count, milliseconds, money, share, text

VERDICTS = {
    "worse": ("red", "worse"),
    "mixed": ("amber", "better and worse"),
    "better": ("green", "better"),
    "same": ("grey", "same"),
    "unknown": ("grey", "no answer on either side"),
    "unpaid": ("grey", "not compared: no budget"),
}
FAVOURS = {"before": "the published route", "after": "the draft", "neither": "neither"}
CHANCE = 0.05
Names = Mapping[str, str]


def estimate_html(found: Estimate, labels: Names, unpriced: Sequence[str]) -> str:
    """`unpriced`: labels of asked models whose price nobody has set."""
    models = ", ".join(
        f"{text(labels.get(model, model))} {count(calls, 'time')}"
        for model, calls in found.models.items()
    )
    refused = "".join(
        f"<li>“{text(question)}” would be refused: {text(why)}</li>"
        for question, why in found.refused[:5]
    )
    unknown = (
        f" The price of {text(', '.join(unpriced))} is not set and counts as nothing."
        if unpriced
        else ""
    )
    return (
        f"<p><b>{count(found.questions, 'question')}, {count(found.calls, 'call')}, at most "
        f"{money(found.most_usd)}.</b> It asks {models or 'no model'}. It is recorded as a rehearsal, is nobody's"
        f" usage, and is paid from the budgets that your own questions of this intent fall under.{unknown}</p>"
        + (f"<ul class='sb-meta'>{refused}</ul>" if refused else "")
    )


def progress_html(row: RehearsalRow) -> str:
    done = round(100 * row.done / max(1, row.questions))
    return (
        '<div class="sb-stage" role="status"><span class="sb-pulse"></span><span>'
        f"{row.done} of {count(row.questions, 'question')} · {money(row.cost_usd)} so far</span></div>"
        f'<div class="sb-bar" role="progressbar" aria-valuenow="{done}" aria-valuemin="0" aria-valuemax="100"'
        f' aria-label="Progress of the rehearsal"><i style="width:{done}%"></i></div>'
    )


def verdicts_html(verdicts: Mapping[str, int]) -> str:
    """How many questions the draft answers better and worse, and whether that could be chance."""
    better, worse = verdicts.get("better", 0), verdicts.get("worse", 0)
    parts = [
        status(colour, f"{verdicts[name]:,} {word}")
        for name, (colour, word) in VERDICTS.items()
        if verdicts.get(name)
    ]
    line = f'<p class="sb-verdicts">{"".join(parts)}</p>'
    if not better and not worse:
        return line
    p = sign_test(better, worse)
    told = (
        f"A split like this or more uneven comes about by chance {p:.0%} of the time, so it tells little"
        if p > CHANCE
        else f"By chance a split like this comes about {p:.1%} of the time"
    )
    return f'{line}<p class="sb-meta">{told} (sign test).</p>'


def figures_html(results: Sequence[Result]) -> str:
    """Of the questions that could be compared."""
    results = [result for result in results if result.verdict != "unpaid"]
    goldens = [result.golden for result in results]
    before = figures([result.before for result in results], goldens)
    after = figures([result.after for result in results], goldens)
    lines: tuple[tuple[str, Callable[[Figures], str]], ...] = (
        ("Failed", lambda f: f"{f.failed:,}"),
        ("Expected sources and phrases", lambda f: f"{f.met:,} of {f.expected:,}"),
        ("Forbidden phrases", lambda f: f"{f.forbidden:,}"),
        ("Grounded, mean", lambda f: share(f.grounded)),
        ("Length, median", lambda f: _or_dash(f.characters, lambda n: f"{n:,.0f} characters")),
        ("First words, median", lambda f: _or_dash(f.first_words_ms, milliseconds)),
        ("Whole answer, median", lambda f: _or_dash(f.total_ms, milliseconds)),
        ("Cost of these", lambda f: money(f.cost_usd)),
    )
    rows = "".join(
        f"<tr><td>{name}</td><td class='sb-n'>{of(before)}</td><td class='sb-n'>{of(after)}</td></tr>"
        for name, of in lines
    )
    return (
        '<div class="sb-table sb-narrow"><table><thead><tr><th></th><th class="sb-n">Published route</th>'
        f'<th class="sb-n">Draft</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def results_html(results: Sequence[Result], titles: Names, labels: Names) -> str:
    """Worst first; each opens to both answers."""
    order = list(VERDICTS)
    ordered = sorted(results, key=lambda result: order.index(result.verdict))
    return "".join(_result(result, titles, labels) for result in ordered)


def golden_table(rows: Sequence[GoldenQuestionRow], titles: Names) -> str:
    cells = "".join(
        f"<tr><td>{text(row.question)}</td><td>{_sources(row.sources, titles)}</td>"
        f"<td>{_lines(row.must_say)}</td><td>{_lines(row.must_not_say)}</td></tr>"
        for row in rows
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Question</th><th>Rests on</th><th>Must say</th>'
        f"<th>Must not say</th></tr></thead><tbody>{cells}</tbody></table></div>"
    )


def _result(result: Result, titles: Names, labels: Names) -> str:
    colour, word = VERDICTS[result.verdict]
    reasons = "; ".join(result.reasons)
    opinion = _opinion(result.opinion, labels) if result.opinion else ""
    return (
        f'<details class="sb-pair"><summary>{status(colour, word)}<b>{text(result.golden.question)}</b>'
        f"<small>{text(reasons[:1].upper() + reasons[1:])}</small></summary>"
        f'<div class="sb-sides">{_side("Published route", result, result.before, titles)}'
        f"{_side('Draft', result, result.after, titles)}</div>{opinion}</details>"
    )


def _side(name: str, result: Result, side: Side, titles: Names) -> str:
    answer = answer_html(side.answer, result.id, {}) if side.answer else ""
    error = (
        f'<p class="sb-meta">{status("red", "failed")} {text(side.error)}</p>' if side.error else ""
    )
    facts = "".join(f"<li>{fact}</li>" for fact in _facts(side, titles))
    return (
        f"<section><h4>{name}<small>{text(side.label or 'no model')}</small></h4>"
        f'<div class="sb-answer">{answer}</div>{error}<ul class="sb-meta">{facts}</ul></section>'
    )


def _facts(side: Side, titles: Names) -> list[str]:
    if side.error:
        return [text(f"After {side.note}")] if side.note and side.note not in side.error else []
    named = [cited.title for cited in side.cited]
    facts = [f"Cites {text(', '.join(named))}" if named else "Cites nothing"]
    if side.sources_missing:
        missing = ", ".join(titles.get(s, s) for s in side.sources_missing)
        facts.append(status("red", "not cited") + f" {text(missing)}")
    facts += [status("red", "does not say") + f" {text(phrase)}" for phrase in side.unsaid]
    facts += [status("red", "says") + f" {text(phrase)}" for phrase in side.said_in_spite]
    if side.note:
        facts.append(status("amber", "another model answered") + f" {text(side.note)}")
    if side.grounded is not None:
        facts.append(
            f"{side.supported} of {count(side.statements, 'statement')} rest on what it cites"
        )
    first = (
        "" if side.first_token_ms is None else f"first words {milliseconds(side.first_token_ms)}, "
    )
    facts.append(
        f"{len(side.answer):,} characters, {first}whole {milliseconds(side.total_ms)}, {money(side.cost_usd)}"
    )
    return facts


def _opinion(opinion: Opinion, labels: Names) -> str:
    judge = text(labels.get(opinion.model, opinion.model))
    if opinion.error:
        return f'<p class="sb-meta">Opinion of {judge}: none. {text(opinion.error)}</p>'
    return (
        f'<p class="sb-meta">Opinion of {judge}, a model: it favours {FAVOURS[opinion.favours]}.'
        f" {text(opinion.says)}</p>"
    )


def _sources(sources: Sequence[str], titles: Names) -> str:
    """A name that no readable document has is likely a slip."""
    told = [
        text(titles.get(s, s))
        + ("" if s.startswith(ID_PREFIX) else "<small>no one document that you may read</small>")
        for s in sources
    ]
    return "<br>".join(told) or '<span class="sb-meta">–</span>'


def _lines(values: Sequence[str]) -> str:
    return "<br>".join(text(value) for value in values) or '<span class="sb-meta">–</span>'


def _or_dash(value: float | None, shape: Callable[[float], str]) -> str:
    return "–" if value is None else shape(value)
