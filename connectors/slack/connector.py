"""The Slack connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Event,
    Failure,
    Handled,
    Limits,
    Reader,
    SourceFault,
)
from connectors.slack import events, permissions
from connectors.slack.api import Channel, SlackApi, SlackRefused, User
from connectors.slack.channel_reader import ChannelReader
from connectors.slack.reading import DAY_S, Pass, Start, day_start
from connectors.slack.settings import SlackSecrets, SlackSettings
from connectors.slack.text import Names
from connectors.slack.threads import begins, channel_of

BATCH = 100


class SlackConnector(Connector):
    kind = "slack"
    title = "Slack"
    description = "Channels of a Slack workspace; members of a channel find what was said there."
    category = "Chat"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text("utf-8")
    settings_model = SlackSettings
    secrets_model = SlackSecrets
    # Tier 3 methods, which read messages, allow 50 requests a minute and method.
    limits = Limits(requests_per_minute=50)
    settings: SlackSettings
    secrets: SlackSecrets
    _opened: SlackApi | None = None

    # --- Checks ---

    def validate(self) -> list[Check]:
        api = self._api()
        return [
            Check.attempt("content", lambda: self._see_content(api)),
            Check.attempt("permissions", lambda: self._see_members(api)),
            _people_check(api),
        ]

    def _see_content(self, api: SlackApi) -> str:
        workspace, _ = api.workspace()
        readable, outside = self._selected(api)
        if not readable:
            raise SourceFault(
                "The app is in none of the channels.", "Invite it: /invite @your-app in a channel."
            )
        next(api.history(readable[0].id), None)
        more = f" {len(outside)} public channels do not have the app in them." if outside else ""
        return f"{len(readable)} channels of {workspace} can be read.{more}"

    def _see_members(self, api: SlackApi) -> str:
        readable, _ = self._selected(api)
        private = [channel for channel in readable if channel.private]
        for channel in (private or readable)[:1]:
            next(api.members(channel.id), None)
        return f"Members of {len(private)} private and {len(readable) - len(private)} public channels can be seen."

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Recent days each time, everything once in `full_hours`. What is gone is told by `Deletion`, channel by channel."""
        api = self._api()
        now = self.context.clock().timestamp()
        start = Start(self.settings, now, checkpoint)
        reading = start.begin(anything_known=bool(known))
        readable, outside = self._selected(api)
        yield from self._not_read(readable, outside, known)
        reader = self._reader(api, now)
        for number, channel in enumerate(readable, start=1):
            self.context.progress(f"#{channel.name}", number, len(readable))
            if channel.id in reading.done:
                continue
            since = reading.since(channel.id, start.first)
            for change in self._channel(reader, channel, reading, since, known):
                if self.context.cancelled():
                    return
                yield change
            reading = reading.finished(channel.id)
            yield Checkpoint(reading.state)
        if self.context.cancelled():
            return
        yield Checkpoint(reading.end_state)

    def _channel(
        self,
        reader: ChannelReader,
        channel: Channel,
        reading: Pass,
        since: float,
        known: Mapping[str, str],
    ) -> Iterator[Change]:
        latest = reading.latest if reading.channel == channel.id else 0.0
        seen: set[str] = set()
        since_checkpoint = 0
        try:
            for day in reader.days(channel, since, latest):
                for change in reader.changes(channel, day, known):
                    if not isinstance(change, Checkpoint):
                        seen.add(change.id)
                    since_checkpoint += 1
                    yield change
                if since_checkpoint >= BATCH:
                    since_checkpoint = 0
                    reached = day_start(float(day[1][-1].ts))
                    yield Checkpoint(reading.at(channel.id, reached).state)
        except SlackRefused as refusal:
            yield Failure(channel.id, f"#{channel.name}", refusal.message, refusal.fix)
            return
        oldest = (
            0.0 if reading.full else reading.oldest
        )  # a full pass also ends what became too old
        yield from _gone(channel, oldest, latest, seen, known)

    def _not_read(
        self, readable: Sequence[Channel], outside: Sequence[Channel], known: Mapping[str, str]
    ) -> Iterator[Change]:
        """Channels that are gone, left out, or that the app was removed from take their documents along."""
        ids = {channel.id for channel in readable}
        yield from (Deletion(id) for id in sorted(known) if channel_of(id) not in ids)
        if self.settings.channels:
            for channel in outside:
                cause, fix = "The app is not in the channel.", "Invite it: /invite @your-app."
                yield Failure(channel.id, f"#{channel.name}", cause, fix)

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        api = self._api()
        readable = {channel.id: channel for channel in self._selected(api)[0]}
        reader = self._reader(api, self.context.clock().timestamp())
        for id in ids:
            channel = readable.get(channel_of(id))
            yield reader.again(channel, id) if channel else Deletion(id)

    # --- Permissions ---

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """A document's readers are always its channel's group, so only a beginner needs telling."""
        api = self._api()
        readable, _ = self._selected(api)
        if not since:
            reader = self._reader(api, self.context.clock().timestamp())
            for channel in readable:
                readers = permissions.access_to(channel.id)
                for id in reader.ids(channel):
                    yield AccessChange(id, readers, self.settings.data_class)
        yield Checkpoint({"told": True})

    def groups(self) -> Mapping[str, frozenset[str]]:
        api = self._api()
        return permissions.groups(api, self._selected(api)[0], list(api.users()))

    def may_read(self, document_id: str, reader: Reader) -> bool:
        if begins(document_id) is None:
            return False
        api = self._api()
        user = api.user_by_email(reader.email.strip().lower())
        return permissions.may_read(api, api.channel(channel_of(document_id)), user)

    def handle_event(self, event: Event) -> Handled:
        secret = self.secrets.signing_secret.get_secret_value()
        events.verify(event, secret, self.context.clock().timestamp())
        return events.meaning(event.body)

    # --- Parts ---

    def _api(self) -> SlackApi:
        """One client for this piece of work: opening one costs more than a call."""
        if self._opened is None:
            token = self.secrets.token.get_secret_value()
            self._opened = SlackApi(self.context, self.settings, token)
        return self._opened

    def _reader(self, api: SlackApi, now: float) -> ChannelReader:
        channels = {c.id: c.name for c in api.channels() if not c.private}
        names = Names({user.id: user.name for user in api.users()}, channels, api.usergroups())
        _, address = api.workspace()
        recent = now - self.settings.recent_days * DAY_S
        return ChannelReader(api, self.settings, self.context, names, address, recent)

    def _selected(self, api: SlackApi) -> tuple[list[Channel], list[Channel]]:
        """The channels that can be read, and those of the settings that the app is not in. A user's token reads public
        channels without being in them."""
        by_user = self.secrets.token.get_secret_value().startswith("xoxp-")
        chosen = [channel for channel in api.channels() if self._chosen(channel)]
        readable = [c for c in chosen if c.app_in or (by_user and not c.private)]
        ids = {channel.id for channel in readable}
        return readable, [channel for channel in chosen if channel.id not in ids]

    def _chosen(self, channel: Channel) -> bool:
        names = {channel.id.lower(), channel.name.lower()}
        wanted = {name.strip().lstrip("#").lower() for name in self.settings.channels}
        unwanted = {name.strip().lstrip("#").lower() for name in self.settings.exclude}
        return (not wanted or bool(names & wanted)) and not names & unwanted


def _gone(
    channel: Channel, oldest: float, latest: float, seen: set[str], known: Mapping[str, str]
) -> Iterator[Deletion]:
    """What is known of the days that were read, and was not there."""
    for id in sorted(known):
        if channel_of(id) != channel.id or id in seen:
            continue
        at = begins(id)
        if at is not None and at >= oldest and (not latest or at < latest):
            yield Deletion(id)


def _people_check(api: SlackApi) -> Check:
    def look() -> str:
        people: list[User] = [u for u in api.users() if u.active and not (u.bot or u.external)]
        hidden = sum(not user.email for user in people)
        if people and hidden == len(people):
            raise SourceFault(
                "Slack shows no e-mail address, so nobody would find anything.",
                "Add the scope users:read.email, install the app again and enter the new token.",
            )
        guests = sum(user.guest for user in people)
        more = f" {hidden} show no e-mail address and find nothing." if hidden else ""
        return f"{len(people)} people, {guests} of them guests.{more}"

    return Check.attempt("groups", look)
