"""A client of /v1/chat/completions that costs little itself: raw sockets, no JSON but for the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

GIVE_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds from sending the question to the first text and to the end."""

    first_ms: float
    total_ms: float
    error: str = ""


async def ask(host: str, port: int, headers: str, model: str, question: str) -> Timing:
    body = json.dumps(
        {
            "model": model,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
        }
    ).encode()
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        first, received = 0.0, b""
        while b"[DONE]" not in received[-200:]:
            async with asyncio.timeout(GIVE_UP_S):
                data = await reader.read(65536)
            if not data:
                break
            received += data
            if not first and b'"content":"' in received.replace(b": ", b":").replace(
                b'"content":""', b""
            ):
                first = time.perf_counter()
        ended = time.perf_counter()
    finally:
        writer.close()
    status = received.split(b" ", 2)[1:2]
    if status != [b"200"] or b"[DONE]" not in received or not first:
        return Timing(0, 0, received[:300].decode(errors="replace") or "nothing received")
    return Timing((first - started) * 1000, (ended - started) * 1000)


async def closed_loop(
    host: str,
    port: int,
    headers: str,
    model: str,
    questions: Sequence[str],
    at_once: int,
) -> tuple[list[Timing], float]:
    """`at_once` clients ask all `questions` between them, each its next as soon as its last is answered.

    Returns the timings and the seconds it took.
    """
    queue = list(reversed(questions))
    timings: list[Timing] = []

    async def client() -> None:
        while queue:
            timings.append(await ask(host, port, headers, model, queue.pop()))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return timings, time.perf_counter() - started
