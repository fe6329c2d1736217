"""A line to an MCP server that plain threads can use.

The library's client is asynchronous, and the task that enters it must leave it. So a loop runs in a thread of its own, one
task there holds the client, and calls are handed to it; a cancel is looked for while they run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import TYPE_CHECKING, TypeVar

from connectors.http import Cancelled

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")
POLL_S = 0.05
LEAVE_S = 15.0


class Slow(Exception):
    """No answer in time."""


class Line:
    """Use with `with`. Raises Slow, Cancelled, and whatever the client raises (see `root`)."""

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Client]],
        timeout_s: float,
        cancelled: Callable[[], bool],
    ) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._cancelled = cancelled
        self._stack = ExitStack()
        self._ready: Future[Client] = Future()

    def __enter__(self) -> Line:
        from anyio.from_thread import start_blocking_portal

        self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self._over = asyncio.Event()
        self._held: Future[None] = self._portal.start_task_soon(self._hold)
        self._stack.callback(self._leave)
        try:
            self._wait(self._ready, self._timeout_s)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def client(self) -> Client:
        return self._ready.result()

    def call(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        async def work() -> T:
            return await ask(self.client)

        future = self._portal.start_task_soon(work)
        try:
            return self._wait(future, self._timeout_s)
        finally:
            future.cancel()

    async def _hold(self) -> None:
        try:
            async with self._connect() as client:
                self._ready.set_result(client)
                await self._over.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    def _wait(self, future: Future[T], timeout_s: float) -> T:
        waited = 0.0
        while not wait([future], POLL_S).done:
            waited += POLL_S
            if self._cancelled():
                raise Cancelled
            if waited >= timeout_s:
                raise Slow
        return future.result()

    def _leave(self) -> None:
        """Ends the client in its own task. A server that will not end is given up after a while."""
        if self._ready.done():
            self._portal.call(self._over.set)
        else:
            self._held.cancel()
        if not wait([self._held], LEAVE_S).done:
            self._held.cancel()


def root(error: BaseException) -> BaseException:
    """The first cause in what the client's tasks raised together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
