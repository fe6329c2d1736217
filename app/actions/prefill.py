"""What a form starts with, taken from the conversation, and for each field where it came from.

Of documents only titles and addresses are taken: their text can neither fill a form unseen nor press a button.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.budgets import Standing
from app.domain import Passage, Person

TITLE_LENGTH = 100
BODY_LENGTH = 3000
FROM_QUESTION = "from your question"
FROM_ANSWER = "from the answer"
GUESSED = "guessed from your question"
USUAL = "the usual choice"

QUEUE_WORDS = {
    "IT": "laptop computer vpn password login wifi network printer software app account monitor "
    "keyboard phone email access screen install server license token",
    "Facilities": "office desk heating badge parking door light room chair cleaning kitchen "
    "window building elevator key",
    "People": "leave vacation parental sick contract payroll salary benefits onboarding holiday "
    "pension training hiring promotion",
    "Finance": "invoice expense expenses reimbursement budget card purchase receipt travel cost "
    "refund supplier payment",
}
URGENT = re.compile(r"\b(urgent|urgently|asap|immediately|right now|emergency)\b", re.IGNORECASE)
MARKER = re.compile(r"\s?\[\d+(?:,\s*\d+)*\]")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, for the forms. `standing` is the budget that was in the way."""

    person: Person
    question: str
    answer: str
    passages: Sequence[Passage]
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Prefilled:
    """`origins` names a source for each argument that has one."""

    arguments: dict[str, Any]
    origins: dict[str, str]


def ticket(conversation: Conversation) -> Prefilled:
    body, body_origin = _body(conversation)
    queue = _queue(conversation.question)
    urgent = bool(URGENT.search(conversation.question))
    return Prefilled(
        {
            "title": _title(conversation.question),
            "body": body,
            "queue": queue or "IT",
            "priority": "high" if urgent else "normal",
        },
        {
            "title": FROM_QUESTION,
            "body": body_origin,
            "queue": GUESSED if queue else USUAL,
            "priority": GUESSED if urgent else USUAL,
        },
    )


def message(conversation: Conversation) -> Prefilled:
    answer = MARKER.sub("", conversation.answer).strip()
    text, origin = (answer, FROM_ANSWER) if answer else (conversation.question, FROM_QUESTION)
    return Prefilled(
        {
            "subject": _title(conversation.question),
            "message": text[:BODY_LENGTH],
            "requested_for": "",
        },
        {"subject": FROM_QUESTION, "message": origin},
    )


def _title(question: str) -> str:
    """The first sentence, cut at a word."""
    line = " ".join(question.split())
    first = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0].rstrip(".")
    if len(first) <= TITLE_LENGTH:
        return first
    return first[: TITLE_LENGTH - 1].rsplit(" ", 1)[0] + "…"


def _body(conversation: Conversation) -> tuple[str, str]:
    """The question, and the documents that were read already."""
    question = conversation.question.strip()[:BODY_LENGTH]
    read = [
        f"- {passage.title}" + (f" ({passage.url})" if passage.url else "")
        for passage in _first_of_each_document(conversation.passages)
    ]
    if not read:
        return question, FROM_QUESTION
    numbers = "source 1" if len(read) == 1 else f"sources 1 to {len(read)}"
    return "\n".join([question, "", "Already read:", *read]), f"{FROM_QUESTION} and {numbers}"


def _first_of_each_document(passages: Sequence[Passage]) -> list[Passage]:
    return list({passage.document_id: passage for passage in reversed(passages)}.values())[::-1][:3]


def _queue(question: str) -> str:
    """The queue most of whose words are in the question; empty when none is."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    hits = Counter({queue: len(words & set(text.split())) for queue, text in QUEUE_WORDS.items()})
    queue, count = hits.most_common(1)[0]
    return queue if count else ""
