"""The `kinds` setting: TOML, a `[[kind]]` for each kind of document. Says where a mistake is."""

from __future__ import annotations

import hashlib
import re
import tomllib
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors import toml_faults
from connectors.contract import DataClassName

Mime = Literal[
    "text/markdown",
    "text/plain",
    "text/html",
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Kind(BaseModel):
    """One kind of document. Columns are named as the query gives them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    query: Query
    id: Text
    content: tuple[Text, ...] = Field(min_length=1)
    readers: Text
    title: str = ""
    mime: Mime = "text/markdown"
    cursor: str = ""
    overlap: int = Field(default=600, ge=0)
    """How far before the last cursor the next sync begins: seconds, or so many of a number column."""
    deleted: str = ""
    link: str = ""
    space: str = ""
    space_column: str = ""
    data_class: DataClassName | None = None
    reader_check: str = ""

    @field_validator("content", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("query", "reader_check")
    @classmethod
    def _reads(cls, value: str) -> str:
        query = value.strip().rstrip(";").rstrip()
        if query and not re.match(
            r"(?is)(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values)\b", query
        ):
            raise ValueError("a query begins with SELECT or WITH")
        return query

    @field_validator("link")
    @classmethod
    def _links(cls, value: str) -> str:
        link = value.strip()
        if (
            link
            and not link.startswith(("https://", "http://"))
            and not PLACEHOLDER.fullmatch(link)
        ):
            raise ValueError("a link begins with https:// or http://, or is one {column}")
        return link

    @model_validator(mode="after")
    def _fits(self) -> Kind:
        if self.binary and len(self.content) > 1:
            raise ValueError(f"content: {self.mime} comes from one column")
        if self.reader_check and not {":id", ":email"} <= set(
            re.findall(r":\w+", self.reader_check)
        ):
            raise ValueError("reader_check: it must use :id and :email")
        return self

    @property
    def binary(self) -> bool:
        return not self.mime.startswith("text/")

    @property
    def link_columns(self) -> tuple[str, ...]:
        return tuple(PLACEHOLDER.findall(self.link))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the query must give, each once."""
        named = (
            self.id,
            self.title,
            *self.content,
            self.cursor,
            self.readers,
            self.deleted,
            self.space_column,
            *self.link_columns,
        )
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def fingerprint(self) -> str:
        """Changes with the definition: its rows are then read from the beginning."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class KindFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: tuple[Kind, ...] = Field(min_length=1)


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """Raises ValueError with the place of the first mistake."""
    try:
        kinds = KindFile.model_validate(tomllib.loads(text)).kind
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not valid TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(_where(error)) from None
    names = [kind.name for kind in kinds]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two kinds are named '{name}'; rename one")
    return kinds


def _where(error: ValidationError) -> str:
    """`[[kind]] 2, cursor: it is missing`."""
    where, words = toml_faults.first(error)
    place = [part for part in where if part != "kind"]
    number = f" {place[0] + 1}" if place and isinstance(place[0], int) else ""
    field = ".".join(str(part) for part in place[1:] if not isinstance(part, int))
    return f"[[kind]]{number}{', ' + field if field else ''}: {words}"
