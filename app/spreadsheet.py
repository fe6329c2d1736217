"""CSV that is safe to open in a spreadsheet: a cell that it would run as a formula is prefixed with an apostrophe."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any


def cell(text: str) -> str:
    """= + - @ and their full-width forms begin a formula, also behind white space; a tab or a return can hide one."""
    runs = text.lstrip().startswith(tuple("=+-@＝＋－＠")) or text[:1] in ("\t", "\r", "\n")
    return f"'{text}" if runs else text


def csv_of(kind: type[Any], rows: Sequence[Any]) -> str:
    """A header and one line a row of the dataclass `kind`. None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([field.name for field in fields(kind)])
    for row in rows:
        writer.writerow([cell(v) if isinstance(v, str) else v for v in astuple(row)])
    return out.getvalue()
