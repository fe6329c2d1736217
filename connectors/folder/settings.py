"""What an administrator fills in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from connectors.contract import ClassedSettings

ReadersFrom = Literal["access.toml", "owner and group"]
Others = Literal["nobody", "all accounts", "everyone"]
Watching = Literal["at once", "every 10 seconds", "no"]


class FolderSettings(ClassedSettings):
    path: Path = Field(title="Folder", description="Absolute path on the server.")
    include: tuple[str, ...] = Field(
        default=("**",),
        title="Include",
        description="Patterns such as *.md or policies/**; a file must match one.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Exclude", description="Patterns of files to leave out."
    )
    link_base: str = Field(
        default="",
        title="Link base",
        description="Web address that the files are served under, for links in citations; empty for none.",
    )
    readers_from: ReadersFrom = Field(
        default="access.toml",
        title="Readers from",
        description="access.toml files beside the documents, or each file's owner, group and mode on this server.",
    )
    mail_domain: str = Field(
        default="",
        title="Owner and group: mail domain",
        description="The account ada reads as ada@ this domain (people's accounts only, number 1000 and up); empty for none.",
    )
    mails: tuple[str, ...] = Field(
        default=(),
        title="Owner and group: mail addresses",
        description="Accounts whose address is another, one per line: ada = ada.lovelace@example.com.",
    )
    others: Others = Field(
        default="nobody",
        title="Owner and group: readable by others means",
        description="Nobody more than owner and group, all accounts of this server that have an address, or everyone at this company.",
    )
    watching: Watching = Field(
        default="at once",
        title="Watch for changes",
        description="At once on this server's own disks. A network drive does not tell of changes: every 10 seconds looks.",
    )

    @field_validator("mail_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        return value.strip().removeprefix("@").lower()

    @field_validator("mails")
    @classmethod
    def _lines(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            user, equals, mail = (part.strip() for part in line.partition("="))
            if not (user and equals and mail.count("@") == 1):
                raise ValueError(f"'{line}' is no line such as ada = ada@example.com")
        return lines
