"""A row as a document."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.contract import Access, Document
from connectors.sql.kinds import PLACEHOLDER, Kind

FALSE = {"", "0", "f", "false", "n", "no"}


@dataclass(frozen=True, slots=True)
class Row:
    """`id` is the database's text of it, `raw_id` its value; `content` is None where it is too long to come along."""

    id: str
    raw_id: Any
    key: Any
    size: int
    content: tuple[Any, ...]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, kind: Kind, fields: Mapping[str, Any]) -> Row:
        content = tuple(fields[f"c{number}_"] for number in range(len(kind.content)))
        values = {name[2:]: value for name, value in fields.items() if name.startswith("v_")}
        return cls(
            fields["id_"], fields["raw_"], fields["key_"], int(fields["size_"]), content, values
        )


class Unfit(ValueError):
    """A row that is no document: the message says why."""


def document_id(kind: Kind, id: str) -> str:
    return f"{kind.name}:{id}"


def split_id(document_id: str) -> tuple[str, str]:
    name, _, id = document_id.partition(":")
    return name, id


def is_true(value: object) -> bool:
    """NULL, false, 0 and empty are not; a time, true or any other value is."""
    if value is None or value is False:
        return False
    return str(value).strip().lower() not in FALSE


def build(
    kind: Kind, row: Row, content: tuple[Any, ...], access: Access, data_class: str
) -> Document:
    """Raises Unfit."""
    body = _content(kind, content)
    title = _text(row.values.get(kind.title)).strip() if kind.title else ""
    url = _link(kind, row.values)
    space = _text(row.values.get(kind.space_column)).strip() if kind.space_column else kind.space
    digest = hashlib.sha256(body)
    digest.update(json.dumps([title, url, space, kind.mime]).encode())
    return Document(
        id=document_id(kind, row.id),
        title=title,
        content=body,
        mime=kind.mime,
        version=digest.hexdigest()[:32],
        access=access,
        data_class=kind.data_class or data_class,
        url=url,
        space=space,
        modified_at=_time(row.values.get(kind.cursor)),
    )


def title_of(kind: Kind, row: Row) -> str:
    title = _text(row.values.get(kind.title)).strip() if kind.title else ""
    return title or document_id(kind, row.id)


def _content(kind: Kind, values: tuple[Any, ...]) -> bytes:
    if kind.binary:
        (value,) = values
        if value is None:
            raise Unfit("It has no content.")
        if not isinstance(value, bytes | memoryview):
            raise Unfit(f"Its content is text, but the kind's mime is {kind.mime}.")
        return bytes(value)
    if any(isinstance(value, bytes | memoryview) for value in values):
        raise Unfit(f"Its content is binary, but the kind's mime is {kind.mime}.")
    parts = [(name, _part(kind, value)) for name, value in zip(kind.content, values, strict=True)]
    filled = [(name, part) for name, part in parts if part.strip()]
    if len(kind.content) == 1:
        return "".join(part for _, part in filled).encode("utf-8", "replace")
    return "\n\n".join(_section(kind, name, part) for name, part in filled).encode(
        "utf-8", "replace"
    )


def _section(kind: Kind, column: str, part: str) -> str:
    heading = column.replace("_", " ").strip().capitalize()
    if kind.mime == "text/html":
        return f"<h2>{html.escape(heading)}</h2>\n{part}"
    return f"## {heading}\n\n{part}" if kind.mime == "text/markdown" else f"{heading}\n{part}"


def _part(kind: Kind, value: object) -> str:
    """Text as it is written; anything else in words, safe inside HTML."""
    if isinstance(value, str):
        return value
    text = _text(value)
    return html.escape(text) if kind.mime == "text/html" else text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(f"- {_flat(item)}" for item in value)
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def _flat(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return _text(value)


def _link(kind: Kind, values: Mapping[str, Any]) -> str:
    """Each column quoted; a link that is one column is taken as it stands when it is a web address."""
    if PLACEHOLDER.fullmatch(kind.link):
        address = _text(values.get(kind.link_columns[0])).strip()
        return address if address.startswith(("https://", "http://")) else ""
    return PLACEHOLDER.sub(lambda hole: quote(_text(values.get(hole[1])), safe=""), kind.link)


def _time(value: object) -> datetime | None:
    """SQLite keeps times as text; a time without a zone is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
