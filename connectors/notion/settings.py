"""What an administrator fills in. Notion's API tells no permissions, so readers are stated, also for single parts."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property

from pydantic import Field, SecretStr, field_validator

from connectors.contract import Access, Secrets, WebAddress
from connectors.stated import StatedReaders

_ID = re.compile(r"[0-9a-f]{32}")
EVERYONE, NOBODY = "everyone", "nobody"


def notion_id(text: str) -> str:
    """The id in an address of Notion's or in an id written with or without dashes; empty where there is none."""
    bare = text.split("?")[0].split("#")[0].replace("-", "").lower()
    found = _ID.findall(bare[-32:])
    return dashed(found[-1]) if found else ""


def dashed(id: str) -> str:
    bare = id.replace("-", "").lower()
    return "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))


class NotionSettings(StatedReaders):
    parts: tuple[str, ...] = Field(
        default=(),
        title="Readers of a part",
        description="A page's or database's address, a colon and who may read it and all beneath it: groups, e-mail "
        "addresses, everyone or nobody, separated by commas. One part per line.",
    )
    only: tuple[str, ...] = Field(
        default=(),
        title="Only beneath",
        description="Addresses of pages or databases, one per line; empty for all that is shared with the integration.",
    )
    api_url: WebAddress = Field(
        default="https://api.notion.com", title="API address", description="Leave as it is."
    )

    @field_validator("parts")
    @classmethod
    def _parts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        lines = tuple(value.strip() for value in values if value.strip())
        for line in lines:
            where, colon, who = line.rpartition(":")
            if not colon or not notion_id(where.strip()):
                raise ValueError(f"'{line}' does not begin with a page's address and a colon.")
            _readers(who)
        return lines

    @field_validator("only")
    @classmethod
    def _only(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        lines = tuple(value.strip() for value in values if value.strip())
        for line in lines:
            if not notion_id(line):
                raise ValueError(f"'{line}' is no address of a page or database.")
        return lines

    @cached_property
    def part_readers(self) -> dict[str, Access]:
        """By page or database id."""
        found = {}
        for line in self.parts:
            where, _, who = line.rpartition(":")
            found[notion_id(where.strip())] = _readers(who)
        return found

    @cached_property
    def only_ids(self) -> frozenset[str]:
        return frozenset(notion_id(line) for line in self.only)

    @property
    def anything_stated(self) -> bool:
        return self.stated or any(access.known for access in self.part_readers.values())

    def mark(self) -> str:
        """Another text when other readers, parts or data class are stated."""
        text = "\n".join((self.readers_mark(), *self.parts, "", *self.only))
        return hashlib.sha256(text.encode()).hexdigest()


def _readers(text: str) -> Access:
    """Raises ValueError for a line that names nobody at all, or mixes `nobody` with others."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or (NOBODY in names and len(names) > 1):
        raise ValueError(f"'{text.strip()}' does not say who may read: name them, or write nobody.")
    if names == [NOBODY]:
        return Access.nobody()
    for name in names:
        if "@" in name and (name.count("@") != 1 or " " in name):
            raise ValueError(f"'{name}' is no e-mail address.")
    return Access(
        known=True,
        everyone=EVERYONE in names,
        users=frozenset(name.lower() for name in names if "@" in name),
        groups=frozenset(name for name in names if "@" not in name and name != EVERYONE),
        company_groups=True,
    )


class NotionSecrets(Secrets):
    token: SecretStr = Field(
        title="Token",
        description="The internal integration's secret; starts with ntn_ or secret_.",
    )
