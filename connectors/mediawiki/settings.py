"""What an administrator fills in."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets

_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class MediaWikiSettings(ClassedSettings):
    url: str = Field(
        title="Address of api.php",
        description="Such as https://wiki.example.com/w/api.php; the page Special:Version names it.",
    )
    bot_user: str = Field(
        default="",
        title="Bot user",
        description="As Special:BotPasswords shows it: Name@label. Empty for a wiki that everybody can read.",
    )
    namespaces: tuple[str, ...] = Field(
        default=("0",),
        title="Namespaces",
        description="Numbers or names, one per line; 0 is the main one.",
    )
    mail_pattern: str = Field(
        default="",
        title="E-mail addresses",
        description="How an account's address is made from its name: {name}@example.com turns 'Ada Lovelace' into ada.lovelace@example.com. MediaWiki does not tell addresses.",
    )
    people: tuple[str, ...] = Field(
        default=(),
        title="Addresses of single accounts",
        description="Lines such as Ada Lovelace = ada@example.com; they win over the pattern. 'Name =' leaves an account out.",
    )
    restricted: tuple[str, ...] = Field(
        default=(),
        title="Restricted namespaces",
        description="Lines such as HR = hr: only the wiki's user group 'hr' reads that namespace here.",
    )
    public_for_everyone: bool = Field(
        default=False,
        title="Public pages are for everyone",
        description="If the wiki can be read without an account, everybody who signs in here may read it.",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip()
        if not address.startswith(("https://", "http://")):
            raise ValueError("enter an address that starts with https:// or http://")
        return address

    @field_validator("mail_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        pattern = value.strip()
        if pattern and not ("{name}" in pattern and _MAIL.fullmatch(pattern)):
            raise ValueError("write it like {name}@example.com")
        return pattern

    @field_validator("people", "restricted")
    @classmethod
    def _lines(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        if any("=" not in line for line in lines if line.strip()):
            raise ValueError("write each line as 'name = value'")
        return lines


class MediaWikiSecrets(Secrets):
    bot_password: SecretStr = Field(
        default=SecretStr(""),
        title="Bot password",
        description="From Special:BotPasswords, with no more than the basic rights.",
    )


def pairs(lines: tuple[str, ...]) -> list[tuple[str, str]]:
    """The two sides of lines such as 'Name = value', without the space around them."""
    split = (line.rpartition("=") for line in lines if line.strip())
    return [(name.strip(), value.strip()) for name, _, value in split]
