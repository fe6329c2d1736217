"""The line above an answer, its sources, and the card *Why this answer*: the receipt, told to the person who asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo

from app.access.sensitive import Kind
from app.domain import (
    DataClass,
    Intent,
    Passage,
    Protection,
    Receipt,
    Role,
    Route,
    SecondOpinion,
    Stage,
)
from app.ui.widgets.choices import short_label
from app.ui.widgets.words import count, milliseconds, money, permission, text, time_html

STRICTEST = "the strictest of your question and the passages"
STAGE_WORDS = {
    "understand": "understanding",
    "tie-break": "asking which of two topics",
    "search": "searching",
    "screen": "looking for personal data",
    "choose": "choosing a model",
    "first words": "waiting for first words",
    "write": "writing",
    "cite": "checking citations",
    "stopped": "until stopped",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a receipt is told: their zone, their address, and whether they are an admin."""

    email: str
    role: Role
    zone: tzinfo


def numbered(receipt: Receipt) -> dict[int, Passage]:
    """What the marks in an answer's text stand for. One that was stopped was never checked for citations, so its marks still
    count through the passages as the model was given them."""
    cited = {citation.number: citation.passage for citation in receipt.citations}
    return cited or dict(enumerate(receipt.passages, 1))


def answered_by(receipt: Receipt, instead: str = "") -> str:
    """`Travel · answered by Reader from 3 sources`. `instead` says of which model, and why."""
    parts = []
    if receipt.intent:
        parts.append(f"<b>{text(receipt.intent.label)}</b>")
    label = short_label(model_label(receipt))
    if label:
        sources = len({c.passage.document_id for c in receipt.citations})
        origin = f" from {count(sources, 'source')}" if sources else ""
        before = f"{text(instead)}; " if instead else ""
        parts.append(f"{before}answered by {text(label)}{origin}")
    if left_out := sum(receipt.protection.dropped.values()) if receipt.protection else 0:
        parts.append(f"{count(left_out, 'passage')} left out: no cleared model")
    return ' <span class="sb-sep">·</span> '.join(parts) or "Not answered"


def model_label(receipt: Receipt) -> str:
    """The name people know the model by."""
    known = receipt.attempts + (receipt.route.decisions if receipt.route else ())
    return next((d.label for d in known if d.model == receipt.model), receipt.model)


def sources_html(receipt: Receipt, reader: Reader) -> str:
    """The cited passages, each a link that opens it."""
    if not receipt.citations:
        return ""
    rows = "".join(
        f'<li><a href="#passage" data-sb="passage:{text(receipt.id)}:{c.number}">'
        f'<span class="sb-num">{c.number}</span><span class="sb-title">{_place(c.passage)}'
        f"</span></a><span class='sb-meta'>{_basis(c.passage, reader)} · "
        f"synced {time_html(c.passage.synced_at, reader.zone)}</span></li>"
        for c in receipt.citations
    )
    return f'<div class="sb-sources"><h6>Sources</h6><ol>{rows}</ol></div>'


def why_html(receipt: Receipt, reader: Reader) -> str:
    """The card, as rows of a name and its values."""
    rows = [
        *_intent_rows(receipt.intent),
        *_model_rows(receipt),
        ("Data class", f"{class_tag(receipt.data_class)}<small>{STRICTEST}</small>"),
        *_protection_rows(receipt.protection),
        *_prompt_rows(receipt),
        *_passage_rows(receipt, reader),
        *_cost_rows(receipt),
        *_time_rows(receipt),
        ("Receipt", f"<code>{text(receipt.id)}</code>"),
    ]
    body = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<dl class="sb-card">{body}</dl>'


def _intent_rows(intent: Intent | None) -> Iterable[tuple[str, str]]:
    if intent is None:
        return
    how = {
        "examples": "closest to this intent's example questions",
        "model": "about as close as the next one, so a model was asked",
    }.get(intent.chosen_by, "nothing came close enough, so the general intent answers")
    yield (
        "Intent",
        f"<b>{text(intent.label)}</b> <span class='sb-num-inline'>{intent.score:.2f}</span>"
        f"<small>{how}; next best {text(intent.runner_up.replace('_', ' ') or 'none')} "
        f"{intent.runner_up_score:.2f}; {_classifier(intent)}</small>",
    )
    if intent.opinion is not None:
        yield "Asked", _opinion(intent.opinion)


def _opinion(opinion: SecondOpinion) -> str:
    """A model was to say which of two intents it is, and what it said."""
    cost = f"; {money(opinion.cost_usd)}, part of the cost below" if opinion.cost_usd else ""
    if not opinion.model:
        return f"Two intents were close, but {text(opinion.why)}.<small>The closest one was taken.</small>"
    if opinion.said:
        named = text(opinion.said.replace("_", " "))
        return f"{text(opinion.label)} said: {named}<small>two intents were close{cost}</small>"
    return (
        f"{text(opinion.label)} was asked which of two close intents it is: {text(opinion.why)}."
        f"<small>The closest one was taken{cost}</small>"
    )


def _classifier(intent: Intent) -> str:
    version = f"intents version {intent.version}" if intent.version else "intents as delivered"
    learned = f" and {count(intent.corrections, 'correction')}" if intent.corrections else ""
    return version + learned


def _route_words(route: Route) -> str:
    version = f"version {route.version}" if route.version else "as delivered"
    tried = {
        "canary": "a canary: some people are answered this way before everybody is",
        "baseline": "while another version is tried by some people",
    }
    return f"{version}<small>{tried.get(route.arm, 'published by an admin')}</small>"


def _model_rows(receipt: Receipt) -> Iterable[tuple[str, str]]:
    route: Route | None = receipt.route
    if route is None:
        return
    yield "Model", f"<b>{text(model_label(receipt))}</b><small>{text(route.reason)}</small>"
    if route.version or route.arm:
        yield "Route", _route_words(route)
    failed = [a for a in receipt.attempts if not a.allowed]
    if failed:
        lines = "".join(f"<li>{text(a.label)}: {text(a.reason)}</li>" for a in failed)
        yield "Failed", f"<ul>{lines}</ul>"
    beside = [a for a in receipt.attempts if a.allowed and a.model != receipt.model]
    if beside and len(receipt.parts) < 2:
        lines = "".join(f"<li>{text(a.label)}: {text(a.reason)}</li>" for a in beside)
        yield "Also asked", f"<ul>{lines}</ul>"
    if len(receipt.parts) > 1:
        lines = "".join(
            f"<li>{text(part.label)}: {part.characters:,} characters</li>" for part in receipt.parts
        )
        yield "Written by, in this order", f"<ul>{lines}</ul>"
    others = [d for d in route.decisions if d.model != receipt.model]
    if others:
        lines = "".join(
            f"<li><b>{text(d.label)}</b> "
            f"{'kept in reserve' if d.allowed else 'left out'}: {text(d.reason)}</li>"
            for d in others
        )
        yield "Other models", f"<ul>{lines}</ul>"


def _protection_rows(done: Protection | None) -> Iterable[tuple[str, str]]:
    if not done:
        return
    if done.found:
        found = ", ".join(f"{_kind(kind)} ({n})" for kind, n in done.found.items())
        shown = ", ".join(_kind(kind) for kind in done.masked)
        hidden = f"the model saw a placeholder for: {shown}" if shown else "sent as typed"
        yield (
            "In your words",
            f"{text(found)}<small>{text(hidden)}; as typed they count as "
            f"{done.question_class.label}</small>",
        )
    if done.reason:
        left = [f"{count(n, 'passage')} ({level})" for level, n in done.dropped.items()]
        left += [count(done.forgotten, "earlier question")] if done.forgotten else []
        left += [f"{done.trimmed} for length"] if done.trimmed else []
        yield "Left out", f"{text(', '.join(left))}<small>{text(done.reason)}</small>"


def _kind(name: str) -> str:
    """A receipt may be older than today's kinds."""
    return Kind(name).label if name in set(Kind) else name


def _prompt_rows(receipt: Receipt) -> Iterable[tuple[str, str]]:
    if receipt.prompt_name:
        yield (
            "Prompt",
            f"{text(receipt.prompt_name)} · {text(receipt.prompt_version)} · "
            f"<code>{text(receipt.prompt_sha[:8])}</code>",
        )


def _passage_rows(receipt: Receipt, reader: Reader) -> Iterable[tuple[str, str]]:
    cited = {c.passage.chunk_id: c.number for c in receipt.citations}
    if receipt.passages:
        lines = "".join(
            f"<li>{_number(cited.get(p.chunk_id))}{_place(p)}"
            f"<small>you may read it as: {_basis(p, reader)}, confirmed "
            f"{time_html(p.basis.checked_at, reader.zone)} · {p.data_class.label}</small></li>"
            for p in receipt.passages
        )
        yield f"Passages ({len(receipt.passages)})", f"<ul>{lines}</ul>"
    elif receipt.route and receipt.route.search:
        yield "Passages", "none of what you may read was close enough"
    if reader.role is Role.ADMIN and receipt.route and receipt.route.search:
        yield "Withheld", f"{count(receipt.withheld, 'passage')}<small>only admins see this</small>"


def _cost_rows(receipt: Receipt) -> Iterable[tuple[str, str]]:
    used = receipt.usage
    guess = " (estimated)" if used.estimated else ""
    yield (
        "Tokens",
        f"{used.prompt_tokens:,} read, {used.completion_tokens:,} written{guess}",
    )
    yield "Cost", money(receipt.cost_usd)


def _time_rows(receipt: Receipt) -> Iterable[tuple[str, str]]:
    total = sum(stage.ms for stage in receipt.stages)
    if not total:
        return
    bar = "".join(
        f'<i class="sb-s{n % 6}" style="width:{100 * s.ms / total:.1f}%" title="{_stage(s)}"></i>'
        for n, s in enumerate(receipt.stages)
    )
    legend = "".join(
        f'<li><i class="sb-s{n % 6}"></i>{_stage(s)}</li>' for n, s in enumerate(receipt.stages)
    )
    first = (
        f"first words after {milliseconds(receipt.first_token_ms)}, "
        if receipt.first_token_ms is not None
        else ""
    )
    yield (
        "Time",
        f'{first}{milliseconds(receipt.total_ms)} in all<div class="sb-bar">{bar}</div>'
        f'<ul class="sb-legend">{legend}</ul>',
    )


def _stage(stage: Stage) -> str:
    return f"{text(STAGE_WORDS.get(stage.name, stage.name))} {milliseconds(stage.ms)}"


def _basis(passage: Passage, reader: Reader) -> str:
    return text(permission(passage.basis.principal, reader.email))


def _place(passage: Passage) -> str:
    """The document, and the heading within it."""
    inside = passage.heading if passage.heading != passage.title else ""
    return f"{text(passage.title)}{f' <em>› {text(inside)}</em>' if inside else ''}"


def _number(number: int | None) -> str:
    return f'<span class="sb-num">{number}</span>' if number else ""


def class_tag(data_class: DataClass) -> str:
    """A data class is no state, so it gets a frame and no dot."""
    strict = " sb-strict" if data_class >= DataClass.CONFIDENTIAL else ""
    return f'<span class="sb-tag{strict}">{data_class.label}</span>'
