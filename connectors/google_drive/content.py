"""A file's bytes in a form that the platform parses: Google's own documents are exported, tables become markdown."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import datetime

from connectors.contract import Access, Document, Failure
from connectors.google_drive.api import DriveApi, Refused
from connectors.google_drive.model import Corpus, File
from connectors.http import TooLarge

_GOOGLE = "application/vnd.google-apps."
EXPORTS = {
    f"{_GOOGLE}document": "text/html",
    f"{_GOOGLE}presentation": "text/plain",
    f"{_GOOGLE}spreadsheet": "text/csv",
}
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
READABLE = {"text/markdown", "text/plain", "text/html", "text/csv", "application/pdf", DOCX}
_MARKDOWN = {"text/x-markdown": "text/markdown", "text/x-web-markdown": "text/markdown"}
_WHY = {
    "exportSizeLimitExceeded": ("Google exports at most 10 MB.", "Split the document."),
    "cannotDownloadFile": ("Its owner forbids downloads.", "Allow them, or give the account edit rights."),
    "cannotDownloadAbusiveFile": ("Google calls it harmful.", "Delete it, or leave it out."),
    "notFound": ("It is gone.", "The next sync removes it."),
}  # fmt: skip


def mime_of(file: File) -> str:
    """What its content will be, before tables are turned; empty for what is not read. Folders and shortcuts are not."""
    mime = EXPORTS.get(file.mime) or _MARKDOWN.get(file.mime, file.mime)
    if mime == "text/plain" and file.name.lower().endswith((".md", ".markdown")):
        return "text/markdown"
    return mime if mime in READABLE else ""


def version_of(file: File) -> str:
    """Changes with the content and the name, not with the sharing."""
    name = hashlib.sha256(file.name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{file.md5 or file.modified}.{name}"


def document(
    api: DriveApi, corpus: Corpus, file: File, access: Access, data_class: str, limit: int
) -> Document | Failure:
    if file.size > limit:
        return _too_large(file, f"{file.size / 1e6:.1f} MB", limit)
    mime = mime_of(file)
    try:
        content = api.content(corpus.subject, file.id, EXPORTS.get(file.mime, ""), limit)
    except TooLarge:
        return _too_large(file, "more", limit)
    except Refused as refusal:
        cause, fix = _WHY.get(refusal.code, ("Google does not give it out.", "Try again."))
        return Failure(file.id, file.name, cause, fix)
    if mime == "text/csv":
        mime, content = "text/markdown", table(content, file.name)
    return Document(
        id=file.id,
        title=file.name,
        content=content,
        mime=mime,
        version=version_of(file),
        access=access,
        data_class=data_class,
        url=file.url,
        space=corpus.name,
        modified_at=_moment(file.modified),
    )


def table(data: bytes, name: str) -> bytes:
    """CSV as a markdown table; a cell stays in its cell."""
    rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"))) if any(row)]
    lines = [f"# {' '.join(name.split())}", ""]
    width = max((len(row) for row in rows), default=0)
    for number, row in enumerate(rows):
        cells = [" ".join(cell.replace("|", "\\|").split()) for cell in row]
        lines.append("| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |")
        if number == 0:
            lines.append("|" + " --- |" * width)
    return "\n".join(lines).encode()


def _too_large(file: File, size: str, limit: int) -> Failure:
    cause = f"It has {size}; the limit is {limit / 1e6:.1f} MB."
    return Failure(file.id, file.name, cause, "Raise the limit, split it, or move it elsewhere.")


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
