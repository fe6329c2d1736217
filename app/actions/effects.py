"""What an action is given to do its work, what it answers, and the two ways of having an effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session

from app.domain import Json, now
from app.records.events import Event
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Work:
    """One approved request. `request_id` is the idempotency key of its effect, `today` the day in the company's time zone."""

    request_id: str
    person_id: str
    payload: Json
    action: str = ""
    decided_by: str | None = None
    today: date = field(default_factory=lambda: now().date())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, in a sentence for the person, and where to look at it. `events` go on record with it."""

    text: str
    url: str = ""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class InTransaction:
    """An effect in our own database: it commits together with the request's new status, so it happens exactly once."""

    apply: Callable[[Session, Work], Outcome]


@dataclass(frozen=True, slots=True)
class Outside:
    """An effect elsewhere: it may be repeated after a crash, always with the same idempotency key.

    `send` raises ActionError when it did not happen.
    """

    send: Callable[[Settings, Work], Outcome]


Effect = InTransaction | Outside


def canonical(payload: Json) -> str:
    """The one text of a payload: what is shown, hashed, approved and sent."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def payload_hash(payload: Json) -> str:
    """SHA-256 of the canonical text, in hex. An approval is bound to it."""
    return hashlib.sha256(canonical(payload).encode()).hexdigest()
