"""Every kind of file, good and bad: what can be read is read in its order, what cannot fails alone, named, in time."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
import zipfile

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DocumentError
from app.knowledge.ingest import Parsed, ParserProcess, Section, split
from app.knowledge.ingest.markdown import parse_markdown
from app.knowledge.ingest.parse import DOCX, parse
from app.knowledge.ingest.split import CHUNK_TOKENS, tokens

MARKDOWN = """---
title: "Travel policy"
---
Intro text.

# Travel policy

## Meals
30 pounds a day.

| City | Limit |
|---|---|
| Leeds | 100 |

### Drinks
Not paid.

Hotels
------
Book *early*, see [the list](https://example.test).

```
# not a heading
```
<!-- a hidden note -->
## Empty
"""


def paths(parsed: Parsed) -> list[tuple[str, ...]]:
    return [section.path for section in parsed.sections]


def test_markdown_keeps_headings_tables_and_code() -> None:
    parsed = parse(MARKDOWN.encode(), "text/markdown")
    assert parsed.title == "Travel policy"
    assert paths(parsed) == [
        (),
        ("Travel policy",),
        ("Travel policy", "Meals"),
        ("Travel policy", "Meals", "Drinks"),
        ("Travel policy", "Hotels"),
        ("Travel policy", "Empty"),
    ]
    assert "| Leeds | 100 |" in parsed.sections[2].text
    assert "# not a heading" in parsed.sections[4].text
    assert "hidden note" not in parsed.text
    assert "------" not in parsed.text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("plain text only", ""),
        ("## Second level first\n\ntext", "Second level first"),
        ("text\n\n# [Linked](x) **bold** `code`", "Linked bold code"),
        ("#hashtag is no heading\n\n# Real", "Real"),
        ("---\nnot front matter", ""),
    ],
)
def test_markdown_titles(text: str, title: str) -> None:
    assert parse_markdown(text).title == title


@pytest.mark.parametrize(
    "content",
    [
        "Größe, café".encode(),
        b"\xef\xbb\xbf" + "Größe, café".encode(),
        "Größe, café".encode("utf-16"),
        b"\xfe\xff" + "Größe, café".encode("utf-16-be"),
        "Größe, café".encode("cp1252"),
    ],
)
def test_encodings_are_recognised(content: bytes) -> None:
    assert parse(content, "text/plain").text == "Größe, café"


def test_html_keeps_headings_lists_and_tables_without_scripts() -> None:
    page = b"""<!doctype html><html><head><meta charset="iso-8859-1"><title>Office</title>
    <style>p{}</style></head><body><nav>Menu</nav><h1>Office</h1><p>Open from 8 to 18. Caf\xe9 downstairs.</p>
    <h2>Doors</h2><ul><li>Front</li><li>Back</li></ul>
    <table><tr><th>Day</th><th>Code</th></tr><tr><td>Monday</td><td>4711</td></tr></table>
    <script>alert("no")</script></body></html>"""
    parsed = parse(page, "text/html")
    assert parsed.title == "Office"
    assert ("Office", "Doors") in paths(parsed)
    for expected in ("Café", "Front", "Back", "Monday", "4711"):
        assert expected in parsed.text
    assert "alert" not in parsed.text
    assert "p{}" not in parsed.text


def test_deeply_nested_html_is_read() -> None:
    page = b"<div>" * 3000 + b"deep text" + b"</div>" * 3000
    assert "deep" in parse(page, "text/html").text


def word(title: str = "") -> bytes:
    document = docx.Document()
    document.core_properties.title = title
    document.add_heading("Plan", 1)
    document.add_paragraph("Before the table.")
    table = document.add_table(2, 2)
    for number, text in enumerate(("City", "Cost", "Lyon", "95")):
        table.cell(number // 2, number % 2).text = text
    document.add_paragraph("After the table.")
    document.add_heading("Risks", 2)
    document.add_paragraph("Rain", style="List Bullet")
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def test_word_keeps_headings_tables_and_order() -> None:
    parsed = parse(word(), DOCX)
    assert parsed.title == "Plan"
    assert paths(parsed) == [("Plan",), ("Plan", "Risks")]
    text = parsed.sections[0].text
    assert text.index("Before") < text.index("| Lyon | 95 |") < text.index("After")
    assert parse(word("Fair plan"), DOCX).title == "Fair plan"


def pdf(lines: list[str], *, password: str = "") -> bytes:
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    for line in lines:
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({line}) Tj ET".encode())
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_lines_are_paragraphs_again_and_short_ones_before_them_headings() -> None:
    from app.knowledge.ingest.parse import _unwrapped

    lines = """Hotels
The limit in Lyon is 180 a night, breakfast included, and it holds for every-
body who travels. City tax comes on top and is always paid by the company.
Meals
A daily allowance takes the place of receipts, and it is halved on the first and
last day.
City Limit
Lyon €180"""
    assert _unwrapped(lines).split("\n\n") == [
        "## Hotels",
        "The limit in Lyon is 180 a night, breakfast included, and it holds for everybody "
        "who travels. City tax comes on top and is always paid by the company.",
        "## Meals",
        "A daily allowance takes the place of receipts, and it is halved on the first and last day.",
        "City Limit",
        "Lyon €180",
    ]


def test_pdf_keeps_pages() -> None:
    parsed = parse(pdf(["Benefits 2026", "Bicycle scheme"]), "application/pdf")
    assert parsed.title == "Benefits 2026"
    assert paths(parsed) == [("Page 1",), ("Page 2",)]
    assert parsed.sections[1].text == "Bicycle scheme"


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * 300_000_000)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "mime", "cause"),
    [
        (b"", "text/markdown", "empty"),
        (b"  \n\t", "text/plain", "empty"),
        (b"---\ntitle: x\n---\n", "text/markdown", "empty"),
        (b"<html></html>", "text/html", "empty"),
        (bytes(range(256)) * 10, "text/plain", "bytes look like"),
        (b"\xff\xfe\x41", "text/plain", "utf-16"),
        (b"x" * 26_000_000, "text/plain", "26 MB"),
        (b"word " * 700_000, "text/plain", "characters"),
        (b"%PDF-1.7 broken", "application/pdf", "damaged"),
        (pdf(["secret"], password="x"), "application/pdf", "password"),
        (pdf([""]), "application/pdf", "scan"),
        (pdf(["whole"])[:300], "application/pdf", "damaged|scan"),
        (b"PK\x03\x04 broken", DOCX, "damaged"),
        (word()[:2000], DOCX, "damaged"),
        (bomb(), DOCX, "unpacks"),
        (b"x", "application/zip", "type application/zip"),
    ],
    ids=range(16),
)
def test_what_cannot_be_read_says_why_and_what_to_do(content: bytes, mime: str, cause: str) -> None:
    with pytest.raises(DocumentError) as error:
        parse(content, mime)
    assert re.search(cause, error.value.message)
    assert error.value.fix


def test_a_parser_that_hangs_is_killed_and_the_next_document_is_read() -> None:
    with ParserProcess(timeout_s=20) as process:
        assert process.parse(b"# One", "text/markdown").title == "One"
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        process._timeout_s = 0.3
        with pytest.raises(DocumentError, match="longer than"):
            process.parse(b"# Never", "text/markdown")
        process._timeout_s = 20
        assert process.parse(b"# Two", "text/markdown").title == "Two"


def test_a_parser_that_dies_fails_its_document_only() -> None:
    with ParserProcess(timeout_s=20) as process:
        assert process.parse(b"# One", "text/markdown").title == "One"
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        killer = threading.Timer(0.2, process._process.kill)
        killer.start()
        with pytest.raises(DocumentError, match="died"):
            process.parse(b"# Dies", "text/markdown")
        assert process.parse(b"# Two", "text/markdown").title == "Two"


def test_a_document_that_needs_too_much_memory_fails_alone() -> None:
    stream = io.BytesIO()
    cells = "<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 5_000_000
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("word/document.xml", f"<w:document>{cells}</w:document>")
    with ParserProcess(timeout_s=20) as process:
        with pytest.raises(DocumentError):
            process.parse(stream.getvalue(), DOCX)
        assert process.parse(b"# Two", "text/markdown").title == "Two"


def test_the_parser_process_reports_what_the_parser_says() -> None:
    with ParserProcess() as process:
        with pytest.raises(DocumentError, match="empty"):
            process.parse(b"", "text/plain")
        assert process.parse(MARKDOWN.encode(), "text/markdown") == parse_markdown(MARKDOWN)


@given(st.text(max_size=400))
def test_any_text_is_read_without_losing_a_word(text: str) -> None:
    try:
        parsed = parse(("start " + text).encode("utf-8", "ignore"), "text/plain")
    except DocumentError:
        return
    chunks = split("doc", "", parsed)
    kept = "".join("".join(chunk.text.split()) for chunk in chunks)
    assert kept == "".join(parsed.text.split())


def test_a_long_document_is_split_by_structure_within_the_limit() -> None:
    text = "\n\n".join(
        f"## Part {i}\n\n" + " ".join(f"Sentence {i}.{j} says something." for j in range(60))
        for i in range(5)
    )
    parsed = parse_markdown("# Guide\n\n" + text)
    chunks = split("doc", "Guide", parsed)
    assert all(tokens(chunk.text) <= CHUNK_TOKENS for chunk in chunks)
    assert {chunk.heading for chunk in chunks} == {f"Part {i}" for i in range(5)}
    whole = "".join("".join(chunk.text.split()) for chunk in chunks)
    assert whole == "".join("".join(section.text.split()) for section in parsed.sections)


def test_small_sections_share_a_chunk_and_keep_their_headings_in_it() -> None:
    parsed = parse_markdown("# Desk\n\n## Keys\n\nAt the door.\n\n## Alarm\n\nCode at Ada.\n")
    chunks = split("doc", "Desk", parsed)
    assert [chunk.text for chunk in chunks] == ["Keys\n\nAt the door.\n\nAlarm\n\nCode at Ada."]


def test_chunk_ids_stay_where_the_text_stays() -> None:
    sections = [Section((f"Part {i}",), f"Text number {i}. " * 40) for i in range(4)]
    before = split("doc", "Title", Parsed("Title", tuple(sections)))
    sections.insert(1, Section(("New",), "Something new. " * 40))
    after = split("doc", "Title", Parsed("Title", tuple(sections)))
    assert {chunk.id for chunk in before} < {chunk.id for chunk in after}
    assert len({chunk.id for chunk in after}) == len(after)
    assert {c.id for c in before}.isdisjoint(
        c.id for c in split("other", "Title", Parsed("", tuple(sections)))
    )


def test_repeated_text_makes_different_chunks() -> None:
    same = tuple(Section((), "The same words. " * 60) for _ in range(3))
    chunks = split("doc", "T", Parsed("T", same))
    assert len({chunk.id for chunk in chunks}) == len(chunks) >= 3
