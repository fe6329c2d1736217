"""A real HTTP server that speaks the OpenAI and the Anthropic wire formats, well and badly.

The model id of a request picks what happens: `ok`, or a name from `FAULTS`. It listens on 127.0.0.1 in the loop that
started it; `requests` keeps every body; `lists` makes it name models; `hung_up` waits for clients to go.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from socket import SO_LINGER, SOL_SOCKET
from ssl import SSLContext
from typing import Any
from urllib.parse import unquote

PIECES = ("Trains ", "first, ", "then planes [1].")
PROMPT_TOKENS, COMPLETION_TOKENS = 21, 7
CACHED_TOKENS, CACHE_WRITE_TOKENS = 8, 3  # of the prompt; OpenAI bills no writing to its cache


@dataclass
class Exchange:
    """One request and the socket to answer it on."""

    writer: asyncio.StreamWriter
    openai: bool
    body: dict[str, Any]
    key: str

    async def head(self, status: int, kind: str, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", *headers]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()

    async def pause(self) -> None:
        """So that what comes next is another network read: adapters judge all events of one read together."""
        await asyncio.sleep(0.02)

    def reset(self) -> None:
        """Closes the connection with RST instead of FIN."""
        socket = self.writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def error(self, status: int, error: Any, *headers: str) -> None:
        body = {"error": error} if self.openai else {"type": "error", "error": error}
        await self.page(status, "application/json", json.dumps(body), *headers)

    async def page(self, status: int, kind: str, text: str, *headers: str) -> None:
        data = text.encode()
        await self.head(status, kind, f"Content-Length: {len(data)}", *headers)
        self.writer.write(data)

    async def begin(self) -> None:
        await self.head(200, "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")

    async def raw(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def event(self, value: dict[str, Any]) -> None:
        name = "" if self.openai else f"event: {value['type']}\n"
        await self.raw(f"{name}data: {json.dumps(value)}\n\n".encode())

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def text(self, piece: str) -> None:
        if self.openai:
            await self.event({"choices": [{"index": 0, "delta": {"content": piece}}]})
        else:
            delta = {"type": "text_delta", "text": piece}
            await self.event({"type": "content_block_delta", "index": 0, "delta": delta})

    async def start_message(self) -> None:
        if self.openai:
            await self.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        else:
            usage = {
                "input_tokens": PROMPT_TOKENS - CACHED_TOKENS - CACHE_WRITE_TOKENS,
                "cache_read_input_tokens": CACHED_TOKENS,
                "cache_creation_input_tokens": CACHE_WRITE_TOKENS,
            }
            await self.event({"type": "message_start", "message": {"usage": usage}})

    async def finish(self, openai: str, anthropic: str, *, usage: bool = True) -> None:
        if self.openai:
            await self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": openai}]})
            if usage:
                counts = {
                    "prompt_tokens": PROMPT_TOKENS,
                    "completion_tokens": COMPLETION_TOKENS,
                    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
                }
                await self.event({"choices": [], "usage": counts})
            await self.raw(b"data: [DONE]\n\n")
        else:
            counts = {"output_tokens": COMPLETION_TOKENS} if usage else {}
            delta = {"stop_reason": anthropic}
            await self.event({"type": "message_delta", "delta": delta, "usage": counts})
            await self.event({"type": "message_stop"})


async def ok(x: Exchange) -> None:
    await x.begin()
    await x.start_message()
    for piece in PIECES:
        await x.text(piece)
    await x.finish("stop", "end_turn")
    await x.end()


async def paced(x: Exchange) -> None:
    """A whole answer whose pieces are far enough apart to be read one by one."""
    await x.begin()
    await x.start_message()
    for piece in PIECES:
        await x.text(piece)
        await x.pause()
    await x.finish("stop", "end_turn")
    await x.end()


async def goes_on(x: Exchange) -> None:
    """Finishes the answer of PIECES from where the assistant's last message stops; told to, it repeats that message's last
    words first, as models do."""
    *_, last = x.body["messages"]
    told = last["role"] == "user"
    before = x.body["messages"][-2 if told else -1]["content"]
    rest = "".join(PIECES).removeprefix(before)
    await x.begin()
    for piece in (before, rest) if told else (rest,):
        await x.text(piece)
    await x.finish("stop", "end_turn")
    await x.end()


async def no_usage(x: Exchange) -> None:
    await x.begin()
    for piece in PIECES:
        await x.text(piece)
    await x.finish("stop", "end_turn", usage=False)
    await x.end()


async def length(x: Exchange) -> None:
    await x.begin()
    await x.text(PIECES[0])
    await x.finish("length", "max_tokens")
    await x.end()


async def crumbs(x: Exchange) -> None:
    """The same bytes, three at a time, with CRLF line ends and a comment line."""
    if x.openai:
        events = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in PIECES]
        text = (
            "".join(f"data: {event}\r\n\r\n" for event in events)
            + ": hi\r\n\r\ndata: [DONE]\r\n\r\n"
        )
    else:
        texts = [{"type": "text_delta", "text": piece} for piece in PIECES]
        values = [{"type": "content_block_delta", "delta": delta} for delta in texts]
        events = [json.dumps(value) for value in [*values, {"type": "message_stop"}]]
        text = ": hi\r\n\r\n" + "".join(f"event: x\r\ndata: {event}\r\n\r\n" for event in events)
    await x.begin()
    data = text.encode()
    for start in range(0, len(data), 3):
        await x.raw(data[start : start + 3])
    await x.end()


async def refusal(x: Exchange) -> None:
    await x.begin()
    await x.start_message()
    if x.openai:
        await x.event({"choices": [{"index": 0, "delta": {"refusal": "I cannot help."}}]})
    await x.finish("stop", "refusal")
    await x.end()


async def filtered(x: Exchange) -> None:
    await x.begin()
    await x.text(PIECES[0])
    await x.pause()
    await x.finish("content_filter", "refusal")
    await x.end()


async def truncated(x: Exchange) -> None:
    """A clean end of the body, without the end of the answer."""
    await x.begin()
    await x.text(PIECES[0])
    await x.end()


async def cut_off(x: Exchange) -> None:
    """The connection dies in the middle of a chunk."""
    await x.begin()
    await x.text(PIECES[0])
    x.writer.write(b"ff\r\ndata: {")
    await x.writer.drain()
    x.writer.close()


async def resets(x: Exchange) -> None:
    """A reset (RST) after the first word."""
    await x.begin()
    await x.text(PIECES[0])
    await x.pause()
    x.reset()


async def resets_at_once(x: Exchange) -> None:
    x.reset()


async def hangs_up(x: Exchange) -> None:
    x.writer.close()


async def malformed_chunk(x: Exchange) -> None:
    await x.begin()
    await x.text(PIECES[0])
    await x.pause()
    await x.raw(b'data: {"choices": [{"delta": {"content": "half\n\n')
    await x.end()


async def chunk_of_another_kind(x: Exchange) -> None:
    await x.begin()
    await x.raw(b'data: {"hello": "world"}\n\n')
    await x.end()


async def chunk_that_is_a_list(x: Exchange) -> None:
    await x.begin()
    await x.raw(b"data: [1, 2]\n\n")
    await x.end()


async def nested_nonsense(x: Exchange) -> None:
    """JSON of the right outline with wrong types inside."""
    await x.begin()
    await x.raw(b'data: {"type": "content_block_delta", "delta": 7, "choices": ["x"]}\n\n')
    await x.end()


async def empty_answer(x: Exchange) -> None:
    await x.begin()
    await x.start_message()
    await x.finish("stop", "end_turn")
    await x.end()


async def empty_body(x: Exchange) -> None:
    await x.begin()
    await x.end()


async def login_page(x: Exchange) -> None:
    await x.page(200, "text/html", "<html>Please sign in to the proxy</html>")


async def plain_json(x: Exchange) -> None:
    await x.page(200, "application/json", '{"choices": []}')


async def no_http(x: Exchange) -> None:
    x.writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await x.writer.drain()
    x.writer.close()


async def bad_gzip(x: Exchange) -> None:
    await x.head(200, "text/event-stream", "Content-Encoding: gzip", "Content-Length: 7")
    x.writer.write(b"notgzip")


async def overloaded_in_stream(x: Exchange) -> None:
    await x.begin()
    await x.text(PIECES[0])
    await x.pause()
    error = {"type": "overloaded_error", "message": "Overloaded"}
    await x.event({"type": "error", "error": error})
    await x.end()


async def limited_in_stream(x: Exchange) -> None:
    await x.begin()
    error = {"type": "rate_limit_error", "message": "Slow down"}
    await x.event({"type": "error", "error": error})
    await x.end()


async def silent(x: Exchange) -> None:
    """Headers, then nothing until the client goes."""
    await x.begin()
    await asyncio.Event().wait()


async def never_answers(x: Exchange) -> None:  # noqa: ARG001
    await asyncio.Event().wait()


async def late(x: Exchange) -> None:
    """A whole answer, after a tenth of a second."""
    await asyncio.sleep(0.1)
    await ok(x)


async def stalls(x: Exchange) -> None:
    """One word, then silence."""
    await x.begin()
    await x.text(PIECES[0])
    await asyncio.Event().wait()


async def drips(x: Exchange) -> None:
    """Words now and then, for ever unless the question asks for an end."""
    await x.begin()
    ends = x.body["messages"][-1]["content"] == "Drip three times."
    for _ in range(3) if ends else count():
        await x.text("drip ")
        await asyncio.sleep(0.005)
    await x.finish("stop", "end_turn")
    await x.end()


def status(code: int, error: Any, *headers: str) -> Callable[[Exchange], Awaitable[None]]:
    async def answer(x: Exchange) -> None:
        await x.error(code, error, *headers)

    return answer


async def bad_key(x: Exchange) -> None:
    """Some servers repeat the key they were given."""
    error = {"type": "authentication_error", "message": f"Invalid key provided: {x.key}"}
    await x.error(401, error)


async def echoes_prompt(x: Exchange) -> None:
    said = x.body["messages"][-1]["content"]
    message = f"Input should be a valid list, input_value='{said}' is a string"
    await x.error(422, {"type": "invalid_request_error", "message": message})


async def bad_gateway(x: Exchange) -> None:
    await x.page(502, "text/html", "<html>Bad gateway</html>")


def _error(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "code": code}


FAULTS: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "ok": ok,
    "no_usage": no_usage,
    "length": length,
    "crumbs": crumbs,
    "paced": paced,
    "goes_on": goes_on,
    "late": late,
    "refusal": refusal,
    "filtered": filtered,
    "truncated": truncated,
    "cut_off": cut_off,
    "resets": resets,
    "resets_at_once": resets_at_once,
    "hangs_up": hangs_up,
    "malformed_chunk": malformed_chunk,
    "chunk_of_another_kind": chunk_of_another_kind,
    "chunk_that_is_a_list": chunk_that_is_a_list,
    "nested_nonsense": nested_nonsense,
    "empty_answer": empty_answer,
    "empty_body": empty_body,
    "login_page": login_page,
    "plain_json": plain_json,
    "no_http": no_http,
    "bad_gzip": bad_gzip,
    "overloaded_in_stream": overloaded_in_stream,
    "limited_in_stream": limited_in_stream,
    "silent": silent,
    "never_answers": never_answers,
    "stalls": stalls,
    "drips": drips,
    "bad_key": bad_key,
    "echoes_prompt": echoes_prompt,
    "bad_gateway": bad_gateway,
    "forbidden": status(403, _error("permission_error", "Not your model")),
    "no_credit": status(429, _error("insufficient_quota", "Check your plan", "insufficient_quota")),
    "payment_required": status(402, _error("billing_error", "Pay first")),
    "unknown_model": status(404, _error("not_found_error", "No such model")),
    "bad_request": status(400, _error("invalid_request_error", "Unknown parameter: 'x'")),
    "too_long": status(
        400, _error("invalid_request_error", "prompt is too long", "context_length_exceeded")
    ),
    "too_large": status(413, _error("request_too_large", "Request too large")),
    "filtered_prompt": status(
        400, _error("invalid_request_error", "Blocked by our safety system", "content_filter")
    ),
    "limited": status(429, _error("rate_limit_error", "Slow down"), "Retry-After: 7"),
    "limited_ms": status(429, _error("rate_limit_error", "Slow down"), "Retry-After-Ms: 1500"),
    "limited_date": status(
        429, _error("rate_limit_error", "Slow"), "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"
    ),
    "limited_plain": status(429, _error("rate_limit_error", "Slow down")),
    "limited_nonsense": status(429, _error("rate_limit_error", "Slow"), "Retry-After: soon"),
    "request_timeout": status(408, _error("timeout_error", "Too slow")),
    "conflict": status(409, _error("conflict_error", "Try again")),
    "server_error": status(500, _error("api_error", "Internal error")),
    "unavailable": status(503, "the server is starting"),
    "gateway_timeout": status(504, _error("timeout_error", "Upstream")),
    "overloaded": status(529, _error("overloaded_error", "Overloaded")),
    "moved": status(308, _error("moved", "over there"), "Location: /v1/elsewhere"),
}


@dataclass
class ModelServer:
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    open_connections: int = 0
    connections_made: int = 0
    behaves: Callable[[dict[str, Any]], str] = lambda body: str(body["model"])
    """Which of FAULTS answers a request's body."""
    behaves_with: Callable[[dict[str, Any], str], str] | None = None
    """The same, by body and key."""
    keys_seen: list[str] = field(default_factory=list)
    lists: list[str] | None = None
    """The ids in its list of models; None for a server without a list."""
    list_key: str = ""
    """The key that its list wants; empty where it is open to everybody."""
    looks: list[tuple[str, str]] = field(default_factory=list)
    """Path and key of each look at the list."""

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    async def hung_up(self, but: int = 0) -> None:
        """Returns once clients have closed all their connections, `but` that many. Raises TimeoutError after ten seconds."""
        async with asyncio.timeout(10):
            while self.open_connections > but:
                await asyncio.sleep(0.001)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        self.connections_made += 1
        try:
            while not writer.is_closing() and (request := await _read(reader)) is not None:
                method, path, headers, body = request
                bearer = headers.get("authorization", "").removeprefix("Bearer ")
                key = bearer or headers.get("x-api-key", "")
                if method == "GET":
                    self.looks.append((path, key))
                    await self._list(Exchange(writer, "x-api-key" not in headers, {}, key), path)
                    continue
                self.requests.append(body)
                self.keys_seen.append(key)
                exchange = Exchange(writer, "completions" in path, body, key)
                await self._answer(exchange, reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self.open_connections -= 1
            writer.close()

    async def _list(self, x: Exchange, path: str) -> None:
        name = unquote(path.partition("?")[0].partition("/models")[2].strip("/"))
        if self.list_key and x.key != self.list_key:
            await x.error(401, _error("authentication_error", "Invalid key"))
        elif self.lists is None or (name and name not in self.lists):
            await x.error(404, _error("not_found_error", "Nothing here"))
        elif name:
            await x.page(200, "application/json", json.dumps({"id": name}))
        else:
            data = [{"id": one} for one in self.lists]
            await x.page(200, "application/json", json.dumps({"data": data}))

    def _fault(self, exchange: Exchange) -> str:
        if self.behaves_with is not None:
            return self.behaves_with(exchange.body, exchange.key)
        return self.behaves(exchange.body)

    async def _answer(self, exchange: Exchange, reader: asyncio.StreamReader) -> None:
        """Runs the fault, unless the client hangs up first."""
        answer = asyncio.ensure_future(FAULTS[self._fault(exchange)](exchange))
        gone = asyncio.ensure_future(_until_gone(reader))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            # Whichever notices first: the read that ends, or a write that fails.
            if not answer.done() or answer.exception() is not None:
                exchange.writer.close()
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """A client that closes with bytes unread resets the connection: that is an exception, not an end of file."""
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.002)


async def _read(
    reader: asyncio.StreamReader,
) -> tuple[str, str, dict[str, str], dict[str, Any]] | None:
    try:
        first_byte = await reader.readexactly(1)
        if first_byte == b"\x16":  # a TLS handshake, which a server without TLS does not wait out
            return None
        head = first_byte + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length") or 0))
    method, path = first.split()[:2]
    return method, path, headers, json.loads(body or b'{"model": "unknown_model"}')


@asynccontextmanager
async def model_server(tls: SSLContext | None = None) -> AsyncIterator[ModelServer]:
    state = ModelServer()
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, ssl=tls)
    state.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
