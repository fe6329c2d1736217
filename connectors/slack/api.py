"""Slack's Web API (docs.slack.dev, "Using the Slack Web API", "Pagination", "Rate limits"), parsed into frozen dataclasses.

A refusal comes with HTTP 200 and `ok: false`; 429 with `Retry-After` is the HTTP client's work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Context, SourceFault
from connectors.slack.settings import SlackSettings

PAGE = 200
Json = Mapping[str, Any]

_CREDENTIAL = {
    "invalid_auth": "Slack does not accept the token.",
    "not_authed": "Slack was given no token.",
    "account_inactive": "The app was removed from the workspace, or the token's account was deactivated.",
    "token_revoked": "The token was revoked.",
    "token_expired": "The token has expired.",
}
_PASSING = {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_PASSING |= {"ratelimited", "team_added_to_org"}


class SlackRefused(SourceFault):
    """`ok: false` for one thing that was asked; `code` is Slack's own word for it."""

    def __init__(self, code: str, message: str, fix: str, *, passing: bool = False) -> None:
        super().__init__(message, fix, passing=passing)
        self.code = code


@dataclass(frozen=True, slots=True)
class User:
    """`email` is in lower case; empty where Slack hides it or it is not confirmed."""

    id: str
    name: str
    email: str
    active: bool
    bot: bool
    guest: bool
    external: bool


@dataclass(frozen=True, slots=True)
class Channel:
    id: str
    name: str
    private: bool
    group_message: bool
    archived: bool
    app_in: bool


@dataclass(frozen=True, slots=True)
class Message:
    """`thread` is the parent's timestamp, empty outside of threads; `replies` counts those of a parent."""

    ts: str
    user: str
    name: str
    text: str
    subtype: str
    thread: str
    edited: str
    replies: int
    latest_reply: str
    from_app: bool

    @property
    def is_parent(self) -> bool:
        return self.replies > 0 and self.thread in {"", self.ts}


class SlackApi:
    def __init__(self, context: Context, settings: SlackSettings, token: str) -> None:
        self._settings = settings
        headers = {"Authorization": f"Bearer {token}"}
        self._http = context.http.at(settings.api_url + "/", headers=headers)
        self._team = ""

    def call(self, method: str, **arguments: str | int) -> Json:
        """Raises SlackRefused for a refusal, SourceFault for a credential or the network."""
        body = self._http.json(method, params=arguments)
        if not isinstance(body, dict):
            raise _not_slack()
        if body.get("ok") is True:
            return body
        raise _fault(str(body.get("error", "")), str(body.get("needed", "")))

    def team(self) -> str:
        """The workspace's id."""
        if not self._team:
            self._team = str(self.call("auth.test").get("team_id", ""))
        return self._team

    def workspace(self) -> tuple[str, str]:
        """The workspace's name and its address, which permalinks start with."""
        body = self.call("auth.test")
        return str(body.get("team", "")), str(body.get("url", "")).rstrip("/")

    def users(self) -> Iterator[User]:
        team = self.team()
        for row in self._pages("users.list", "members"):
            yield _user(row, team)

    def user_by_email(self, email: str) -> User | None:
        try:
            row = self.call("users.lookupByEmail", email=email)["user"]
        except SlackRefused as refusal:
            if refusal.code in {"users_not_found", "user_not_found"}:
                return None
            raise
        return _user(row, self.team())

    def channels(self) -> Iterator[Channel]:
        kinds = ["public_channel"]
        if self._settings.private_channels:
            kinds.append("private_channel")
        if self._settings.group_messages:
            kinds.append("mpim")
        options = {
            "types": ",".join(kinds),
            "exclude_archived": "false" if self._settings.archived else "true",
        }
        for row in self._pages("conversations.list", "channels", **options):
            yield _channel(row)

    def channel(self, id: str) -> Channel | None:
        try:
            return _channel(self.call("conversations.info", channel=id)["channel"])
        except SlackRefused as refusal:
            if refusal.code == "channel_not_found":
                return None
            raise

    def members(self, channel: str) -> Iterator[str]:
        for id in self._pages("conversations.members", "members", channel=channel):
            yield str(id)

    def history(self, channel: str, oldest: str = "", latest: str = "") -> Iterator[Message]:
        """Newest first, replies of threads left out; `oldest` included, `latest` not."""
        options: dict[str, str] = {"channel": channel}
        if oldest:
            options["oldest"] = oldest
        if latest:
            options["latest"] = latest
        for row in self._pages("conversations.history", "messages", **options):
            yield _message(row)

    def replies(self, channel: str, thread: str) -> Iterator[Message]:
        """The parent, then its replies, oldest first."""
        for row in self._pages("conversations.replies", "messages", channel=channel, ts=thread):
            yield _message(row)

    def usergroups(self) -> Mapping[str, str]:
        """Id to handle; none where the token may not list them, which costs names in texts only."""
        try:
            rows = self.call("usergroups.list", include_disabled="true").get("usergroups", ())
        except SlackRefused as refusal:
            if refusal.code in {"missing_scope", "paid_teams_only", "plan_upgrade_required"}:
                return {}
            raise
        return {str(row["id"]): str(row.get("handle") or row.get("name") or "") for row in rows}

    def _pages(self, method: str, key: str, **arguments: str | int) -> Iterator[Any]:
        cursor = ""
        while True:
            here = {"cursor": cursor} if cursor else {}
            body = self.call(method, limit=PAGE, **arguments, **here)
            yield from body.get(key) or ()
            following = str((body.get("response_metadata") or {}).get("next_cursor") or "")
            if not following:
                return
            if following == cursor:
                raise SourceFault(
                    "Slack gives the same page again.", "Try again later.", passing=True
                )
            cursor = following


def _user(row: Json, team: str) -> User:
    profile = row.get("profile") or {}
    name = profile.get("display_name") or profile.get("real_name") or row.get("real_name") or ""
    email = str(profile.get("email") or "").strip().lower()
    confirmed = row.get("is_email_confirmed") is not False
    return User(
        id=str(row["id"]),
        name=str(name or row.get("name") or row["id"]),
        email=email if "@" in email and confirmed else "",
        active=not row.get("deleted"),
        bot=bool(row.get("is_bot") or row.get("is_app_user") or row["id"] == "USLACKBOT"),
        guest=bool(row.get("is_restricted") or row.get("is_ultra_restricted")),
        external=bool(row.get("is_stranger") or (team and row.get("team_id", team) != team)),
    )


def _channel(row: Json) -> Channel:
    """What does not say that it is public is private."""
    group_message = bool(row.get("is_mpim"))
    return Channel(
        id=str(row["id"]),
        name=str(row.get("name") or row["id"]),
        private=group_message or row.get("is_private") is not False,
        group_message=group_message,
        archived=bool(row.get("is_archived")),
        app_in=bool(row.get("is_member")),
    )


def _message(row: Json) -> Message:
    parts = [str(row.get("text") or "")]
    for attachment in row.get("attachments") or ():
        parts += [str(attachment.get(key) or "") for key in ("title", "text")]
    bot = row.get("bot_profile") or {}
    return Message(
        ts=str(row["ts"]),
        user=str(row.get("user") or ""),
        name=str(row.get("username") or bot.get("name") or ""),
        text="\n".join(part for part in parts if part),
        subtype=str(row.get("subtype") or ""),
        thread=str(row.get("thread_ts") or ""),
        edited=str((row.get("edited") or {}).get("ts") or ""),
        replies=int(row.get("reply_count") or 0),
        latest_reply=str(row.get("latest_reply") or ""),
        from_app=bool(row.get("bot_id")) or row.get("subtype") == "bot_message",
    )


def _fault(code: str, needed: str) -> SourceFault:
    if code in _CREDENTIAL:
        return SourceFault(_CREDENTIAL[code], "Install the app again and enter its new token.")
    if code == "missing_scope":
        scope = (
            needed if needed.replace(":", "").replace(",", "").replace(".", "").isalpha() else ""
        )
        named = f" '{scope}'" if scope else " that is needed"
        fix = "Add it under OAuth & Permissions, install the app again and enter the new token."
        return SlackRefused(code, f"The token misses the scope{named}.", fix)
    if code in _PASSING:
        return SourceFault("Slack has a fault of its own.", "Try again later.", passing=True)
    if code in {"not_in_channel", "channel_not_found"}:
        return SlackRefused(
            code, "The app is not in the channel.", "Invite it there: /invite @your-app."
        )
    known = code if code.replace("_", "").isalnum() else "unknown"
    return SlackRefused(code, f"Slack refused the request ({known}).", "Check the settings.")


def _not_slack() -> SourceFault:
    return SourceFault("The address does not answer as Slack does.", "Check the API address.")
