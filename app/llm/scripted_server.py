"""The scripted model over real HTTP in the OpenAI wire format, written on bare asyncio so that a benchmark measures Switchboard
and not its stand-in:

    python -m app.llm.scripted_server --port 9100 --tokens 40 --delay-ms 10

`GET /stats` tells how long its own answers took, `DELETE /stats` starts the count again. `PUT /delay-ms` with a number as
its body changes the pace, of answers under way as well: what would have been due by now under the new one comes at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence

from app.llm.scripted import script

PASSAGE_MARK = "<passage "  # how prompts open a passage; see prompts/grounded
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: keep-alive\r\n"


class ScriptedServer:
    """The same script over HTTP/1.1. `start` returns the base URL to configure, `close` ends every connection.

    `says` names further models, each with the one text that it answers with."""

    def __init__(
        self,
        tokens: int = 40,
        delay_ms: float = 0.0,
        model: str = "scripted",
        says: Mapping[str, str] | None = None,
    ) -> None:
        self.delay_s = delay_ms / 1000
        self.model = model
        self.answers = {cited: _Answer(script(tokens, cited), model) for cited in (False, True)}
        self.said = {name: _Answer(_words(text), name) for name, text in (says or {}).items()}
        self.timings: deque[tuple[float, float]] = deque(maxlen=200_000)
        self.connections: set[_Connection] = set()
        self.abandoned = 0
        self._cpu_at = time.process_time()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.abort()
            await self._server.wait_closed()

    def reset(self) -> None:
        self.timings.clear()
        self.abandoned = 0
        self._cpu_at = time.process_time()

    def stats(self) -> bytes:
        """Milliseconds from the last byte of a request to its first and to its last token, as this process saw them."""
        first = sorted(first for first, _ in self.timings)
        total = sorted(total for _, total in self.timings)
        cpu_ms = (time.process_time() - self._cpu_at) * 1000
        return json.dumps(
            {
                "answers": len(total),
                "abandoned": self.abandoned,
                "first_p50_ms": _middle(first),
                "total_p50_ms": _middle(total),
                "cpu_ms_per_answer": round(cpu_ms / len(total), 3) if total else None,
            }
        ).encode()


class _Answer:
    """Every byte of an answer, made once."""

    def __init__(self, pieces: Sequence[str], model: str) -> None:
        tokens = len(pieces)
        head = {"id": "chatcmpl-scripted", "created": 0, "model": model}
        chunk = head | {"object": "chat.completion.chunk"}
        self.usage = {
            "prompt_tokens": 400,
            "completion_tokens": tokens,
            "total_tokens": 400 + tokens,
        }
        self.chunks = [
            _event(chunk | {"choices": [_choice({"delta": {"content": piece}})]})
            for piece in pieces
        ]
        self.tail = (
            _event(chunk | {"choices": [_choice({"delta": {}}, "stop")]})
            + _event(chunk | {"choices": [], "usage": self.usage})
            + _sized(b"data: [DONE]\n\n")
            + b"0\r\n\r\n"
        )
        message = {"message": {"role": "assistant", "content": "".join(pieces)}}
        whole = head | {"object": "chat.completion", "choices": [_choice(message, "stop")]}
        self.whole = json.dumps(whole | {"usage": self.usage}).encode()


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._server.abandoned += 1

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        self._received = b""
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path.endswith(b"/chat/completions"):
            self._complete(body)
        elif path.endswith(b"/models"):
            models = {"object": "list", "data": [{"id": self._server.model, "object": "model"}]}
            self._send(json.dumps(models).encode())
        elif path.endswith(b"/stats"):
            if method == b"DELETE":
                self._server.reset()
            self._send(self._server.stats())
        elif path.endswith(b"/delay-ms") and method == b"PUT":
            self._server.delay_s = float(body) / 1000
            self._send(b"{}")
        else:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _complete(self, body: bytes) -> None:
        request = json.loads(body)
        answer = self._server.said.get(request.get("model"))
        answer = answer or self._server.answers[PASSAGE_MARK.encode() in body]
        if not request.get("stream"):
            self._send(answer.whole)
            return
        started = self._loop.time()
        self._transport.write(_HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n")
        if not self._server.delay_s:
            self._transport.write(b"".join(answer.chunks))
            self._finish(answer, started, started)
            return
        self._step(answer, 0, started)

    def _step(self, answer: _Answer, index: int, started: float) -> None:
        """Token `index` is due `index` delays after the request: no drift, however busy the machine."""
        self._transport.write(answer.chunks[index])
        if index + 1 == len(answer.chunks):
            self._finish(answer, started, started)
            return
        due = started + (index + 1) * self._server.delay_s
        self._timer = self._loop.call_at(due, self._step, answer, index + 1, started)

    def _finish(self, answer: _Answer, started: float, first: float) -> None:
        self._timer = None
        self._transport.write(answer.tail)
        total = (self._loop.time() - started) * 1000
        self._server.timings.append(((first - started) * 1000, total))

    def _send(self, body: bytes) -> None:
        self._transport.write(
            _HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _choice(content: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "finish_reason": finish, **content}


def _event(value: dict[str, object]) -> bytes:
    return _sized(b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n")


def _sized(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _words(text: str) -> list[str]:
    """The text in pieces, each a word with the white space after it."""
    return re.findall(r"\S+\s*", text) or [text]


def _middle(values: list[float]) -> float | None:
    return round(values[len(values) // 2], 3) if values else None


async def serve(
    host: str, port: int, tokens: int, delay_ms: float, says: Mapping[str, str] | None = None
) -> None:
    """Until cancelled."""
    server = ScriptedServer(tokens, delay_ms, says=says)
    print(await server.start(host, port), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model over HTTP, for benchmarks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--delay-ms", type=float, default=10.0)
    parser.add_argument("--say", metavar="MODEL=TEXT", action="append", default=[])
    options = parser.parse_args()
    says = dict(said.split("=", 1) for said in options.say)
    try:
        asyncio.run(serve(options.host, options.port, options.tokens, options.delay_ms, says))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
