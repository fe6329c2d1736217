"""Slack's mrkdwn as plain text (docs.slack.dev, "Formatting message text"): mentions become names, links keep label and address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SPECIAL = re.compile(r"<([^<>\n]+)>")
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_MARKS = re.compile(r"(?<![\w*_~])([*_~])(?=\S)([^*_~\n]+?)(?<=\S)\1(?![\w*_~])")


@dataclass(frozen=True, slots=True)
class Names:
    """`channels` holds public ones only: a private channel's name is not for everybody who reads a mention of it."""

    users: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    usergroups: Mapping[str, str] = field(default_factory=dict)

    def user(self, id: str, otherwise: str = "") -> str:
        return self.users.get(id) or otherwise or "someone"


def plain(mrkdwn: str, names: Names) -> str:
    """Code keeps its characters; elsewhere the marks of bold, italic and struck text go."""
    parts = _CODE.split(mrkdwn)
    spoken = [part if i % 2 else _MARKS.sub(r"\2", part) for i, part in enumerate(parts)]
    text = _SPECIAL.sub(lambda match: _special(match[1], names), "".join(spoken))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _special(inside: str, names: Names) -> str:
    target, _, label = inside.partition("|")
    if target.startswith("@"):
        return f"@{names.user(target[1:], label)}"
    if target.startswith("#"):
        return f"#{names.channels.get(target[1:], 'private channel')}"
    if target.startswith("!subteam^"):
        handle = names.usergroups.get(target.removeprefix("!subteam^"), "") or label
        return f"@{handle.lstrip('@') or 'group'}"
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    address = target.removeprefix("mailto:")
    return f"{label} ({address})" if label and label != address else address
