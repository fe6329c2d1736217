"""What an administrator fills in."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from connectors.contract import Secrets
from connectors.stated import StatedReaders

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class GitSettings(StatedReaders):
    url: str = Field(
        title="Repository",
        description="Its https address, such as https://github.com/acme/handbook, or a path on this server.",
    )
    branch: str = Field(
        default="", title="Branch", description="Empty for the repository's default branch."
    )
    include: tuple[str, ...] = Field(
        default=("**",),
        title="Include",
        description="Patterns such as *.md or docs/**, one per line; a file must match one.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Exclude", description="Patterns of files to leave out, one per line."
    )
    readers_from: Literal["the settings below", "access.toml"] = Field(
        default="the settings below",
        title="Readers from",
        description="The same readers for all its files, or access.toml files in the repository.",
    )
    username: str = Field(
        default="git",
        title="User name",
        description="What goes with the token. GitHub and GitLab take any; Bitbucket wants x-token-auth.",
    )
    link_template: str = Field(
        default="",
        title="Link",
        description="Web address of a file with {branch} and {path}; empty for GitHub's or GitLab's, by the address.",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip().rstrip("/")
        parts = urlsplit(address)
        if parts.scheme in ("http", "https"):
            if parts.username or parts.password:
                raise ValueError("leave the credential out of the address; enter it as the token")
            if not parts.hostname:
                raise ValueError("enter an address such as https://github.com/acme/handbook")
        elif not address.startswith(("/", "file:///")):
            raise ValueError("enter an https address or a path; ssh addresses are not read")
        return address

    @field_validator("link_template")
    @classmethod
    def _template(cls, value: str) -> str:
        if value and not (value.startswith(("https://", "http://")) and "{path}" in value):
            raise ValueError("start with https:// and say where the {path} goes")
        return value

    @property
    def links(self) -> str:
        """The template that counts; empty for no links."""
        parts = urlsplit(self.url)
        base = self.url.removesuffix(".git")
        if self.link_template or parts.scheme not in ("http", "https"):
            return self.link_template
        if parts.hostname == "github.com":
            return f"{base}/blob/{{branch}}/{{path}}"
        return f"{base}/-/blob/{{branch}}/{{path}}" if "gitlab" in str(parts.hostname) else ""

    @property
    def keeps_token_private(self) -> bool:
        """Whether a token sent to this address travels encrypted, or not at all."""
        parts = urlsplit(self.url)
        return parts.scheme != "http" or parts.hostname in LOOPBACK


class GitSecrets(Secrets):
    token: SecretStr = Field(
        default=SecretStr(""),
        title="Token",
        description="An access token that may read the repository's contents; empty for a public one.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Webhook secret",
        description="The secret entered at the push webhook; empty for no webhook.",
    )
