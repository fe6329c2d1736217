"""The body of a chat request: read with a limit, parsed by hand (it is small and on the hot path)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from app.chat.statements import HISTORY
from app.domain import Exchange, Json
from app.errors import InputError, TooLarge

MAX_BYTES = 1_000_000
AUTO = "auto"
_IGNORED_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a chat request asks for. `wish` is a model's id, None for `auto`."""

    text: str
    history: tuple[Exchange, ...]
    wish: str | None
    stream: bool
    include_usage: bool


async def read_body(request: Request) -> bytes:
    """Raises TooLarge beyond 1 MB, before more than that is held."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BYTES:
        raise TooLarge(f"The body is larger than {MAX_BYTES:,} bytes.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise TooLarge(f"The body is larger than {MAX_BYTES:,} bytes.")
        parts.append(part)
    return b"".join(parts)


def parse(raw: bytes) -> Asked:
    """Raises InputError, naming the field. Fields that are not known are ignored, as are sampling parameters.

    The last message is the question; user and assistant messages before it are the history. System and developer messages
    are ignored: what a model is told about documents and citations is Switchboard's to say.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise InputError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InputError("The body must be a JSON object.")
    wish = body.get("model", AUTO)
    if not isinstance(wish, str) or not wish:
        raise InputError("`model` must be `auto` or a model's id.")
    if body.get("n") not in (None, 1):
        raise InputError("`n` must be 1: Switchboard gives one answer.")
    messages = [_message(entry, n) for n, entry in enumerate(_messages(body))]
    messages = [message for message in messages if message[0] not in _IGNORED_ROLES]
    if not messages or messages[-1][0] != "user":
        raise InputError("The last of `messages` must be the user's question.")
    options = body.get("stream_options") or {}
    return Asked(
        text=messages[-1][1],
        history=exchanges(messages[:-1]),
        wish=None if wish == AUTO else wish,
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def exchanges(messages: Sequence[tuple[str, str]]) -> tuple[Exchange, ...]:
    """Questions with their answers, the last few only; messages of one side in a row are joined."""
    pairs: list[tuple[list[str], list[str]]] = []
    for role, text in messages:
        if role == "user":
            if not pairs or pairs[-1][1]:
                pairs.append(([], []))
            pairs[-1][0].append(text)
        elif pairs:
            pairs[-1][1].append(text)
    joined = (Exchange("\n".join(asked), "\n".join(said)) for asked, said in pairs)
    return tuple(joined)[-HISTORY:]


def _messages(body: Json) -> list[object]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InputError("`messages` must be a list with at least one message.")
    return messages


def _message(entry: object, number: int) -> tuple[str, str]:
    """Role and text. Text may come whole or in parts; images, audio and tools are refused rather than dropped."""
    place = f"`messages[{number}]`"
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        raise InputError(f"{place} must be an object with a `role`.")
    role, content = entry["role"], entry.get("content")
    if role not in ("user", "assistant", *_IGNORED_ROLES):
        raise InputError(f"{place} has the role '{role}'; only user and assistant are used.")
    if isinstance(content, str):
        return role, content
    if content is None and role == "assistant":
        return role, ""
    if not isinstance(content, list):
        raise InputError(f"{place} needs `content`: a text or a list of text parts.")
    return role, "\n".join(_part(part, place) for part in content)


def _part(part: object, place: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise InputError(f"{place} has a part that is no text; only text can be read here.")
