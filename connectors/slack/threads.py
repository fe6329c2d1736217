"""What becomes a document: a thread is one, and the messages of a channel's day that have no replies are one together.

A thread is a question with its answers, so it is found and cited as one. A single message says too little alone; its neighbours
of the day give the context. All of a document is one channel's, so its readers are exactly that channel's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from connectors.slack.api import Channel, Message
from connectors.slack.text import Names, plain

_QUIET = {
    *("channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name"),
    *("channel_archive", "channel_unarchive", "group_join", "group_leave", "group_topic"),
    *("group_purpose", "group_name", "group_archive", "group_unarchive", "pinned_item"),
    *("channel_convert_to_private", "channel_posting_permissions", "bot_add", "bot_remove"),
    *("reminder_add", "tombstone"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """`version` changes with any character of `content`; `first` is the first message's timestamp."""

    title: str
    content: bytes
    digest: str
    modified_at: datetime


def day_of(ts: str) -> str:
    return moment(ts).strftime("%Y-%m-%d")


def moment(ts: str) -> datetime:
    return datetime.fromtimestamp(float(ts), UTC)


def day_id(channel: str, day: str) -> str:
    return f"{channel}/day/{day}"


def thread_id(channel: str, thread: str) -> str:
    return f"{channel}/thread/{thread}"


def channel_of(document_id: str) -> str:
    return document_id.partition("/")[0]


def begins(document_id: str) -> float | None:
    """Unix time of a document's thread or day; None for an id that is not of ours."""
    _, kind, rest = (*document_id.split("/", 2), "", "")[:3]
    try:
        if kind == "thread":
            return float(rest)
        if kind == "day":
            return datetime.strptime(rest, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return None


def fingerprint(parent: Message) -> str:
    """Changes with the parent's text and with every new or deleted reply: known without reading the thread."""
    facts = (parent.text, parent.edited, str(parent.replies), parent.latest_reply)
    return hashlib.sha256("\x00".join(facts).encode()).hexdigest()[:12]


def wanted(message: Message, app_messages: bool) -> bool:
    if message.subtype in _QUIET or not message.text.strip():
        return False
    return app_messages or not message.from_app


def thread_text(channel: Channel, messages: Sequence[Message], names: Names) -> Text:
    first = plain(messages[0].text, names).strip().splitlines() or [""]
    opening = first[0][:80] or "Thread"
    return _text(f"#{channel.name}: {opening}", messages, names)


def day_text(channel: Channel, day: str, messages: Sequence[Message], names: Names) -> Text:
    return _text(f"#{channel.name}, {day}", messages, names)


def _text(title: str, messages: Sequence[Message], names: Names) -> Text:
    """HTML with every text escaped: nothing that a person writes can become a heading or a script."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for message in messages:
        who = message.name if message.from_app and message.name else names.user(message.user)
        when = moment(message.ts).strftime("%Y-%m-%d %H:%M")
        parts.append(f"<h2>{escape(who)}, {when}</h2>")
        paragraphs = plain(message.text, names).split("\n\n")
        parts += [f"<p>{escape(p).replace(chr(10), '<br>')}</p>" for p in paragraphs if p.strip()]
    content = f"<html><body>{''.join(parts)}</body></html>".encode("utf-8", "replace")
    latest = max(float(m.edited or m.ts) for m in messages)
    digest = hashlib.sha256(content).hexdigest()[:32]
    return Text(title, content, digest, datetime.fromtimestamp(latest, UTC))
