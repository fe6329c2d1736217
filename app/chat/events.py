"""What a turn tells the log: what was asked, what protection did, and each model that was called."""

from __future__ import annotations

import hashlib

from app.domain import DataClass, Person, Prompt, Question, Usage
from app.draft import Draft
from app.records.events import ModelCalled, QuestionAsked, WordsScreened
from app.routing.voice import Attempt


def asked(
    person: Person, turn_id: str, conversation_id: str, channel: str, text: str
) -> QuestionAsked:
    """The event holds the question's length and fingerprint, never its words."""
    return QuestionAsked(
        actor=person.id,
        subject=turn_id,
        conversation=conversation_id,
        channel=channel,
        characters=len(text),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def screened(question: Question, draft: Draft) -> list[WordsScreened]:
    """One event where protection found or did something. A turn that is refused has it at its end, others before the model."""
    protection = draft.protection()
    if not protection:
        return []
    return [
        WordsScreened(
            actor=question.person.id,
            subject=question.turn_id,
            question_class=protection.question_class.label,
            found=dict(protection.found),
            masked=dict(protection.masked),
            dropped=dict(protection.dropped),
            forgotten=protection.forgotten,
            trimmed=protection.trimmed,
            reason=protection.reason,
        )
    ]


def model_calls(question: Question, draft: Draft) -> list[ModelCalled]:
    """One event for each model that was asked, with what it used."""
    calls = []
    if (tie := draft.tie) is not None and tie.call is not None:
        level = tie.call.data_class
        calls += [_called(question, one, tie.call.prompt, level) for one in tie.attempts]
    for attempt in draft.attempts:
        level = draft.sent_class(attempt.model)
        calls.append(_called(question, attempt, draft.prompt, level))
    return calls


def _called(
    question: Question, attempt: Attempt, prompt: Prompt | None, level: DataClass
) -> ModelCalled:
    used = attempt.usage or Usage()
    return ModelCalled(
        actor=question.person.id,
        subject=question.turn_id,
        model=attempt.model,
        prompt=prompt.name if prompt else "",
        prompt_version=prompt.version if prompt else "",
        prompt_sha=prompt.sha if prompt else "",
        data_class=level.label,
        outcome=attempt.error or attempt.note or "answered",
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        estimated=used.estimated,
        cost_usd=attempt.cost_usd,
    )
