"""Who reads a channel. Every document names one group, its channel's; `groups()` says who is in it.

So a person who leaves, a guest, a channel turned private, archived or deleted are all told by the groups alone, minutes apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.contract import Access
from connectors.slack.api import Channel, SlackApi, SlackRefused, User

FULL_MEMBERS = "full-members"
_UNREADABLE = {"channel_not_found", "not_in_channel", "fetch_members_failed", "missing_scope"}


def channel_group(channel: str) -> str:
    return f"channel:{channel}"


def access_to(channel: str) -> Access:
    return Access.of(groups=[channel_group(channel)])


def reads(user: User) -> bool:
    """Whether an account can be a reader at all: active, a person, of this workspace, with a known address."""
    return user.active and not user.bot and not user.external and bool(user.email)


def groups(
    api: SlackApi, channels: Iterable[Channel], users: Iterable[User]
) -> Mapping[str, frozenset[str]]:
    """Full members of the workspace, and each channel's readers."""
    people = {user.id: user for user in users if reads(user)}
    full = frozenset(user.email for user in people.values() if not user.guest)
    guests = any(user.guest for user in people.values())
    told: dict[str, frozenset[str]] = {FULL_MEMBERS: full}
    for channel in channels:
        readers: frozenset[str] = frozenset()
        if channel.private or guests:  # full members read a public channel without being in it
            readers = _members(api, channel, people)
        if not channel.private:
            readers |= {f"group:{FULL_MEMBERS}"}
        told[channel_group(channel.id)] = readers
    return told


def _members(api: SlackApi, channel: Channel, people: Mapping[str, User]) -> frozenset[str]:
    try:
        return frozenset(people[id].email for id in api.members(channel.id) if id in people)
    except SlackRefused as refusal:
        if refusal.code in _UNREADABLE:  # members that Slack does not tell are nobody
            return frozenset()
        raise


def may_read(api: SlackApi, channel: Channel | None, user: User | None) -> bool:
    if channel is None or user is None or not reads(user):
        return False
    if not channel.private and not user.guest:
        return True
    return user.id in set(api.members(channel.id))
