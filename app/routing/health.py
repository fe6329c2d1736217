"""Which models answer at the moment, from real traffic: a circuit breaker for each.

Three failures in a row open it for half a minute: the model is left out of routes. Then one question may try it (half-open);
its success closes the breaker, its failure opens it again. A rate limit or a refused key opens it at once, because the next
call would meet the same.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from app.errors import (
    ContextTooLong,
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    NotCleared,
)

FAILURES_TO_OPEN = 3
OPEN_S = 30.0
RECENT = 50

LONGEST_WAIT_S = 300.0

# The question's fault, not a sign of the model's health.
_NOT_ITS_FAULT = (ModelRefused, ContextTooLong, NotCleared)

State = Literal["unknown", "healthy", "failing", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """A model's state now. `failed` of the last `calls` (50 at most) went wrong; `wait_s` is how long it is still left out."""

    state: State
    calls: int = 0
    failed: int = 0
    wait_s: float = 0.0
    last_error: str = ""


@dataclass
class _Breaker:
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    in_a_row: int = 0
    open_until: float = 0.0
    probing_since: float | None = None
    last_error: str = ""


class Health:
    """Safe to call from any thread. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers: dict[str, _Breaker] = {}

    def succeeded(self, model_id: str) -> None:
        with self._lock:
            breaker = self._breaker(model_id)
            breaker.outcomes.append(True)
            breaker.in_a_row, breaker.open_until, breaker.probing_since = 0, 0.0, None

    def failed(self, model_id: str, error: ModelError) -> None:
        """Counts a failure unless it was the question's fault."""
        with self._lock:
            breaker = self._breaker(model_id)
            breaker.probing_since = None
            if isinstance(error, _NOT_ITS_FAULT):
                return
            breaker.outcomes.append(False)
            breaker.in_a_row += 1
            breaker.last_error = error.message
            wait = _wait_s(error, breaker.in_a_row)
            if wait:
                breaker.open_until = self._clock() + wait

    def objection(self, model_id: str) -> str:
        """Why the model should not be asked now; empty when it may be."""
        with self._lock:
            breaker = self._breakers.get(model_id)
            if breaker is None or not breaker.open_until:
                return ""
            at = self._clock()
            if at < breaker.open_until:
                seconds = max(1, round(breaker.open_until - at))
                return f"it failed a moment ago ({breaker.last_error}) and is tried again in {seconds} s"
            if breaker.probing_since is not None and at - breaker.probing_since < OPEN_S:
                return "it failed a moment ago and another question is trying it now"
            return ""

    def chosen(self, model_id: str) -> None:
        """A question goes to this model. Half-open, it is the one probe; the others wait for its outcome, or half a minute."""
        with self._lock:
            breaker = self._breakers.get(model_id)
            if breaker is not None and breaker.open_until:
                breaker.probing_since = self._clock()

    def of(self, model_id: str) -> ModelHealth:
        with self._lock:
            breaker = self._breakers.get(model_id)
            if breaker is None or not breaker.outcomes:
                return ModelHealth("unknown")
            wait = max(0.0, breaker.open_until - self._clock())
            state: State = "failing" if breaker.in_a_row else "healthy"
            if breaker.open_until:
                state = "open" if wait else "half-open"
            failed = sum(not outcome for outcome in breaker.outcomes)
            error = breaker.last_error if breaker.in_a_row else ""
            return ModelHealth(state, len(breaker.outcomes), failed, round(wait, 1), error)

    def _breaker(self, model_id: str) -> _Breaker:
        return self._breakers.setdefault(model_id, _Breaker())


def _wait_s(error: ModelError, in_a_row: int) -> float:
    if isinstance(error, ModelRateLimited):
        asked = OPEN_S if error.retry_after is None else error.retry_after
        return min(max(0.5, asked), LONGEST_WAIT_S)
    if isinstance(error, ModelCredential) or in_a_row >= FAILURES_TO_OPEN:
        return OPEN_S
    return 0.0
