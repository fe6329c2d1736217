"""What an administrator fills in."""

from __future__ import annotations

from pydantic import Field, SecretStr

from connectors.contract import ClassedSettings, Secrets, WebAddress


class SlackSettings(ClassedSettings):
    channels: tuple[str, ...] = Field(
        default=(),
        title="Channels",
        description="Names (without #) or IDs, one per line; empty for every channel the app is in.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Leave out", description="Names or IDs of channels to leave out."
    )
    private_channels: bool = Field(
        default=True,
        title="Private channels",
        description="Read private channels that the app was invited to. Only their members find them.",
    )
    group_messages: bool = Field(
        default=False,
        title="Group messages",
        description="Read direct messages among several people that include the app. Only those people find them.",
    )
    archived: bool = Field(
        default=True, title="Archived channels", description="Read channels that were archived."
    )
    app_messages: bool = Field(
        default=False,
        title="Messages of apps",
        description="Read what apps and bots post, not only what people write.",
    )
    since_days: int = Field(
        default=0, ge=0, title="Days to read", description="How far back to read; 0 for everything."
    )
    recent_days: int = Field(
        default=14,
        ge=1,
        title="Days looked at again",
        description="Each sync reads this many days again for replies, edits and deletions.",
    )
    full_hours: int = Field(
        default=24,
        ge=1,
        title="Full reading every (hours)",
        description="Finds what changed in older messages and was not told by an event.",
    )
    api_url: WebAddress = Field(
        default="https://slack.com/api",
        title="API address",
        description="Leave as it is; GovSlack has https://slack-gov.com/api.",
    )


class SlackSecrets(Secrets):
    token: SecretStr = Field(
        title="Bot or user token",
        description="Starts with xoxb- or xoxp-: your app's page, OAuth & Permissions.",
    )
    signing_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Signing secret",
        description="Your app's page, Basic Information; only for events. Empty: events are refused.",
    )
