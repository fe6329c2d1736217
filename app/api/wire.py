"""Answers as bytes of OpenAI's chat format. Chunks are put together by hand: one JSON string each, nothing else encoded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quoted

from app.domain import Citation, Finished, Json, Passage, Receipt, Usage

DONE = b"data: [DONE]\n\n"


def completion_id(turn_id: str) -> str:
    return f"chatcmpl-{turn_id}"


class ChunkWriter:
    """The chunks of one streamed answer. `model` is the route's; the last chunk names the one that answered."""

    def __init__(self, turn_id: str, model: str, include_usage: bool) -> None:
        self._id = completion_id(turn_id)
        self._created = int(time.time())
        self._include_usage = include_usage
        usage = ',"usage":null' if include_usage else ""
        head = json.dumps(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": model,
            },
            separators=(",", ":"),
        )
        self._prefix = f'data: {head[:-1]}{usage},"choices":[{{"index":0,"delta":{{'
        self._role = '"role":"assistant",'

    def text(self, text: str) -> bytes:
        role, self._role = self._role, ""
        return (
            f'{self._prefix}{role}"content":{quoted(text)}}},"finish_reason":null}}]}}\n\n'
        ).encode()

    def end(self, end: Finished) -> bytes:
        """The chunk with the reason, the citations and the receipt's id; usage in one of its own, if asked; and [DONE].

        The text went out as the model wrote it, so the citations carry the numbers of the marks in that text.
        """
        receipt = end.receipt
        last: Json = {
            **self._envelope(receipt.model),
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "citations": citations_json(as_streamed(end)),
            "receipt_id": receipt.id,
        }
        out = _event(last)
        if self._include_usage:
            usage = {
                **self._envelope(receipt.model),
                "choices": [],
                "usage": usage_json(receipt.usage),
            }
            out += _event(usage)
        return out + DONE

    def error(self, body: Json) -> bytes:
        """What ends a stream that broke after its first word; OpenAI's clients raise it."""
        return _event(body)

    def _envelope(self, model: str) -> Json:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": model,
        }


def completion(end: Finished) -> Json:
    """A whole answer as one object; `citations` and `receipt_id` are Switchboard's."""
    receipt = end.receipt
    return {
        "id": completion_id(receipt.id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": receipt.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": end.answer.text},
                "finish_reason": "stop",
            }
        ],
        "usage": usage_json(receipt.usage),
        "citations": citations_json((c.number, c.passage) for c in end.answer.citations),
        "receipt_id": receipt.id,
    }


def as_streamed(end: Finished) -> list[tuple[int, Passage]]:
    """The cited passages under the numbers that the model used: the n-th passage it was given is [n]."""
    given = {passage.chunk_id: n for n, passage in enumerate(end.receipt.passages, start=1)}
    cited: Iterable[Citation] = end.answer.citations
    return sorted(((given[c.passage.chunk_id], c.passage) for c in cited), key=lambda pair: pair[0])


def citations_json(cited: Iterable[tuple[int, Passage]]) -> list[Json]:
    return [{"number": number, **source_json(passage)} for number, passage in cited]


def source_json(passage: Passage) -> Json:
    """Where a passage is from and on what permission it rests; not its text."""
    return {
        "document_id": passage.document_id,
        "title": passage.title,
        "heading": passage.heading,
        "url": passage.url,
        "space": passage.space,
        "data_class": passage.data_class.label,
        "permission": {
            "principal": passage.basis.principal,
            "checked_at": passage.basis.checked_at.isoformat(),
        },
        "synced_at": passage.synced_at.isoformat(),
    }


def usage_json(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "estimated": usage.estimated,
    }


def receipt_usage(receipt: Receipt) -> Json:
    return {**usage_json(receipt.usage), "cost_usd": receipt.cost_usd}


def _event(body: Json) -> bytes:
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()
