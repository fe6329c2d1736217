"""A browser's part of the chat page, without the browser: signs in, opens the WebSocket, asks, follows the answer.

It speaks Streamlit's own protocol (protobuf over a WebSocket), keeps the state of widgets as the front end does and obeys
the server's requests to run a fragment again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ChatInput_pb2 import ChatInput
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.stream_client import Timing

HOST = "localhost"
ANSWER = b"sb-answer"
FIRST_WORD = b"The"
GIVE_UP_S = 60.0


@dataclass
class Tab:
    """One open chat page."""

    socket: ClientConnection
    chat_input: ChatInput | None = None
    page_hash: str = ""
    query: str = ""
    input_fragment: str = ""
    reruns: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def open(self) -> None:
        """An empty chat, as a click on New chat gives it."""
        self.query = ""
        await self.send()
        await self.until_finished()

    async def send(self, text: str | None = None, fragment: str = "") -> None:
        message = BackMsg()
        state = message.rerun_script
        state.page_script_hash = self.page_hash
        state.query_string = self.query
        state.fragment_id = fragment
        state.is_auto_rerun = bool(fragment) and text is None
        state.context_info.url = f"http://{HOST}/"
        state.context_info.timezone = "Europe/London"
        if text is not None:
            assert self.chat_input is not None, "the page shows no chat input"
            widget = state.widget_states.widgets.add()
            widget.id = self.chat_input.id
            widget.chat_input_value.data = text
        await self.socket.send(message.SerializeToString())

    async def receive(self) -> tuple[ForwardMsg, bytes]:
        async with asyncio.timeout(GIVE_UP_S):
            data = await self.socket.recv(decode=False)
        message = ForwardMsg.FromString(data)
        self._note(message)
        return message, data

    async def until_finished(self) -> None:
        while (await self.receive())[0].WhichOneof("type") != "script_finished":
            continue

    async def ask(self, text: str) -> Timing:
        """Milliseconds from sending the question to the first words shown, and to the end of the page's run."""
        started = time.perf_counter()
        await self.send(text, self.input_fragment)
        first = 0.0
        while True:
            message, data = await self.receive()
            if not first and FIRST_WORD in data.partition(ANSWER)[2]:
                first = time.perf_counter()
            if message.WhichOneof("type") == "script_finished" and first:
                break
        ended = time.perf_counter()
        return Timing((first - started) * 1000, (ended - started) * 1000)

    def close(self) -> None:
        for task in self.reruns.values():
            task.cancel()

    def _note(self, message: ForwardMsg) -> None:
        match message.WhichOneof("type"):
            case "new_session":
                self.page_hash = message.new_session.page_script_hash or self.page_hash
            case "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "chat_input":
                    self.chat_input = element.chat_input
                    self.input_fragment = message.delta.fragment_id
            case "page_info_changed":
                self.query = message.page_info_changed.query_string
            case "auto_rerun":
                again = message.auto_rerun
                self._every(again.fragment_id, again.interval)
            case "stop_auto_rerun":
                task = self.reruns.pop(message.stop_auto_rerun.fragment_id, None)
                if task is not None:
                    task.cancel()
            case _:
                pass

    def _every(self, fragment: str, seconds: float) -> None:
        async def loop() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self.send(fragment=fragment)

        if fragment in self.reruns:
            self.reruns[fragment].cancel()
        self.reruns[fragment] = asyncio.create_task(loop())


async def sign_in(port: int) -> str:
    """Through the demo issuer as its first person; returns the Cookie header."""
    base = f"http://{HOST}:{port}"
    async with httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=20) as client:
        page = await client.get("/auth/login?next=/")
        await _choose_first_person(client, page)
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


async def _choose_first_person(client: httpx.AsyncClient, page: httpx.Response) -> None:
    form = re.search(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', page.text, re.S)
    assert form is not None, "the sign-in page shows no form"
    inputs = re.findall(r"<(?:input|button)\b[^>]*>", form[2])
    fields = {}
    for tag in inputs:
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value and name[1] not in fields:
            fields[name[1]] = value[1].replace("&amp;", "&")
    target = urljoin(str(page.url), form[1].replace("&amp;", "&")) if form[1] else str(page.url)
    (await client.post(target, data=fields)).raise_for_status()


async def page_loop(
    port: int, questions: Sequence[str], at_once: int, cpu: Callable[[], float]
) -> tuple[list[Timing], float]:
    """`at_once` tabs ask in rounds: all open an empty chat and settle, then all ask at once, until no question is left.

    Returns the timings and the seconds of `cpu` (the server's, read by the caller) that the asking took, opening excluded.
    """
    cookie = await sign_in(port)
    timings: list[Timing] = []
    spent = 0.0
    async with AsyncExitStack() as stack:
        tabs = [Tab(await stack.enter_async_context(_socket(port, cookie))) for _ in range(at_once)]
        for start in range(0, len(questions), at_once):
            for tab in tabs:
                await tab.open()
            before = cpu()
            asked = zip(tabs, questions[start : start + at_once], strict=False)
            timings += await asyncio.gather(*(_timed(tab, text) for tab, text in asked))
            spent += cpu() - before
        for tab in tabs:
            tab.close()
    return timings, spent


def _socket(port: int, cookie: str) -> connect:
    return connect(
        f"ws://{HOST}:{port}/_stcore/stream",
        additional_headers={"Cookie": cookie},
        subprotocols=["streamlit"],  # type: ignore[list-item]
        origin=f"http://{HOST}:{port}",  # type: ignore[arg-type]
        max_size=None,
    )


async def _timed(tab: Tab, text: str) -> Timing:
    try:
        return await tab.ask(text)
    except (TimeoutError, OSError) as error:
        return Timing(0, 0, f"{type(error).__name__}: {error}")
