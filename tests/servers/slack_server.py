"""A workspace that speaks Slack's Web API as docs.slack.dev has it: conversations.list, .info, .history, .replies, .members,
users.list, users.lookupByEmail, usergroups.list, auth.test; cursors in `response_metadata`, refusals as `ok: false`.

It refuses what Slack refuses: a missing or wrong token, scopes the token has not, cursors it never gave, channels the app is
not in. `sees` says by rules of its own who may see a channel.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.json_server import JsonServer, Reply, Request

TEAM = "T1"
TOKEN = "xoxb-right-token-of-the-test"
SIGNING_SECRET = "signing-secret-of-the-test"
ALL_SCOPES = {
    *("channels:read", "channels:history", "groups:read", "groups:history", "mpim:read"),
    *("mpim:history", "users:read", "users:read.email", "usergroups:read"),
}
ARGUMENTS = {
    "auth.test": set[str](),
    "conversations.list": {"types", "exclude_archived", "limit", "cursor"},
    "conversations.info": {"channel"},
    "conversations.members": {"channel", "limit", "cursor"},
    "conversations.history": {"channel", "oldest", "latest", "limit", "cursor", "inclusive"},
    "conversations.replies": {"channel", "ts", "oldest", "latest", "limit", "cursor"},
    "users.list": {"limit", "cursor"},
    "users.lookupByEmail": {"email"},
    "usergroups.list": {"include_disabled"},
}


@dataclass
class Person:
    id: str
    name: str
    email: str = ""
    deleted: bool = False
    bot: bool = False
    guest: bool = False
    team: str = TEAM
    confirmed: bool = True

    def row(self, with_email: bool) -> dict[str, Any]:
        profile = {"real_name": self.name, "display_name": ""}
        if with_email and self.email:
            profile["email"] = self.email
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name.lower(),
            "real_name": self.name,
            "deleted": self.deleted,
            "is_bot": self.bot,
            "is_restricted": self.guest,
            "is_ultra_restricted": False,
            "is_stranger": self.team != TEAM,
            "is_email_confirmed": self.confirmed,
            "profile": profile,
        }


@dataclass
class Said:
    """A message; `thread` is the parent's ts. `gone` marks a parent that was deleted while its replies stay."""

    ts: str
    user: str
    text: str
    thread: str = ""
    edited: str = ""
    subtype: str = ""
    bot: str = ""
    gone: bool = False


@dataclass
class Room:
    id: str
    name: str
    members: list[str] = field(default_factory=list)
    private: bool = False
    group_message: bool = False
    archived: bool = False
    ext_shared: bool = False
    app_in: bool = True
    messages: dict[str, Said] = field(default_factory=dict)

    def say(self, ts: str, user: str, text: str, thread: str = "", **more: Any) -> Said:
        self.messages[ts] = Said(ts, user, text, thread, **more)
        return self.messages[ts]


class Refused(Exception):
    def __init__(self, code: str, **more: str) -> None:
        super().__init__(code)
        self.body = {"ok": False, "error": code, **more}


class SlackWorld:
    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.rooms: dict[str, Room] = {}
        self.scopes = set(ALL_SCOPES)
        self.token = TOKEN
        self.revoked = False
        self.page = 3
        self.http = JsonServer(self.answer)

    def person(self, id: str, name: str, email: str = "", **more: Any) -> Person:
        self.people[id] = Person(id, name, email, **more)
        return self.people[id]

    def room(self, id: str, name: str, members: Sequence[str] = (), **more: Any) -> Room:
        self.rooms[id] = Room(id, name, list(members), **more)
        return self.rooms[id]

    def sees(self, person: Person, room: Room) -> bool:
        """Slack's own rule, written without a look at the connector."""
        if person.deleted or person.bot or person.team != TEAM:
            return False
        if person.id in room.members:
            return True
        return not person.guest and not room.private and not room.group_message

    # --- the API ---

    def answer(self, request: Request) -> Reply:
        method = request.path.removeprefix("/api/")
        try:
            if request.bearer != self.token:
                raise Refused("invalid_auth" if request.bearer else "not_authed")
            if self.revoked:
                raise Refused("token_revoked")
            if method not in ARGUMENTS:
                raise Refused("unknown_method")
            if set(request.query) - ARGUMENTS[method]:
                raise Refused("invalid_arguments")
            handler = getattr(self, "_" + method.replace(".", "_").lower())
            return Reply({"ok": True, **handler(dict(request.query))})
        except Refused as refusal:
            return Reply(refusal.body)

    def _need(self, *scopes: str) -> None:
        for scope in scopes:
            if scope not in self.scopes:
                raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))

    def _auth_test(self, _query: dict[str, str]) -> dict[str, Any]:
        return {
            "team": "Acme",
            "team_id": TEAM,
            "url": "https://acme.slack.com/",
            "user_id": "UAPP",
        }

    def _conversations_list(self, query: dict[str, str]) -> dict[str, Any]:
        types = query.get("types", "public_channel").split(",")
        scope = {"public_channel": "channels", "private_channel": "groups", "mpim": "mpim"}
        for kind in types:
            self._need(f"{scope[kind]}:read")
        rooms = [
            room
            for room in self.rooms.values()
            if _kind(room) in types
            and (room.app_in or _kind(room) == "public_channel")
            and not (query.get("exclude_archived") == "true" and room.archived)
        ]
        return self._cut("channels", [_row(room) for room in rooms], query)

    def _conversations_info(self, query: dict[str, str]) -> dict[str, Any]:
        return {"channel": _row(self._room(query))}

    def _conversations_members(self, query: dict[str, str]) -> dict[str, Any]:
        return self._cut("members", list(self._room(query).members), query)

    def _conversations_history(self, query: dict[str, str]) -> dict[str, Any]:
        room = self._inside(query)
        shown = [
            self._message(room, said)
            for said in sorted(room.messages.values(), key=lambda said: -float(said.ts))
            if said.thread in {"", said.ts} or said.subtype == "thread_broadcast"
        ]
        oldest, latest = float(query.get("oldest", 0)), float(query.get("latest", "inf"))
        rows = [row for row in shown if oldest <= float(row["ts"]) < latest]
        cut = self._cut("messages", rows, query)
        return {**cut, "has_more": bool(cut["response_metadata"]["next_cursor"])}

    def _conversations_replies(self, query: dict[str, str]) -> dict[str, Any]:
        room = self._inside(query)
        if query.get("ts", "") not in room.messages:
            raise Refused("thread_not_found")
        ts = query["ts"]
        thread = [said for said in room.messages.values() if said.ts == ts or said.thread == ts]
        thread.sort(key=lambda said: float(said.ts))
        return self._cut("messages", [self._message(room, said) for said in thread], query)

    def _users_list(self, query: dict[str, str]) -> dict[str, Any]:
        self._need("users:read")
        with_email = "users:read.email" in self.scopes
        return self._cut("members", [p.row(with_email) for p in self.people.values()], query)

    def _users_lookupbyemail(self, query: dict[str, str]) -> dict[str, Any]:
        self._need("users:read.email")
        for person in self.people.values():
            if person.email.lower() == query["email"].lower() and not person.deleted:
                return {"user": person.row(True)}
        raise Refused("users_not_found")

    def _usergroups_list(self, _query: dict[str, str]) -> dict[str, Any]:
        self._need("usergroups:read")
        return {"usergroups": [{"id": "S1", "handle": "finance-team", "name": "Finance"}]}

    def _room(self, query: dict[str, str]) -> Room:
        room = self.rooms.get(query.get("channel", ""))
        if room is None or (_kind(room) != "public_channel" and not room.app_in):
            raise Refused("channel_not_found")
        return room

    def _inside(self, query: dict[str, str]) -> Room:
        room = self._room(query)
        scope = {"public_channel": "channels", "private_channel": "groups", "mpim": "mpim"}
        self._need(f"{scope[_kind(room)]}:history")
        if not room.app_in:
            raise Refused("not_in_channel")
        return room

    def _message(self, room: Room, said: Said) -> dict[str, Any]:
        row: dict[str, Any] = {
            "type": "message",
            "ts": said.ts,
            "user": said.user,
            "text": said.text,
        }
        replies = sorted(
            (m.ts for m in room.messages.values() if m.thread == said.ts and m.ts != said.ts),
            key=float,
        )
        if replies:
            row |= {"thread_ts": said.ts, "reply_count": len(replies), "latest_reply": replies[-1]}
        elif said.thread:
            row["thread_ts"] = said.thread
        if said.edited:
            row["edited"] = {"user": said.user, "ts": said.edited}
        if said.subtype:
            row["subtype"] = said.subtype
        if said.bot:
            row |= {"bot_id": "B1", "username": said.bot}
        if said.gone:
            row |= {
                "subtype": "tombstone",
                "text": "This message was deleted.",
                "user": "USLACKBOT",
            }
        return row

    def _cut(self, key: str, rows: list[Any], query: dict[str, str]) -> dict[str, Any]:
        """Fewer than `limit`, as Slack warns that it may do."""
        start = 0
        if cursor := query.get("cursor", ""):
            try:
                start = int(
                    base64.b64decode(cursor, validate=True).decode().removeprefix(f"{key}:")
                )
            except ValueError:
                raise Refused("invalid_cursor") from None
        end = start + min(self.page, int(query.get("limit", 100)))
        more = base64.b64encode(f"{key}:{end}".encode()).decode() if end < len(rows) else ""
        return {key: rows[start:end], "response_metadata": {"next_cursor": more}}


def _kind(room: Room) -> str:
    if room.group_message:
        return "mpim"
    return "private_channel" if room.private else "public_channel"


def _row(room: Room) -> dict[str, Any]:
    return {
        "id": room.id,
        "name": room.name,
        "is_private": room.private or room.group_message,
        "is_mpim": room.group_message,
        "is_archived": room.archived,
        "is_ext_shared": room.ext_shared,
        "is_member": room.app_in,
    }


def signed(
    body: dict[str, Any] | bytes, at: int, secret: str = SIGNING_SECRET
) -> tuple[bytes, dict[str, str]]:
    """A body and the headers that Slack sends with it ("Verifying requests from Slack")."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    digest = hmac.new(secret.encode(), b"v0:%d:" % at + data, hashlib.sha256).hexdigest()
    return data, {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={digest}"}
