"""Golden sets as files: CSV (a header, several values of a cell one on a line) and JSONL (one object a line)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InputError, TooLarge
from app.rehearsal.golden import Golden
from app.spreadsheet import cell

LARGEST_FILE = 2_000_000
COLUMNS = ("question", "sources", "must_say", "must_not_say")
SHAPE = f"A CSV with the columns {', '.join(COLUMNS)}, or one JSON object with these names a line."


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    question: str
    sources: list[str] = Field(default_factory=list)
    must_say: list[str] = Field(default_factory=list)
    must_not_say: list[str] = Field(default_factory=list)


def read_golden(data: bytes, name: str) -> list[Golden]:
    """`name` ends in .csv, or in .jsonl. Raises InputError that names the line, TooLarge."""
    if len(data) > LARGEST_FILE:
        raise TooLarge(f"The file has {len(data):,} bytes; {LARGEST_FILE:,} fit.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("The file is no UTF-8 text.", fix="Save it as UTF-8.") from None
    rows = _csv(text) if name.lower().endswith(".csv") else _jsonl(text)
    found = [_golden(line, row) for line, row in rows]
    if not found:
        raise InputError("The file holds no question.", fix=SHAPE)
    return found


def golden_csv(several: Sequence[Golden]) -> str:
    """A cell that a spreadsheet would run as a formula is prefixed with an apostrophe, which reading takes away again."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for golden in several:
        lists = (golden.sources, golden.must_say, golden.must_not_say)
        writer.writerow([cell(golden.question), *(cell("\n".join(values)) for values in lists)])
    return out.getvalue()


def golden_jsonl(several: Sequence[Golden]) -> str:
    return "".join(
        json.dumps({name: getattr(golden, name) for name in COLUMNS}, ensure_ascii=False) + "\n"
        for golden in several
    )


def _csv(text: str) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "question" not in (reader.fieldnames or ()):
        raise InputError("The file has no column 'question'.", fix=SHAPE)
    try:
        for row in reader:
            values = {name: _plain(row.get(name) or "") for name in COLUMNS}
            question = values.pop("question")
            if question.strip():
                lists = {name: value.splitlines() for name, value in values.items()}
                yield reader.line_num, {"question": question, **lists}
    except csv.Error as error:
        raise InputError(f"Line {reader.line_num} is no CSV: {error}.", fix=SHAPE) from None


def _plain(text: str) -> str:
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


def _jsonl(text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                raise InputError(f"Line {number} is no JSON.", fix=SHAPE) from None


def _golden(line: int, row: object) -> Golden:
    try:
        read = _Row.model_validate(row)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "the object"
        raise InputError(f"Line {line}: {where}: {wrong['msg']}.", fix=SHAPE) from None
    return Golden(
        read.question, tuple(read.sources), tuple(read.must_say), tuple(read.must_not_say)
    )
