"""OpenAI's models and every server that speaks its chat completions (vLLM, Ollama, LiteLLM, llama.cpp…)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, cast

import httpx2
import openai
from openai._vendor.httpx_aiohttp import AiohttpTransport
from pydantic_core import to_json

from app.domain import ChatMessage, Json, ModelCall, ModelChunk, ModelDone, Prompt, TextDelta, Usage
from app.errors import ModelError
from app.llm import faults, transport
from app.llm.faults import Reply
from app.llm.guard import Guard
from app.llm.model import Continues, estimated, messages
from app.llm.reach import Directory
from app.llm.thinking import thinking_tokens

Dialect = Literal["openai", "compatible"]
OPENAI_URL = "https://api.openai.com/v1"

_CHECK = Prompt((ChatMessage("user", "Answer with the word ok."),), "check", "v1", "")
_CHECK_TOKENS = 16
_HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}


class OpenAIModel:
    """One model behind a chat completions endpoint. `dialect` is `openai` for OpenAI itself, whose newer models refuse
    parameters that other servers need. `guard` judges connections to an address that an admin gave. Construction imports nothing slow but makes a TLS context (about 20 ms)."""

    continues: Continues = "instruction"

    def __init__(
        self,
        id: str,
        label: str,
        *,
        provider: str = "openai",
        model_name: str,
        api_key: str,
        base_url: str = "",
        dialect: Dialect = "openai",
        read_timeout_s: float = 60.0,
        guard: Guard | None = None,
    ) -> None:
        self.id, self.label, self.provider = id, label, provider
        self.model_name = model_name
        self._secret = api_key
        self._thoughts = thinking_tokens(dialect, model_name)
        self._dialect = dialect
        address, timeout = base_url or OPENAI_URL, transport.timeouts(read_timeout_s)
        # A redirect would take the key along to wherever it leads.
        http = openai.DefaultAioHttpClient(
            timeout=timeout,
            follow_redirects=False,
            transport=transport.guarded(AiohttpTransport, guard, address),
        )
        bearer = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.directory = Directory(http, f"{address.rstrip('/')}/models", bearer)
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",
            base_url=address,
            max_retries=0,  # the next model in the route is the retry
            timeout=timeout,
            http_client=http,
        )

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        reading = _Reading(self.label, self._secret)
        try:
            async with aclosing(await self._request(call)) as response:
                transport.require_event_stream(self.label, response.headers)
                lists = transport.event_lists(response)
                async with aclosing(lists):
                    async for found in lists:
                        if text := reading.take(found):
                            yield TextDelta(text)
                        if reading.ended:
                            await transport.drain(lists)
                            break
            yield reading.done(call)
        except ModelError:
            raise
        except Exception as error:
            # `from None`: the SDK's exceptions quote the provider, and some providers quote the key.
            raise translate(self.label, error, self._secret) from None

    async def check(self) -> None:
        call = ModelCall(_CHECK, "", max_tokens=_CHECK_TOKENS)
        async with aclosing(self.stream(call)) as chunks:
            async for _ in chunks:
                continue

    async def close(self) -> None:
        await self._client.close()

    async def _request(self, call: ModelCall) -> httpx2.Response:
        """Through the SDK's client (its key, addresses, timeouts and errors), but below `create`, which rewrites the
        parameters one by one and builds typed responses: 1.1 -> 0.7 ms of CPU for 40 tokens."""
        response = await self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=to_json(self._body(call)),
            options={"headers": _HEADERS},
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )
        return cast(httpx2.Response, response)  # what `cast_to` makes of it

    def _body(self, call: ModelCall) -> Json:
        limit = call.max_tokens + self._thoughts
        body: Json = {
            "model": self.model_name,
            "messages": [
                {"role": m.role, "content": m.content} for m in messages(call, self.continues)
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens" if self._dialect == "openai" else "max_tokens": limit,
        }
        if self._thoughts:
            body["reasoning_effort"] = "low"
        else:
            body["temperature"] = call.temperature
        return body


class _Reading:
    """What has been read of one answer."""

    def __init__(self, label: str, secret: str) -> None:
        self._label, self._secret = label, secret
        self._said: list[str] = []
        self._finish = ""
        self._usage: Usage | None = None
        self.ended = False

    def take(self, found: list[dict[str, Any]]) -> str:
        """The text in these events. Raises the error that one of them reports."""
        text = ""
        for event in found:
            if event.get("done"):
                self.ended = True
            elif event.get("error"):
                raise faults.from_reply(self._label, _reply(None, event["error"]), self._secret)
            else:
                text += self._choice(event)
                self._usage = _usage(event) or self._usage
        if text:
            self._said.append(text)
        return text

    def _choice(self, event: dict[str, Any]) -> str:
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise faults.broken(self._label, "chunk without choices")
        if not choices:
            return ""
        choice = choices[0]
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta") or {}
        if delta.get("refusal") or self._finish == "content_filter":
            raise faults.refused(self._label, "refusal or content filter")
        return delta.get("content") or ""

    def done(self, call: ModelCall) -> ModelDone:
        """Raises ModelUnavailable when the stream stopped before the answer did, or said nothing."""
        if not self.ended and not self._finish:
            raise faults.broke_off(self._label)
        if not self._said:
            raise faults.broken(self._label, f"{faults.EMPTY}, finish reason {self._finish[:20]}")
        usage = self._usage or estimated(call, "".join(self._said))
        return ModelDone(usage, "length" if self._finish == "length" else "stop")


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not usage:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
        cached_tokens=int(cached or 0),
    )


def _reply(status: int | None, body: object) -> Reply:
    """Bodies are `{"code", "type", "message"}`; some servers send only a sentence."""
    if not isinstance(body, dict):
        return Reply(status, message=str(body or ""))
    if isinstance(body.get("error"), dict | str):
        return _reply(status, body["error"])
    code = body.get("code")
    if isinstance(code, int) and status is None:
        status, code = code, ""
    return Reply(
        status, str(code or ""), str(body.get("type") or ""), str(body.get("message") or "")
    )


def translate(label: str, error: Exception, secret: str = "") -> ModelError:
    """Every exception of the openai SDK, and what surfaces through it, as one of ours."""
    if isinstance(error, openai.APITimeoutError):
        if transport.timed_out(error) or error.__cause__ is None:
            return faults.timed_out(label, transport.transport_error(error))
        return faults.unreachable(label, transport.transport_error(error))
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        if isinstance(cause, Exception):
            return transport.translate(label, cause)
        return faults.unreachable(label, type(error).__name__)
    if isinstance(error, openai.APIStatusError):
        return _status(label, error, secret)
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return faults.refused(label, type(error).__name__)
    if isinstance(error, openai.APIResponseValidationError | openai.LengthFinishReasonError):
        return faults.broken(label, type(error).__name__)
    if isinstance(error, openai.APIError):
        return faults.from_reply(label, _reply(None, error.body), secret)
    if isinstance(error, openai.OpenAIError):
        return faults.misconfigured(label, type(error).__name__)
    return transport.translate(label, error)


def _status(label: str, error: openai.APIStatusError, secret: str) -> ModelError:
    reply = _reply(error.status_code, error.body)
    return faults.from_reply(
        label,
        Reply(
            error.status_code,
            reply.code,
            reply.type,
            reply.message,
            error.request_id or "",
            faults.retry_after(error.response.headers),
        ),
        secret,
    )
