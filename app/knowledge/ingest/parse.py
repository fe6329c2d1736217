"""One document's bytes to `Parsed`, by type. Runs in the parser process: what hangs or bursts here is killed there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator

from app.errors import DocumentError
from app.knowledge.ingest.decode import decode
from app.knowledge.ingest.markdown import parse_markdown
from app.knowledge.ingest.parsed import Parsed, Section

MAX_BYTES = 25_000_000
MAX_PAGES = 2_000
MAX_CHARACTERS = 3_000_000
MAX_UNPACKED = 200_000_000
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def parse(content: bytes, mime: str) -> Parsed:
    """Raises DocumentError with the cause and the way out: empty, too large, damaged, encrypted, of an unknown type."""
    if not content.strip():
        raise _empty()
    if len(content) > MAX_BYTES:
        raise DocumentError(
            f"It has {len(content) / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB.",
            fix="Split it, or exclude it.",
        )
    parser = PARSERS.get(mime.split(";")[0].strip().lower())
    if parser is None:
        raise DocumentError(f"Files of type {mime} cannot be read.", fix="Exclude it.")
    parsed = _clean(parser(content))
    size = sum(len(section.text) for section in parsed.sections)
    if not any(section.text or section.path for section in parsed.sections):
        raise _empty()
    if size > MAX_CHARACTERS:
        raise DocumentError(
            f"It has {size:,} characters; the limit is {MAX_CHARACTERS:,}.",
            fix="Split it, or exclude it.",
        )
    return parsed


def _plain(content: bytes) -> Parsed:
    return Parsed("", (Section((), decode(content).strip()),))


def _markdown(content: bytes) -> Parsed:
    return parse_markdown(decode(content))


def _html(content: bytes) -> Parsed:
    from app.knowledge.ingest.html import parse_html

    return parse_html(decode_html(content))


def decode_html(content: bytes) -> str:
    """A page may name its own encoding in its first kilobyte; the name is used when it works."""
    named = re.search(
        rb"<meta[^>]{0,200}charset=[\"']?([\w-]{1,40})", content[:1024], re.IGNORECASE
    )
    if named and not content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode(named[1].decode("ascii"))
        except (LookupError, UnicodeDecodeError):
            pass  # a wrong name: guess as for any text
    return decode(content)


def _pdf(content: bytes) -> Parsed:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(
                "It is a PDF with a password.", fix="Save it without a password, or exclude it."
            )
        if len(reader.pages) > MAX_PAGES:
            raise DocumentError(
                f"It has {len(reader.pages):,} pages; the limit is {MAX_PAGES:,}.",
                fix="Split it, or exclude it.",
            )
        title = str((reader.metadata.title if reader.metadata else "") or "")
        sections = [
            Section((f"Page {number}",), _unwrapped(page.extract_text()))
            for number, page in enumerate(reader.pages, start=1)
        ]
    except DocumentError:
        raise
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
    ) as error:
        raise _damaged("PDF", error) from error
    sections = [section for section in sections if section.text]
    if not sections:
        raise DocumentError(
            "It is a PDF without text, probably a scan.", fix="Run text recognition on it first."
        )
    if len(sections) == 1:
        sections = [Section((), sections[0].text)]
    return Parsed(_pdf_title(title, sections), tuple(sections))


def _pdf_title(title: str, sections: list[Section]) -> str:
    """The metadata's unless a program left its own name there, else a short first line."""
    title = title.strip()
    if title and not re.search(
        r"untitled|microsoft word|anonymous|\.\w{2,4}$", title, re.IGNORECASE
    ):
        return title
    first = sections[0].text.split("\n", 1)[0].removeprefix("## ").strip()
    return first if 3 <= len(first) <= 90 else ""


FULL_LINE = 0.7  # of the longest line; a shorter one ends its paragraph
LONGEST_HEADING = 60
NOT_A_HEADING = re.compile(r"[£€$%×|]")


def _unwrapped(text: str) -> str:
    """Lines as paragraphs again, with headings marked as in markdown.

    A PDF has lines only: one that reaches the right edge goes on in the next, a shorter one ends a paragraph, and a short one
    without a full stop before a paragraph is its heading. Words hyphenated at a line's end are joined again.
    """
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line]
    full = FULL_LINE * max(map(len, lines), default=0)
    paragraphs: list[str] = []
    goes_on = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if goes_on and paragraphs:
            paragraphs[-1] = _joined(paragraphs[-1], line)
        else:
            paragraphs.append(f"## {line}" if _is_heading(line, following, full) else line)
        heads_next = line[-1] in ".!?" and _looks_like_heading(following, full)
        goes_on = len(line) >= full and not heads_next and not paragraphs[-1].startswith("## ")
    return "\n\n".join(paragraphs)


def _joined(before: str, line: str) -> str:
    if re.search(r"[a-z]-$", before) and line[:1].islower():
        return before[:-1] + line
    return f"{before} {line}"


def _is_heading(line: str, following: str, full: float) -> bool:
    leads = len(following) >= full or following[-1:] in (".", "!", "?")
    return _looks_like_heading(line, full) and leads and len(following) > len(line)


def _looks_like_heading(line: str, full: float) -> bool:
    short = 0 < len(line) <= min(LONGEST_HEADING, full)
    return (
        short and line[0].isupper() and line[-1] not in ".:;,!?…" and not NOT_A_HEADING.search(line)
    )


def _docx(content: bytes) -> Parsed:
    import zipfile

    from app.knowledge.ingest.docx import parse_docx

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise DocumentError(
                f"It unpacks to {unpacked / 1e6:.0f} MB; the limit is {MAX_UNPACKED / 1e6:.0f} MB.",
                fix="Exclude it.",
            )
        return parse_docx(content)
    except DocumentError:
        raise
    except Exception as error:
        # python-docx lets errors of zipfile, lxml and its own through, of no common class.
        raise _damaged("Word file", error) from error


def _clean(parsed: Parsed) -> Parsed:
    """No control characters, no lone surrogates: neither a database nor a tokenizer takes them."""
    sections = tuple(
        Section(
            tuple(" ".join(_CONTROL.sub("", part).split())[:200] for part in section.path),
            _CONTROL.sub("", section.text).strip(),
        )
        for section in parsed.sections
    )
    return Parsed(" ".join(_CONTROL.sub("", parsed.title).split())[:200], sections)


def _empty() -> DocumentError:
    return DocumentError("It is empty.", fix="Fill it, or remove it.")


def _damaged(kind: str, error: Exception) -> DocumentError:
    return DocumentError(
        f"It is damaged: it is no {kind} that can be opened.",
        fix="Open it in its own program and save it again.",
        detail=repr(error),
    )


PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    "text/plain": _plain,
    "text/markdown": _markdown,
    "text/html": _html,
    "application/pdf": _pdf,
    DOCX: _docx,
}


def supported() -> Iterator[str]:
    yield from PARSERS
