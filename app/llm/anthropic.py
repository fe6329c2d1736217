"""Anthropic's models, by the messages API."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anthropic
from anthropic import omit
from anthropic._vendor.httpx_aiohttp import AiohttpTransport

from app.domain import ChatMessage, ModelCall, ModelChunk, ModelDone, Prompt, TextDelta, Usage
from app.errors import ModelError
from app.llm import faults, transport
from app.llm.faults import Reply
from app.llm.guard import Guard
from app.llm.model import Continues, estimated, messages
from app.llm.reach import Directory

ANTHROPIC_URL = "https://api.anthropic.com"
_VERSION = {"anthropic-version": "2023-06-01"}
_CHECK = Prompt((ChatMessage("user", "Answer with the word ok."),), "check", "v1", "")
_CHECK_TOKENS = 16
# Models before 4.6 speak on from an assistant message that comes last; later ones answer 400 to it.
_PREFILL = re.compile(r"claude-(?:2|3|instant|(?:opus|sonnet|haiku)-(?:3|4-[0-5]\b|4-\d{8}))")
_CUT = {"max_tokens", "model_context_window_exceeded"}


class AnthropicModel:
    """One model of the messages API. No temperature is sent: newer models refuse it. `guard` judges connections to an address
    that an admin gave."""

    def __init__(
        self,
        id: str,
        label: str,
        *,
        provider: str = "anthropic",
        model_name: str,
        api_key: str,
        base_url: str = "",
        read_timeout_s: float = 60.0,
        guard: Guard | None = None,
    ) -> None:
        self.id, self.label, self.provider = id, label, provider
        self.model_name = model_name
        self.continues: Continues = "prefill" if _PREFILL.match(model_name) else "instruction"
        self._secret = api_key
        address, timeout = base_url or ANTHROPIC_URL, transport.timeouts(read_timeout_s)
        # A redirect would take the key along to wherever it leads.
        http = anthropic.DefaultAioHttpClient(
            timeout=timeout,
            follow_redirects=False,
            transport=transport.guarded(AiohttpTransport, guard, address),
        )
        self.directory = Directory(
            http,
            f"{address.rstrip('/')}/v1/models",
            {"X-Api-Key": api_key} if api_key else {},
            _VERSION,
            "?limit=1000",
        )
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=address,
            max_retries=0,  # the next model in the route is the retry
            timeout=timeout,
            http_client=http,
        )

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        reading = _Reading(self.label, self._secret)
        try:
            async with self._request(call) as response:
                transport.require_event_stream(self.label, response.headers)
                lists = transport.event_lists(response.http_response)
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
            # `from None`: the SDK's exceptions quote the provider, and a proxy may quote the key.
            raise translate(self.label, error, self._secret) from None

    async def check(self) -> None:
        call = ModelCall(_CHECK, "", max_tokens=_CHECK_TOKENS)
        async with aclosing(self.stream(call)) as chunks:
            async for _ in chunks:
                continue

    async def close(self) -> None:
        await self._client.close()

    def _request(self, call: ModelCall) -> Any:
        system = "\n\n".join(m.content for m in call.prompt.messages if m.role == "system")
        said: Any = [
            {"role": m.role, "content": m.content}
            for m in messages(call, self.continues)
            if m.role != "system"
        ]
        return self._client.messages.with_streaming_response.create(
            model=self.model_name,
            max_tokens=call.max_tokens,
            system=system or omit,
            messages=said,
            stream=True,
            extra_headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
        )


class _Reading:
    """What has been read of one answer."""

    def __init__(self, label: str, secret: str) -> None:
        self._label, self._secret = label, secret
        self._said: list[str] = []
        self._stop = ""
        self._usage: dict[str, int] = {}
        self.ended = False

    def take(self, found: list[dict[str, Any]]) -> str:
        """The text in these events. Raises the error that one of them reports."""
        text = "".join(self._one(event) for event in found)
        if text:
            self._said.append(text)
        return text

    def _one(self, event: dict[str, Any]) -> str:
        kind = event.get("type")
        if kind == "content_block_delta":
            return str(event.get("delta", {}).get("text") or "")
        if kind == "message_start":
            self._count(event.get("message", {}).get("usage"))
        elif kind == "message_delta":
            self._count(event.get("usage"))
            self._stop = event.get("delta", {}).get("stop_reason") or self._stop
            if self._stop == "refusal":
                raise faults.refused(self._label, "stop reason refusal")
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            raise faults.from_reply(self._label, _reply(None, event), self._secret)
        elif kind is None:
            raise faults.broken(self._label, "event without a type")
        return ""

    def _count(self, usage: dict[str, Any] | None) -> None:
        self._usage.update({k: v for k, v in (usage or {}).items() if isinstance(v, int)})

    def done(self, call: ModelCall) -> ModelDone:
        """Raises ModelUnavailable when the stream stopped before the answer did, or said nothing."""
        if not self.ended and not self._stop:
            raise faults.broke_off(self._label)
        if not self._said:
            raise faults.broken(self._label, f"{faults.EMPTY}, stop reason {self._stop[:20]}")
        return ModelDone(self._counted(call), "length" if self._stop in _CUT else "stop")

    def _counted(self, call: ModelCall) -> Usage:
        if "output_tokens" not in self._usage:
            return estimated(call, "".join(self._said))
        fresh = self._usage.get("input_tokens", 0)
        cached = self._usage.get("cache_read_input_tokens", 0)
        written = self._usage.get("cache_creation_input_tokens", 0)
        return Usage(
            fresh + cached + written,
            self._usage["output_tokens"],
            cached_tokens=cached,
            cache_write_tokens=written,
        )


def _reply(status: int | None, body: object) -> Reply:
    """Bodies are `{"type": "error", "error": {"type", "message"}}`."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Reply(status, message=str(error or body or ""))
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else ""
    return Reply(
        status, str(code or ""), str(error.get("type") or ""), str(error.get("message") or "")
    )


def translate(label: str, error: Exception, secret: str = "") -> ModelError:
    """Every exception of the anthropic SDK, and what surfaces through it, as one of ours."""
    if isinstance(error, anthropic.APITimeoutError):
        if transport.timed_out(error) or error.__cause__ is None:
            return faults.timed_out(label, transport.transport_error(error))
        return faults.unreachable(label, transport.transport_error(error))
    if isinstance(error, anthropic.APIConnectionError):
        cause = error.__cause__
        if isinstance(cause, Exception):
            return transport.translate(label, cause)
        return faults.unreachable(label, type(error).__name__)
    if isinstance(error, anthropic.APIStatusError):
        return _status(label, error, secret)
    if isinstance(error, anthropic.APIResponseValidationError):
        return faults.broken(label, type(error).__name__)
    if isinstance(error, anthropic.APIError):
        return faults.from_reply(label, _reply(None, error.body), secret)
    if isinstance(error, anthropic.AnthropicError):
        return faults.misconfigured(label, type(error).__name__)
    return transport.translate(label, error)


def _status(label: str, error: anthropic.APIStatusError, secret: str) -> ModelError:
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
