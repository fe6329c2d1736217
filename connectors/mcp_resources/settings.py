"""What an administrator fills in: how to reach the server, which resources count, and who may read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.contract import Secrets
from connectors.stated import StatedReaders

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class McpSettings(StatedReaders):
    transport: Literal["web address", "program"] = Field(
        default="web address",
        title="Reached by",
        description="web address: a server that runs elsewhere (streamable HTTP). program: Switchboard RUNS the command line "
        "below on its own server, with its own rights, at every sync.",
    )
    url: str = Field(
        default="",
        title="Web address",
        description="Such as https://mcp.example.com/mcp; for a server reached by web address.",
    )
    command: str = Field(
        default="",
        title="Command line",
        description="Such as npx -y @acme/wiki-mcp --read-only; for a program. Quotes work as in a shell, but no shell runs: "
        "no pipes, no variables.",
    )
    environment: tuple[str, ...] = Field(
        default=(),
        title="Environment",
        description="NAME=value, one per line, for a program. Besides these it gets PATH, HOME, USER and the like, and nothing "
        "else of Switchboard's environment. Nothing secret here.",
    )
    secret_variable: str = Field(
        default="",
        title="Variable of the secret",
        description="The environment variable in which a program expects the secret, such as API_TOKEN.",
    )
    include: tuple[str, ...] = Field(
        default=("*",),
        title="Include",
        description="Patterns over the resource's URI, such as wiki://handbook/*; * stands for anything.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Exclude", description="Patterns of URIs to leave out, one per line."
    )
    link: str = Field(
        default="",
        title="Link",
        description="Web address of a resource with {uri} in it; empty: the URI itself where it is a web address.",
    )
    call_timeout_s: int = Field(
        default=30,
        ge=1,
        le=600,
        title="Longest answer (seconds)",
        description="How long the server may take to start, and for each answer.",
    )
    most_resources: int = Field(
        default=10_000,
        ge=1,
        le=200_000,
        title="Most resources",
        description="A server that lists more is not read, so that one that never ends cannot hold a sync.",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip()
        parts = urlsplit(address)
        if address and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("it starts with https:// or http://")
        if parts.username or parts.password:
            raise ValueError("leave the credential out of the address; it has a field of its own")
        return address

    @field_validator("command")
    @classmethod
    def _splits(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"it cannot be split into words ({error})") from None
        if "\0" in value:
            raise ValueError("it holds a NUL")
        return value.strip()

    @field_validator("environment")
    @classmethod
    def _assignments(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            name, equals, _ = value.partition("=")
            if not equals or not VARIABLE.fullmatch(name.strip()) or "\0" in value:
                raise ValueError(f"'{name.strip()}' is no NAME=value")
        return values

    @field_validator("secret_variable")
    @classmethod
    def _name(cls, value: str) -> str:
        if value.strip() and not VARIABLE.fullmatch(value.strip()):
            raise ValueError("it is no name of an environment variable")
        return value.strip()

    @field_validator("link")
    @classmethod
    def _template(cls, value: str) -> str:
        if value and not (value.startswith(("https://", "http://")) and "{uri}" in value):
            raise ValueError("start with https:// and say where the {uri} goes")
        return value.strip()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.by_program and not self.words:
            raise ValueError("enter the command line of the program")
        if not self.by_program and not self.url:
            raise ValueError("enter the server's web address")
        return self

    @property
    def by_program(self) -> bool:
        return self.transport == "program"

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)

    @property
    def keeps_token_private(self) -> bool:
        """Whether a token sent to the web address travels encrypted, or not at all."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or parts.hostname in LOOPBACK

    def variables(self, secret: str) -> Mapping[str, str]:
        pairs = (line.partition("=") for line in self.environment)
        named = {name.strip(): value for name, _, value in pairs}
        return {**named, self.secret_variable: secret} if self.secret_variable and secret else named

    def wants(self, uri: str) -> bool:
        return any(fnmatchcase(uri, pattern) for pattern in self.include) and not any(
            fnmatchcase(uri, pattern) for pattern in self.exclude
        )

    def link_to(self, uri: str) -> str:
        if self.link:
            return self.link.replace("{uri}", quote(uri, safe=""))
        return uri if uri.startswith(("https://", "http://")) else ""


class McpSecrets(Secrets):
    token: SecretStr = Field(
        default=SecretStr(""),
        title="Secret",
        description="For a web address: the bearer token. For a program: the value of the variable named above. May be empty.",
    )
