"""Shows a running answer as it grows. The answer itself is a task elsewhere; this only looks, so that leaving, reloading or a
second tab change nothing about it.

The first words are shown at once, then ten times a second what is new. Paragraphs that can no longer change are drawn once and
left alone, because Streamlit sends an element whole each time it changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from streamlit.delta_generator import DeltaGenerator

from app.chat import Chats, LiveTurn, TurnView
from app.domain import (
    Failed,
    Finished,
    Found,
    Offer,
    Offered,
    Passage,
    Person,
    Progress,
    Routed,
    Stopped,
    TextDelta,
)
from app.ui.widgets.answer_html import answer_html, split_settled
from app.ui.widgets.receipt_html import Reader
from app.ui.widgets.turn_html import rest_html, routed_html, stage_html

EVERY_S = 0.1
QUIET_S = 0.5
STAGE_EVERY_S = 0.15
ELSEWHERE_S = 0.4
SAY_SECONDS_AFTER = 3.0


@dataclass
class Heard:
    """What a live turn has said so far, read on from where the last look ended."""

    live: LiveTurn
    seen: int = 0
    stage: str = "Understanding the question"
    routed: Routed | None = None
    passages: tuple[Passage, ...] = ()
    text: str = ""
    offers: tuple[Offer, ...] = ()
    end: Finished | Stopped | Failed | None = None
    _parts: list[str] = field(default_factory=list)

    def listen(self) -> bool:
        """Takes in the news; False when there was none."""
        events = self.live.events[self.seen :]
        self.seen += len(events)
        for event in events:
            match event:
                case TextDelta(text):
                    self._parts.append(text)
                case Progress(text):
                    self.stage = text
                case Routed():
                    self.routed = event
                case Found(passages=passages):
                    self.passages = passages
                case Offered(offers=offers):
                    self.offers = offers
                case Finished() | Stopped() | Failed():
                    self.end = event
        if self._parts:
            self.text = "".join((self.text, *self._parts))
            self._parts.clear()
        return bool(events)

    @property
    def titles(self) -> dict[int, str]:
        return {n: passage.title for n, passage in enumerate(self.passages, 1)}


def follow(live: LiveTurn, turn: TurnView, reader: Reader, area: DeltaGenerator) -> TurnView:
    """Draws into `area` (an `st.empty`) until the turn is over and answers the turn as it ended."""
    heard = Heard(live)
    heard.listen()
    started = time.monotonic()
    if heard.end is None and not live.done:
        _draw_while_running(heard, turn, area, started)
        heard.listen()  # the end may have come while the last words were drawn
    ended = _ended(turn, heard)
    area.html(rest_html(ended, reader))
    return ended


def _draw_while_running(heard: Heard, turn: TurnView, area: DeltaGenerator, started: float) -> None:
    growing = _Growing(area, turn.id, heard)
    growing.draw(stage_html(heard.stage))
    drawn_at = time.monotonic()
    while heard.end is None and not heard.live.done:
        news = heard.live.wait(heard.seen, QUIET_S)
        heard.listen()
        if not heard.text and news and time.monotonic() - drawn_at < STAGE_EVERY_S:
            continue  # stages that pass in a blink are not worth a line each
        growing.draw(_line(heard, started, news))
        drawn_at = time.monotonic()
        if heard.text:
            time.sleep(EVERY_S)


class _Growing:
    """The growing answer: one element until a paragraph is settled, then the settled ones each in their own."""

    def __init__(self, area: DeltaGenerator, turn_id: str, heard: Heard) -> None:
        self._area = area
        self._turn_id = turn_id
        self._heard = heard
        self._settled = 0
        self._places: tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator] | None = None
        self._line = ""

    def draw(self, line: str) -> None:
        """Draws something even without news: any call lets Streamlit act on Stop or a closed tab."""
        done, rest = split_settled(self._heard.text[self._settled :])
        if done.strip() and self._places is None:
            column = self._area.container()
            self._places = column.empty(), column.container(), column.empty()
            self._line = ""
        if self._places is None:
            self._area.html(line + self._piece(rest))
            return
        head, settled, tail = self._places
        if line != self._line:
            head.html(line)
            self._line = line
        if done.strip():
            settled.html(self._piece(done))
            self._settled += len(done)
        tail.html(self._piece(rest) or "<span></span>")

    def _piece(self, markdown: str) -> str:
        if not markdown.strip():
            return ""
        html = answer_html(markdown, self._turn_id, self._heard.titles)
        return f'<div class="sb-answer">{html}</div>'


def _line(heard: Heard, started: float, news: bool) -> str:
    if heard.text and heard.routed:
        return routed_html(heard.routed)
    waited = time.monotonic() - started
    seconds = "" if news or waited < SAY_SECONDS_AFTER else f" · {waited:.0f} s"
    return stage_html(heard.stage, seconds)


def _ended(turn: TurnView, heard: Heard) -> TurnView:
    match heard.end:
        case Finished(answer=answer, receipt=receipt):
            return replace(
                turn,
                status="finished",
                answer=answer.text,
                receipt=receipt,
                offers=heard.offers,
            )
        case Stopped(text=text, receipt=receipt):
            return replace(turn, status="stopped", answer=text, receipt=receipt)
        case Failed(message=message, fix=fix, text=text, receipt=receipt):
            error = f"{message} {fix}"
            return replace(
                turn,
                status="failed",
                answer=text,
                error=error,
                receipt=receipt,
                offers=heard.offers,
            )
        case None:
            return replace(turn, status="interrupted", answer=heard.text or turn.answer)


def follow_elsewhere(
    chats: Chats, person: Person, turn: TurnView, reader: Reader, area: DeltaGenerator
) -> TurnView:
    """The same for a turn that another process runs: it is read from the database until it is over."""
    while turn.status == "running":
        words = (
            f'<div class="sb-answer">{answer_html(turn.answer, turn.id, {})}</div>'
            if turn.answer
            else ""
        )
        area.html(stage_html("Answering") + words)
        time.sleep(ELSEWHERE_S)
        turn = chats.turn(person, turn.id)
    area.html(rest_html(turn, reader))
    return turn
