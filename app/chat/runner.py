"""Answers in progress. A turn is a task on one event loop; pages and API clients come and go and follow it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from app.chat.journal import Journal
from app.chat.live import LiveTurn
from app.domain import Exchange, Failed, Finished, Offered, Person, Question, Stopped
from app.draft import Draft
from app.errors import InputError, ModelTimeout, NotFound
from app.stages import Stages
from app.turn import answer, stopped

Result = TypeVar("Result")
PERSIST_EVERY_S = 1.0
KEEP_DONE_S = 30.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TurnRunner:
    """Starts, stops and shows running turns. `attach` gives it the loop before the first start."""

    def __init__(self, journal: Journal, pool: ThreadPoolExecutor) -> None:
        self._journal = journal
        self._pool = pool
        self._stages: Stages | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._live: dict[str, LiveTurn] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[LiveTurn], None]] = []

    def attach(self, loop: asyncio.AbstractEventLoop, stages: Stages) -> None:
        self._loop, self._stages = loop, stages

    def listen(self, listener: Callable[[LiveTurn], None]) -> None:
        """`listener` is called on the loop with each turn that is over; it must be quick and may not raise."""
        self._listeners.append(listener)

    @property
    def active(self) -> int:
        return len(self._tasks)

    def in_pool(self, work: Callable[[], Result]) -> Awaitable[Result]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def start(
        self,
        person: Person,
        conversation_id: str | None,
        text: str,
        model_wish: str | None = None,
        *,
        replaces: str | None = None,
        history: tuple[Exchange, ...] | None = None,
        channel: str = "page",
    ) -> LiveTurn:
        """From any thread but the loop's: stores the question and starts its task. Raises InputError and NotFound."""
        loop = self._loop
        if loop is None:
            raise InputError("Switchboard is still starting.", fix="Try again in a moment.")
        if replaces:
            self._cancel(replaces)
        question = self._journal.begin(
            person,
            conversation_id,
            text,
            model_wish=model_wish,
            replaces=replaces,
            channel=channel,
            past=history,
        )
        live = LiveTurn(question.turn_id, person.id, question.conversation_id)
        self._live[question.turn_id] = live
        loop.call_soon_threadsafe(self._launch, question, live)
        return live

    def live(self, person: Person, turn_id: str) -> LiveTurn | None:
        """The running (or just ended) turn, None when it is not in this process. Raises NotFound for somebody else's."""
        live = self._live.get(turn_id)
        if live is not None and live.person_id != person.id:
            raise NotFound("There is no such answer among yours.")
        return live

    def stop(self, person: Person, turn_id: str) -> None:
        """Cancels the turn and its model call. Harmless when it is already over."""
        if self.live(person, turn_id) is not None:
            self._cancel(turn_id)

    @property
    def stages(self) -> Stages:
        """What turns are made of. Raises InputError before `attach`."""
        if self._stages is None:
            raise InputError("Switchboard is still starting.", fix="Try again in a moment.")
        return self._stages

    def spawn(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begins what is no turn but asks models, on their loop; the future can be cancelled. Raises InputError."""
        if self._loop is None:
            work.close()
            raise InputError("Switchboard is still starting.", fix="Try again in a moment.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def on_loop(self, work: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        """For pages: runs what belongs to the models' loop, such as a test call, and waits for it. Raises ModelTimeout."""
        waiting = self.spawn(work)
        try:
            return waiting.result(timeout_s)
        except TimeoutError as error:
            waiting.cancel()
            raise ModelTimeout(f"No answer within {timeout_s:.0f} seconds.") from error

    async def drain(self, timeout_s: float) -> None:
        """At shutdown: what still runs is stopped, and what had arrived is kept."""
        tasks = list(self._tasks.values())
        for task in tasks:
            _cancel_once(task)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def _cancel(self, turn_id: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel_on_loop, turn_id)

    def _cancel_on_loop(self, turn_id: str) -> None:
        """After the task's first step: one that is cancelled before it could never say how it ended."""
        task = self._tasks.get(turn_id)
        if task is not None:
            asyncio.get_running_loop().call_soon(_cancel_once, task)

    def _launch(self, question: Question, live: LiveTurn) -> None:
        task = asyncio.get_running_loop().create_task(self._run(question, live))
        self._tasks[question.turn_id] = task
        task.add_done_callback(functools.partial(self._over, question.turn_id))

    def _over(self, turn_id: str, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(turn_id, None)
        live = self._live.get(turn_id)
        if live is not None:
            live.close()
            for listener in self._listeners:
                listener(live)
        asyncio.get_running_loop().call_later(KEEP_DONE_S, self._live.pop, turn_id, None)

    async def _run(self, question: Question, live: LiveTurn) -> None:
        assert self._stages is not None
        draft = Draft(question.turn_id)
        offered = Offered(())
        events = answer(question, self._stages, draft)
        saver = asyncio.create_task(self._save_now_and_then(draft))
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if isinstance(event, Offered):
                        offered = event
                    if isinstance(event, Finished | Failed):
                        saver.cancel()
                        await self._persist(question, draft, event, offered)
                    live.publish(event)
        except asyncio.CancelledError:
            saver.cancel()
            end = draft.finished or stopped(self._stages, draft)
            await asyncio.shield(self._persist(question, draft, end, offered))
            live.publish(end)
        except Exception as error:
            # The last line of defence: whatever a stage did wrong, the reader gets an end and the log gets the cause.
            log.exception("turn failed", turn=question.turn_id, error=type(error).__name__)
            draft.settle(self._stages.catalogue.cost)
            end_failed = Failed(
                "Something in Switchboard broke while answering.",
                "Try again. If it stays, tell your Switchboard admin and name this answer's id.",
                draft.text,
                draft.receipt(),
            )
            await self._persist(question, draft, end_failed, offered)
            live.publish(end_failed)
        finally:
            saver.cancel()

    async def _save_now_and_then(self, draft: Draft) -> None:
        while True:
            await asyncio.sleep(PERSIST_EVERY_S)
            text = draft.text
            await self.in_pool(lambda text=text: self._journal.progress(draft.turn_id, text))  # type: ignore[misc]

    async def _persist(
        self, question: Question, draft: Draft, end: Finished | Stopped | Failed, offers: Offered
    ) -> None:
        match end:
            case Finished(answer=found, receipt=receipt):
                work = functools.partial(
                    self._journal.end,
                    question,
                    draft,
                    "finished",
                    found.text,
                    receipt,
                    offers=offers.offers,
                )
            case Stopped(text=text, receipt=receipt):
                work = functools.partial(
                    self._journal.end, question, draft, "stopped", text, receipt
                )
            case Failed(message=message, fix=fix, text=text, receipt=receipt):
                work = functools.partial(
                    self._journal.end,
                    question,
                    draft,
                    "failed",
                    text,
                    receipt,
                    error=f"{message} {fix}",
                    offers=offers.offers,
                )
        await self.in_pool(work)


def _cancel_once(task: asyncio.Task[None]) -> None:
    """A second Stop must not interrupt a turn that is writing down how it was stopped."""
    if not task.cancelling():
        task.cancel()
