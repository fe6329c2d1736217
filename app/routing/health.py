"""Which models answer at the moment, from real traffic: a circuit breaker for each, and how soon each usually speaks.

A breaker opens, and its model is left out of routes, when
- three calls in a row fail, or half of at least ten within a minute (resilience4j's default failure rate is 50 % too);
- one keeps silent until its deadline: the next reader would wait as long again;
- the provider refuses the key, limits the rate, or says that it allows no more for a while.

It stays open for half a minute, or as long as a rate limit says. Then one question may try the model (half-open). Success
closes the breaker; failure opens it again for twice as long, five minutes at most.
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
    ModelBusy,
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    NotCleared,
    OverBudget,
)

FAILURES_TO_OPEN = 3
WINDOW_S = 60.0
CALLS_TO_JUDGE = 10
RATE_TO_OPEN = 0.5
OPEN_S = 30.0
LONGEST_WAIT_S = 300.0
RECENT = 50
TIMES_TO_KNOW = 5
"""Fewer first-token times say nothing about what is usual."""

# The question's fault or our own limit, not a sign of the model's health.
_NOT_ITS_FAULT = (ModelRefused, ContextTooLong, ModelBusy, NotCleared, OverBudget)

State = Literal["unknown", "healthy", "failing", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """A model's state now. `failed` of the last `calls` (50 at most) went wrong; `wait_s` is how long it is still left out;
    the first-token times are medians and 95th percentiles of the last 50 answers in seconds, None before there are five."""

    state: State
    calls: int = 0
    failed: int = 0
    wait_s: float = 0.0
    last_error: str = ""
    first_token_p50_s: float | None = None
    first_token_p95_s: float | None = None


@dataclass
class _Breaker:
    outcomes: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=RECENT))
    times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    in_a_row: int = 0
    judged_from: float = float("-inf")
    open_until: float = 0.0
    openings: int = 0
    probing_since: float | None = None
    last_error: str = ""

    def failing(self, at: float) -> bool:
        """Whether its failures are many enough to open."""
        since = max(self.judged_from, at - WINDOW_S)
        judged = [well for when, well in self.outcomes if when > since]
        often = judged.count(False) >= RATE_TO_OPEN * len(judged) >= RATE_TO_OPEN * CALLS_TO_JUDGE
        return self.in_a_row >= FAILURES_TO_OPEN or often

    def usual(self, share: float) -> float | None:
        if len(self.times) < TIMES_TO_KNOW:
            return None
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]


class Health:
    """Safe to call from any thread. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers: dict[str, _Breaker] = {}

    def objection(self, model_id: str) -> str:
        """Why the model should not be asked now; empty when it may be. Asking changes nothing."""
        with self._lock:
            breaker = self._breakers.get(model_id)
            return self._objection(breaker) if breaker else ""

    def admit(self, model_id: str) -> str:
        """Like `objection`, by who is about to ask: half-open, the first to come is the one probe. The others wait for its
        outcome, or half a minute."""
        with self._lock:
            breaker = self._breaker(model_id)
            objection = self._objection(breaker)
            if not objection and breaker.open_until:
                breaker.probing_since = self._clock()
            return objection

    def let_go(self, model_id: str) -> None:
        """The call ended without saying anything about the model: its reader stopped it, or another model was quicker."""
        with self._lock:
            self._breaker(model_id).probing_since = None

    def spoke(self, model_id: str, after_s: float) -> None:
        """Its first token came `after_s` seconds after it was asked."""
        with self._lock:
            self._breaker(model_id).times.append(after_s)

    def succeeded(self, model_id: str) -> None:
        with self._lock:
            breaker, at = self._breaker(model_id), self._clock()
            breaker.outcomes.append((at, True))
            if breaker.open_until:
                breaker.judged_from = at
            breaker.in_a_row = breaker.openings = 0
            breaker.open_until, breaker.probing_since = 0.0, None

    def failed(self, model_id: str, error: ModelError) -> None:
        """Counts a failure unless it was the question's fault. A rate limit that was foreseen opens without counting."""
        with self._lock:
            breaker, at = self._breaker(model_id), self._clock()
            probing, breaker.probing_since = breaker.probing_since is not None, None
            if isinstance(error, _NOT_ITS_FAULT):
                return
            breaker.last_error = error.message
            if not (isinstance(error, ModelRateLimited) and error.foreseen):
                breaker.outcomes.append((at, False))
                breaker.in_a_row += 1
            self._open(breaker, error, at, probing)

    def outpaced(self, model_id: str, silent_s: float) -> None:
        """A hedged call whose other model spoke first. Silence beyond its own usual time counts as a failure, or a dead model
        would be asked for ever."""
        with self._lock:
            usual = self._breaker(model_id).usual(0.95)
        if usual is not None and silent_s > usual:
            self.failed(model_id, ModelError(f"It kept silent for {silent_s:.1f} seconds."))
        else:
            self.let_go(model_id)

    def usual_first_token_s(self, model_id: str) -> float | None:
        """The 95th percentile of its last 50 first-token times, None before there are five."""
        with self._lock:
            return self._breaker(model_id).usual(0.95)

    def forget(self, model_id: str) -> None:
        """The model is gone, or its id means another one now."""
        with self._lock:
            self._breakers.pop(model_id, None)

    def of(self, model_id: str) -> ModelHealth:
        with self._lock:
            breaker = self._breakers.get(model_id)
            if breaker is None or not (breaker.outcomes or breaker.open_until):
                return ModelHealth("unknown")
            wait = max(0.0, breaker.open_until - self._clock())
            state: State = "failing" if breaker.in_a_row else "healthy"
            if breaker.open_until:
                state = "open" if wait else "half-open"
            return ModelHealth(
                state,
                len(breaker.outcomes),
                sum(not well for _, well in breaker.outcomes),
                round(wait, 1),
                breaker.last_error if breaker.in_a_row or breaker.open_until else "",
                breaker.usual(0.5),
                breaker.usual(0.95),
            )

    def _breaker(self, model_id: str) -> _Breaker:
        return self._breakers.setdefault(model_id, _Breaker())

    def _objection(self, breaker: _Breaker) -> str:
        if not breaker.open_until:
            return ""
        at = self._clock()
        if at < breaker.open_until:
            seconds = max(1, round(breaker.open_until - at))
            return (
                f"it failed a moment ago ({breaker.last_error}) and is tried again in {seconds} s"
            )
        if breaker.probing_since is not None and at - breaker.probing_since < OPEN_S:
            return "it failed a moment ago and another question is trying it now"
        return ""

    def _open(self, breaker: _Breaker, error: ModelError, at: float, probing: bool) -> None:
        """Calls that were under way when the breaker opened fail after it: they neither open it again nor prolong it."""
        if isinstance(error, ModelRateLimited) and error.retry_after is not None:
            wait = min(max(0.5, error.retry_after), LONGEST_WAIT_S)
            breaker.open_until = max(breaker.open_until, at + wait)
            return
        at_once = isinstance(error, ModelRateLimited | ModelCredential | ModelTimeout)
        closed = not breaker.open_until
        if probing or (closed and (at_once or breaker.failing(at))):
            breaker.open_until = at + min(OPEN_S * 2**breaker.openings, LONGEST_WAIT_S)
            breaker.openings = min(breaker.openings + 1, 8)
