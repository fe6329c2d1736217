"""How much a model may be asked: calls at once and calls a minute, by what an admin allows. Counted in this process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import ModelBusy
from app.routing.cards import ModelCard

MINUTE_S = 60.0


class Limits:
    """Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, int] = defaultdict(int)
        self._begun: dict[str, deque[float]] = defaultdict(deque)

    def objection(self, card: ModelCard) -> str:
        """Why the model can take no call now; empty when it can."""
        with self._lock:
            return self._objection(card)

    @contextmanager
    def call(self, card: ModelCard) -> Iterator[None]:
        """Counts one call. Raises ModelBusy, and counts nothing, when the model is at its limit."""
        with self._lock:
            if objection := self._objection(card):
                raise ModelBusy(f"{card.label} cannot be asked: {objection}.")
            self._running[card.id] += 1
            self._begun[card.id].append(self._clock())
        try:
            yield
        finally:
            with self._lock:
                self._running[card.id] -= 1

    def _objection(self, card: ModelCard) -> str:
        begun = self._begun[card.id]
        while begun and begun[0] <= self._clock() - MINUTE_S:
            begun.popleft()
        if card.at_once and self._running[card.id] >= card.at_once:
            return (
                f"it answers {card.at_once:,} questions already, as many as an admin allows at once"
            )
        if card.per_minute and len(begun) >= card.per_minute:
            return f"it has had its {card.per_minute:,} calls of this minute"
        return ""
