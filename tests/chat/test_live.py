"""A running turn can be followed from threads and from the loop, from the first event on."""

from __future__ import annotations

import asyncio
import threading

from app.chat import LiveTurn
from app.domain import Progress, TextDelta


def test_a_thread_waits_for_news_and_reads_only_what_is_new() -> None:
    live = LiveTurn("t", "p", "c")
    live.publish(Progress("Searching"), TextDelta("Hello "))
    text, seen = live.text_since(0)
    assert (text, live.view().stage, live.wait(seen, 0.01)) == ("Hello ", "Searching", False)
    heard: list[tuple[bool, str]] = []

    def follower() -> None:
        heard.append((live.wait(seen, 5), live.text_since(seen)[0]))

    thread = threading.Thread(target=follower)
    thread.start()
    live.publish(TextDelta("world"))
    thread.join()
    assert heard == [(True, "world")]
    live.close()
    assert live.wait(99, 5)
    assert live.wait_done(90)


async def test_a_late_follower_on_the_loop_hears_everything_once() -> None:
    live = LiveTurn("t", "p", "c")
    live.publish(TextDelta("a"))

    async def listen() -> list[object]:
        return [event async for event in live.follow()]

    early = asyncio.create_task(listen())
    await asyncio.sleep(0)
    live.publish(TextDelta("b"))
    late = asyncio.create_task(listen())
    await asyncio.sleep(0)
    live.publish(TextDelta("c"))
    live.close()
    expected = [TextDelta("a"), TextDelta("b"), TextDelta("c")]
    assert await asyncio.gather(early, late) == [expected, expected]
