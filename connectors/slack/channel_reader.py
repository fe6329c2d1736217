"""The documents of one channel, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.contract import Change, Context, Deletion, Document, Failure, Unchanged
from connectors.slack.api import Channel, Message, SlackApi, SlackRefused
from connectors.slack.permissions import access_to
from connectors.slack.reading import DAY_S, day_start, stamp
from connectors.slack.settings import SlackSettings
from connectors.slack.text import Names
from connectors.slack.threads import (
    Text,
    begins,
    day_id,
    day_of,
    day_text,
    fingerprint,
    moment,
    thread_id,
    thread_text,
    wanted,
)

Day = tuple[str, list[Message]]


@dataclass(frozen=True, slots=True)
class ChannelReader:
    """`address` is the workspace's, for permalinks. `recent` is the Unix time from which known threads are read again."""

    api: SlackApi
    settings: SlackSettings
    context: Context
    names: Names
    address: str
    recent: float = 0.0

    def days(self, channel: Channel, oldest: float, latest: float) -> Iterator[Day]:
        """Whole days with the messages that history shows, newest first."""
        day, messages = "", list[Message]()
        for message in self.api.history(channel.id, stamp(oldest), stamp(latest)):
            if day_of(message.ts) != day:
                if messages:
                    yield day, messages
                day, messages = day_of(message.ts), []
            messages.append(message)
        if messages:
            yield day, messages

    def ids(self, channel: Channel, oldest: float = 0.0) -> Iterator[str]:
        """What would be documents, without reading any thread. A thread of apps alone may be named and have none."""
        for day, messages in self.days(channel, oldest, 0.0):
            for message in messages:
                if message.is_parent:
                    yield thread_id(channel.id, message.ts)
            if self._singles(messages):
                yield day_id(channel.id, day)

    def changes(self, channel: Channel, day: Day, known: Mapping[str, str]) -> Iterator[Change]:
        date, messages = day
        for parent in messages:
            if parent.is_parent:
                yield from self._thread(channel, parent, known)
        singles = self._singles(messages)
        if singles:
            id = day_id(channel.id, date)
            text = day_text(channel, date, singles, self.names)
            yield self._document(channel, id, text, text.digest, singles[0].ts, known)

    def again(self, channel: Channel, id: str) -> Change:
        """One document as it is now."""
        at = begins(id)
        if at is None:
            return Deletion(id)
        if "/thread/" in id:
            found = self._read_thread(channel, id.rsplit("/", 1)[1])
            if isinstance(found, str) or not found:
                return Deletion(id)
            return self._thread_document(channel, found[0], found, {})
        for change in self._day_again(channel, day_start(at)):
            if change.id == id:
                return change
        return Deletion(id)

    def _day_again(self, channel: Channel, at: float) -> Iterator[Document | Unchanged | Failure]:
        for date, messages in self.days(channel, at, at + DAY_S):
            singles = self._singles(messages)
            if singles:
                id = day_id(channel.id, date)
                text = day_text(channel, date, singles, self.names)
                yield self._document(channel, id, text, text.digest, singles[0].ts, {})

    def _singles(self, messages: list[Message]) -> list[Message]:
        """Oldest first, without threads; `thread_broadcast` shows a reply in the channel a second time."""
        alone = (m for m in messages if not m.is_parent and m.thread in {"", m.ts})
        return [m for m in reversed(list(alone)) if wanted(m, self.settings.app_messages)]

    def _thread(
        self, channel: Channel, parent: Message, known: Mapping[str, str]
    ) -> Iterator[Change]:
        id = thread_id(channel.id, parent.ts)
        version = known.get(id, "")
        last = float(parent.latest_reply or parent.ts)
        if version.startswith(f"{fingerprint(parent)}.") and last < self.recent:
            yield Unchanged(id, access_to(channel.id), self.settings.data_class)
            return
        found = self._read_thread(channel, parent.ts)
        if isinstance(found, str):
            yield Failure(
                id, f"Thread in #{channel.name}", found, "The next full reading tries again."
            )
        elif found:
            yield self._thread_document(channel, parent, found, known)

    def _read_thread(self, channel: Channel, thread: str) -> list[Message] | str:
        """Parent and replies; nothing for a thread that is gone, words for one that Slack refuses."""
        try:
            messages = list(self.api.replies(channel.id, thread))
        except SlackRefused as refusal:
            if refusal.code in {"thread_not_found", "message_not_found"}:
                return []
            return refusal.message
        if not messages or not messages[0].is_parent:
            return []
        kept = [m for m in messages[1:] if wanted(m, self.settings.app_messages)]
        opening = messages[0]
        if not kept and not wanted(opening, self.settings.app_messages):
            return []
        # What an app posted is the context of what people answered to it.
        return [opening, *kept] if wanted(opening, True) else kept

    def _thread_document(
        self, channel: Channel, parent: Message, messages: list[Message], known: Mapping[str, str]
    ) -> Document | Unchanged | Failure:
        opening = parent if parent.is_parent else self._parent(channel, messages)
        text = thread_text(channel, messages, self.names)
        version = f"{fingerprint(opening)}.{text.digest}"
        thread = opening.thread or opening.ts
        return self._document(channel, thread_id(channel.id, thread), text, version, thread, known)

    def _parent(self, channel: Channel, messages: list[Message]) -> Message:
        """Where the opening message was deleted, Slack still shows its place."""
        return next(iter(self.api.replies(channel.id, messages[0].thread)))

    def _document(
        self,
        channel: Channel,
        id: str,
        text: Text,
        version: str,
        first: str,
        known: Mapping[str, str],
    ) -> Document | Unchanged | Failure:
        access, data_class = access_to(channel.id), self.settings.data_class
        if known.get(id) == version:
            return Unchanged(id, access, data_class)
        if len(text.content) > self.context.max_bytes:
            size, limit = len(text.content) / 1e6, self.context.max_bytes / 1e6
            cause = f"It has {size:.1f} MB; the limit is {limit:.1f} MB."
            return Failure(id, text.title, cause, "Raise the limit, or leave out the channel.")
        return Document(
            id=id,
            title=text.title,
            content=text.content,
            mime="text/html",
            version=version,
            access=access,
            data_class=data_class,
            url=f"{self.address}/archives/{channel.id}/p{first.replace('.', '')}",
            space=f"#{channel.name}",
            modified_at=max(text.modified_at, moment(first)),
        )
