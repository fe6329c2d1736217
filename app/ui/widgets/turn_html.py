"""One turn of a conversation as a single piece of HTML: question, who answered, the answer, its sources, the receipt.

A past turn is one element, so that a long conversation costs little to draw.
"""

from __future__ import annotations

from app.chat.views import TurnView
from app.domain import Receipt, Routed
from app.ui.widgets.answer_html import answer_html
from app.ui.widgets.choices import short_label
from app.ui.widgets.picked import instead_of
from app.ui.widgets.receipt_html import (
    Reader,
    answered_by,
    numbered,
    sources_html,
    why_html,
)
from app.ui.widgets.words import text

NOTES = {
    "stopped": ("grey", "Stopped", "You stopped this answer; what had arrived is kept."),
    "interrupted": (
        "amber",
        "Interrupted",
        "Switchboard stopped while it was answering. Retry asks the same question again.",
    ),
}
FIRST_SYNC = (
    "amber",
    "Not all sources yet",
    "Some were still being read for the first time when this was asked, so something may be missing. Ask again in a while.",
)


def question_html(question: str) -> str:
    return f'<div class="sb-q"><div>{text(question)}</div></div>'


def stage_html(stage: str, more: str = "") -> str:
    """The quiet line while an answer is under way; `role=status` lets a screen reader say it."""
    return (
        f'<div class="sb-stage" role="status"><span class="sb-pulse"></span>'
        f"<span>{text(stage)}…{text(more)}</span></div>"
    )


def routed_html(routed: Routed) -> str:
    """The same line once words arrive."""
    return (
        f'<div class="sb-stage"><span class="sb-pulse"></span><span><b>{text(routed.intent.label)}'
        f'</b> <span class="sb-sep">·</span> {text(short_label(routed.model_label))} is answering</span></div>'
    )


def turn_html(turn: TurnView, reader: Reader) -> str:
    """A turn that is over, or that runs unseen."""
    return f"{question_html(turn.question)}{rest_html(turn, reader)}"


def rest_html(turn: TurnView, reader: Reader) -> str:
    """All but the question. A note says how it ended, where it did not simply end."""
    receipt = turn.receipt
    return (
        f'<article class="sb-turn">'
        f"{_receipt(receipt, reader, turn.model_wish) if receipt else ''}"
        f"{body_html(turn.answer, turn.id, receipt)}"
        f"{sources_html(receipt, reader) if receipt else ''}"
        f"{_note(turn)}{_first_sync(receipt)}</article>"
    )


def body_html(answer: str, turn_id: str, receipt: Receipt | None) -> str:
    if not answer:
        return ""
    titles = {n: passage.title for n, passage in numbered(receipt).items()} if receipt else {}
    return (
        f'<div class="sb-answer" data-answer="{text(turn_id)}">'
        f"{answer_html(answer, turn_id, titles)}</div>"
    )


def _receipt(receipt: Receipt, reader: Reader, wish: str | None) -> str:
    line = answered_by(receipt, instead_of(receipt, wish))
    return (
        f'<details class="sb-why"><summary><span class="sb-line">{line}</span>'
        f'<span class="sb-whylink">Why this answer</span></summary>'
        f"{why_html(receipt, reader)}</details>"
    )


def _note(turn: TurnView) -> str:
    if turn.status == "failed":
        word = "Interrupted" if turn.answer else "Not answered"
        return (
            '<div class="sb-note" role="alert"><span class="sb-dot sb-red"></span>'
            f"<div><b>{word}.</b> {text(turn.error)}</div></div>"
        )
    return _noted(*NOTES[turn.status]) if turn.status in NOTES else ""


def _first_sync(receipt: Receipt | None) -> str:
    return _noted(*FIRST_SYNC) if receipt is not None and receipt.first_sync else ""


def _noted(colour: str, word: str, sentence: str) -> str:
    return (
        f'<div class="sb-note"><span class="sb-dot sb-{colour}"></span>'
        f"<div><b>{word}.</b> {sentence}</div></div>"
    )
