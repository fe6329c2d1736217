"""Several keys of one account: the least busy one is asked, one over its limit rests, one that is refused is set aside."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from app.domain import ModelCall, ModelChunk
from app.errors import ModelCredential, ModelError, ModelRateLimited
from app.llm.model import ChatModel, Continues

REST_S = 30.0
"""Of a key over its limit whose provider does not say for how long."""
ASIDE_S = 600.0
"""Of a key that was refused; then it is tried once more, for a provider may have erred."""

State = Literal["ready", "resting", "set aside"]


@dataclass(frozen=True, slots=True)
class Key:
    """`secret` is never shown; `ending` is its last four characters."""

    id: str
    secret: str = field(repr=False)
    ending: str = ""


@dataclass(frozen=True, slots=True)
class KeyHealth:
    state: State
    wait_s: float = 0.0
    reason: str = ""


@dataclass
class _Standing:
    busy: int = 0
    until: float = 0.0
    state: State = "ready"
    reason: str = ""


class KeyPool:
    """How the keys of every account stand, for all models that use them. Thread-safe; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, _Standing] = {}

    def health(self, key_id: str) -> KeyHealth:
        with self._lock:
            standing = self._standing(key_id)
            wait = standing.until - self._clock()
            if wait <= 0:
                return KeyHealth("ready")
            return KeyHealth(standing.state, wait, standing.reason)

    def take(self, key_ids: Sequence[str]) -> str | None:
        """The least busy key that is ready; give it back. None when none is."""
        with self._lock:
            ready = [k for k in key_ids if self._standing(k).until <= self._clock()]
            if not ready:
                return None
            least = min(ready, key=lambda k: self._standing(k).busy)
            self._standing(least).busy += 1
            return least

    def give_back(self, key_id: str) -> None:
        with self._lock:
            self._standing(key_id).busy -= 1

    def failed(self, key_id: str, error: ModelError) -> None:
        """Rests or sets aside the key that got `error`; other errors say nothing about a key."""
        with self._lock:
            standing, at = self._standing(key_id), self._clock()
            if isinstance(error, ModelRateLimited):
                rest = REST_S if error.retry_after is None else error.retry_after
                standing.state, standing.until = "resting", at + rest
            elif isinstance(error, ModelCredential):
                standing.state, standing.until = "set aside", at + ASIDE_S
            else:
                return
            standing.reason = error.message

    def well(self, key_id: str) -> None:
        with self._lock:
            self._standing(key_id).until = 0.0

    def soonest_s(self, key_ids: Sequence[str]) -> float:
        """Seconds until one of the keys is ready."""
        with self._lock:
            return max(0.0, min(self._standing(k).until for k in key_ids) - self._clock())

    def _standing(self, key_id: str) -> _Standing:
        return self._keys.setdefault(key_id, _Standing())


class PooledModel:
    """A ChatModel over one adapter for each key. Before the first word the next key takes over where one is refused or over
    its limit; the model counts as limited when no key is left."""

    def __init__(self, models: dict[str, ChatModel], pool: KeyPool) -> None:
        """`models` are the same model by the id of the key that each uses, at least one."""
        self.models = models
        self._pool = pool
        self._any = next(iter(models.values()))

    @property
    def id(self) -> str:
        return self._any.id

    @property
    def label(self) -> str:
        return self._any.label

    @property
    def provider(self) -> str:
        return self._any.provider

    @property
    def continues(self) -> Continues:
        return self._any.continues

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        left, last = list(self.models), None
        while (key := self._pool.take(left)) is not None:
            left.remove(key)
            said = False
            try:
                async with aclosing(self.models[key].stream(call)) as chunks:
                    async for chunk in chunks:
                        said = True
                        yield chunk
                return
            except (ModelCredential, ModelRateLimited) as error:
                self._pool.failed(key, error)
                if said:
                    raise
                last = error
            finally:
                self._pool.give_back(key)
        raise last or self._none_ready()

    async def check(self) -> None:
        """Asks with every key, so that one that was set aside is tried again. Raises the last error when none works."""
        failed: ModelError | None = None
        works = False
        for key, model in self.models.items():
            try:
                await model.check()
            except ModelError as error:
                self.judge(key, error)
                failed = error
            else:
                self.judge(key, None)
                works = True
        if failed is not None and not works:
            raise failed

    def judge(self, key: str, error: ModelError | None) -> None:
        """What became of a request with this key counts, though it was made past the pool."""
        if error is None:
            self._pool.well(key)
        else:
            self._pool.failed(key, error)

    async def close(self) -> None:
        for model in self.models.values():
            await model.close()

    def _none_ready(self) -> ModelError:
        keys = list(self.models)
        if all(self._pool.health(key).state == "set aside" for key in keys):
            return ModelCredential(f"{self.label} refused all our keys.")
        return ModelRateLimited(
            f"{self.label} is over the limit of all our keys.",
            retry_after=self._pool.soonest_s(keys),
            foreseen=True,
        )
