"""A running answer, as everyone who looks at it sees it. Written on the event loop, read from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.domain import Failed, Finished, Progress, Routed, Stopped, TextDelta, TurnEvent


@dataclass(frozen=True, slots=True)
class LiveView:
    """One look at a running turn. `seen` goes into the next `wait`."""

    seen: int
    status: str
    stage: str
    text: str
    routed: Routed | None


class LiveTurn:
    """The events of one turn so far. They are only ever appended, so a reader needs no lock to look back."""

    def __init__(self, turn_id: str, person_id: str, conversation_id: str) -> None:
        self.turn_id = turn_id
        self.person_id = person_id
        self.conversation_id = conversation_id
        self.events: list[TurnEvent] = []
        self.done = False
        self._news = threading.Condition()
        self._followers: set[asyncio.Future[None]] = set()

    def publish(self, *events: TurnEvent) -> None:
        """On the event loop only."""
        self.events.extend(events)
        self._wake()

    def close(self) -> None:
        """After everything is persisted; followers end."""
        self.done = True
        self._wake()

    def view(self) -> LiveView:
        seen = len(self.events)
        status, stage, parts, routed = "running", "", [], None
        for event in self.events[:seen]:
            match event:
                case TextDelta(text):
                    parts.append(text)
                case Progress(text):
                    stage = text
                case Routed():
                    routed = event
                case Finished():
                    status = "finished"
                case Stopped():
                    status = "stopped"
                case Failed():
                    status = "failed"
                case _:
                    pass
        return LiveView(seen, status, stage, "".join(parts), routed)

    def text_since(self, seen: int) -> tuple[str, int]:
        """New text after the first `seen` events, and the number to ask with next."""
        end = len(self.events)
        text = "".join(e.text for e in self.events[seen:end] if isinstance(e, TextDelta))
        return text, end

    def wait(self, seen: int, timeout: float) -> bool:
        """Blocks a thread until there is more than `seen` or the turn is over; False when the time ran out."""
        deadline = time.monotonic() + timeout
        with self._news:
            while len(self.events) <= seen and not self.done:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(left)
        return True

    def wait_done(self, timeout: float) -> bool:
        """Blocks a thread until the turn is over and persisted."""
        with self._news:
            return self._news.wait_for(lambda: self.done, timeout)

    async def follow(self) -> AsyncIterator[TurnEvent]:
        """Every event from the first, then the new ones; ends when the turn is persisted."""
        async for batch in self.batches():
            for event in batch:
                yield event

    async def batches(self) -> AsyncIterator[list[TurnEvent]]:
        """What is there, then what is new each time there is news; ends when the turn is persisted.

        A slow reader gets fewer, larger batches.
        """
        seen = 0
        while True:
            while seen < len(self.events):
                batch = self.events[seen:]
                seen += len(batch)
                yield batch
            if self.done:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._followers.add(waiter)
            try:
                await waiter
            finally:
                self._followers.discard(waiter)

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()
        for waiter in tuple(self._followers):
            if not waiter.done():
                waiter.set_result(None)
