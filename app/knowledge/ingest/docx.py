"""Word files to sections: headings by style, tables as rows, in the order of the page."""

from __future__ import annotations

import io
import re
from typing import Any

from app.knowledge.ingest.parsed import Parsed, Section

_LEVEL = re.compile(r"heading (\d)", re.IGNORECASE)


def parse_docx(content: bytes) -> Parsed:
    """The title is the core property's, else the Title style's, else the first heading. Raises what python-docx raises."""
    import docx
    from docx.table import Table

    document = docx.Document(io.BytesIO(content))
    title = (document.core_properties.title or "").strip()
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    body: list[str] = []

    def close() -> None:
        if path or body:
            sections.append(Section(tuple(text for _, text in path), "\n\n".join(body)))
        body.clear()

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            body.append("\n".join(_row(row) for row in _rows(block)))
            continue
        text = block.text.strip()
        style = (block.style.name if block.style else "") or ""
        level = _LEVEL.match(style)
        if not text:
            continue
        if style.lower() == "title" and not title:
            title = text
        elif level:
            close()
            while path and path[-1][0] >= int(level[1]):
                path.pop()
            path.append((int(level[1]), text))
        else:
            body.append(f"- {text}" if style.lower().startswith("list") else text)
    close()
    first = next((section.path[0] for section in sections if section.path), "")
    return Parsed(title or first, tuple(sections))


def _rows(table: Any) -> list[list[str]]:
    """Merged cells repeat in python-docx: each is taken once a row."""
    rows: list[list[str]] = []
    for row in table.rows:
        cells: list[str] = []
        last: Any = None
        for cell in row.cells:
            if cell._tc is not last:
                cells.append(" ".join(cell.text.split()))
            last = cell._tc
        rows.append(cells)
    return rows


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
