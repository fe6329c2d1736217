"""The Events API (docs.slack.dev, "The Events API", "Verifying requests from Slack"): signature first, then meaning."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from connectors.contract import BadEvent, Event, Handled
from connectors.slack.threads import day_id, day_of, thread_id

WINDOW_S = 300
"""Slack's advice: an older call may be a replay."""
_MEMBERSHIP = {
    *("member_joined_channel", "member_left_channel", "team_join", "user_change"),
    *("channel_deleted", "channel_archive", "channel_unarchive", "channel_left", "group_left"),
    *("channel_shared", "channel_unshared", "group_deleted", "group_archive", "group_unarchive"),
}


def verify(event: Event, secret: str, now: float) -> None:
    """Raises BadEvent unless Slack signed this body within the last five minutes."""
    if not secret:
        raise BadEvent("No signing secret is set.")
    stamp = event.headers.get("x-slack-request-timestamp", "")
    given = event.headers.get("x-slack-signature", "")
    if not (stamp.isascii() and stamp.isdigit()) or abs(now - int(stamp)) > WINDOW_S:
        raise BadEvent("The timestamp is missing or too old.")
    text = b"v0:" + stamp.encode() + b":" + event.body
    expected = "v0=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise BadEvent("The signature is wrong.")


def meaning(body: bytes) -> Handled:
    """Raises BadEvent for what is no event of Slack's."""
    try:
        call = json.loads(body)
        if call.get("type") == "url_verification":
            return Handled(reply=str(call["challenge"]).encode())
        inner = call["event"]
        kind = str(inner["type"])
        if kind == "message":
            return _message(inner)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadEvent("The body is no event of Slack's.") from None
    if kind in {"channel_rename", "group_rename", "channel_created"}:
        return Handled(content=True, groups=True)
    gone = kind in {"channel_deleted", "channel_left", "group_left", "group_deleted"}
    return Handled(groups=kind in _MEMBERSHIP, content=gone)


def _message(inner: Mapping[str, Any]) -> Handled:
    """The thread that a message is in, and the day it stands or stood in: a first reply moves it from one to the other."""
    channel = str(inner["channel"])
    if str(inner.get("channel_type", "")) == "im":
        return Handled()
    told = [inner, inner.get("message") or {}, inner.get("previous_message") or {}]
    stamps = {str(m.get("ts") or "") for m in told[1:]} | {str(inner.get("deleted_ts") or "")}
    if inner.get("subtype") not in {"message_changed", "message_deleted", "message_replied"}:
        stamps.add(str(inner["ts"]))
    threads = {str(m.get("thread_ts") or "") for m in told} - {""}
    ids = {thread_id(channel, thread) for thread in threads}
    ids |= {day_id(channel, day_of(ts)) for ts in (stamps | threads) - {""}}
    return Handled(ids=tuple(sorted(ids)))
