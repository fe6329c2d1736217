"""From a passage's markdown to things worth quoting: sentences, list items, table rows. Headings, links and page furniture
are read for context or left out, never quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 420  # characters; more than that is no quotation
LONGEST_LIST = 1000

_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(?P<text>.+?)\s*#*$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+(?P<text>.+)$")
_RULE = re.compile(r"^\s*([-*_=]\s*){3,}$|^\s*\|?\s*:?-{2,}[-|:\s]*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])")
_BARE_LINK = re.compile(r"<https?://[^>]+>|\{:[^}]*\}|<[^>]{1,200}>")
_EMPHASIS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_STRESS = re.compile(r"(?<![\w*])[*_](?=\S)([^*_]+?)(?<=\S)[*_](?![\w*])")
_CITATION = re.compile(r"\[\^?\d+\]")
_END = re.compile(r"(?<=[.!?])[\"'”’)]?\s+(?=[\"'“‘(]?[A-ZÀ-Þ0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|approx|ca|vs|No|Nr|Mr|Mrs|Ms|Dr|St|Prof|Inc|Ltd|Co|Fig|Art|Sec|U\.S"
    r"|p\.m|a\.m)|\b[A-Z]|(?:^|\s)\d{1,2})\.[\"'”’)]?$"
)
_LEANS = re.compile(
    r"^(?:it|this|that|these|those|they|them|he|she|otherwise|then|but|however|also|so|if not)\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\b(?:following|these|below|steps|as follows)\b[^.]*\.?$", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\*_#\[\]()<>.!|`~-])")
_FURNITURE = re.compile(
    r"^(?:table of contents|on this page|back to (?:the )?top|edit this page|skip to|menu|home\b.*[>»/]"
    r"|next\b.{0,30}$|previous\b.{0,30}$|last (?:updated|modified|reviewed)|see also|read more"
    r"|click here|share this|copyright|©|all rights reserved|page \d+( of \d+)?$|layout:|title:|tags:"
    r"|for more information\W*$|see (?:also )?.{0,60}$|(?:prepared|written|owned|approved|reviewed) by\b|owner:)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Quotable:
    """`text` can stand alone; `context` (headings, a list's opening line) helps to judge it and is not quoted.
    `place` is its position in the passage."""

    passage: int
    place: int
    text: str
    context: str


def quotables(passage: int, heading: str, markdown: str) -> list[Quotable]:
    """Everything in a passage that can be quoted, in order."""
    found: list[Quotable] = []
    for text, context in _units(heading, markdown):
        text = text.strip()
        if not _worth_quoting(text):
            continue
        leans = bool(_LEANS.match(text))
        if leans and found and found[-1].context == context:
            joined = f"{found[-1].text} {text}"
            if len(joined) <= LONGEST and "\n" not in joined:
                found[-1] = Quotable(passage, found[-1].place, joined, context)
                continue
        found.append(Quotable(passage, len(found), text, context))
    return found


def _units(heading: str, markdown: str) -> Iterator[tuple[str, str]]:
    """Text and its context. A sentence that opens a list is one unit with the list, where the two are short enough;
    otherwise it is the context of the list's items."""
    section, blocks = heading, list(_blocks(markdown))
    at = 0
    while at < len(blocks):
        kind, text = blocks[at]
        at += 1
        if kind == "heading":
            section = f"{heading} {text}"
            items = _following_items(blocks, at)
            if items and (whole := with_items(f"{text}:", items)) and len(whole) <= LONGEST_LIST:
                yield whole, section
                at += len(items)
        elif kind == "paragraph":
            items = _following_items(blocks, at)
            *sentences, last = _sentences(text) or [""]
            yield from ((sentence, section) for sentence in sentences)
            if not items:
                yield last, section
            elif (whole := with_items(last, items)) and len(whole) <= LONGEST_LIST:
                yield whole, section
                at += len(items)
            else:
                if not last.endswith(":"):
                    yield last, section
                yield from ((item, f"{section} {last}") for item in items)
                at += len(items)
        else:
            yield text, section


def _following_items(blocks: list[tuple[str, str]], at: int) -> list[str]:
    items = []
    for kind, text in blocks[at:]:
        if kind != "item":
            break
        items.append(text)
    return items


def with_items(opening: str, items: list[str]) -> str:
    """An opening sentence and its list, indented to stand under a bullet; empty when the sentence opens no list."""
    if not (opening.endswith(":") or _OPENS.search(opening)):
        return ""
    return "\n".join([opening, *(f"  - {item}" for item in items if item)])


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """`heading`, `paragraph`, `item` and `row` blocks; a row already carries its column names."""
    paragraph: list[str] = []
    columns: list[str] | None = None
    item, fenced = "", False
    for line in [*markdown.splitlines(), ""]:
        if _FENCE.match(line):
            fenced = not fenced
            continue
        heading, listed = _HEADING.match(line), _ITEM.match(line)
        is_row = line.count("|") >= 2 and line.strip().startswith("|")
        continues = bool(item) and line.startswith((" ", "\t")) and line.strip() and not listed
        if continues:
            item += f" {line.strip()}"
            continue
        if item:
            yield "item", clean(item)
            item = ""
        if paragraph and (not line.strip() or heading or listed or is_row):
            yield "paragraph", clean(" ".join(paragraph))
            paragraph = []
        if not is_row and line.strip():
            columns = None
        if fenced or not line.strip() or _RULE.match(line):
            continue
        if heading:
            yield "heading", clean(heading["text"])
        elif listed:
            item = listed["text"]
        elif is_row:
            cells = [clean(cell) for cell in line.strip().strip("|").split("|")]
            if columns is None:
                columns = cells
            else:
                yield "row", _row(columns, cells)
        else:
            paragraph.append(line.strip())


def _row(columns: list[str], cells: list[str]) -> str:
    """ "City: Paris; Limit: 180 EUR": a row that can be read without its table."""
    named = [
        f"{column}: {cell}" if column else cell
        for column, cell in zip(columns, cells, strict=False)
        if cell
    ]
    return "; ".join(named)


def _sentences(text: str) -> list[str]:
    found, start = [], 0
    for match in _END.finditer(text):
        sentence = text[start : match.start() + 1].strip()
        if _ABBREVIATION.search(text[start : match.start()].rstrip("\"'”’)")):
            continue
        found.append(sentence)
        start = match.end()
    if rest := text[start:].strip():
        found.append(rest)
    return found


def clean(text: str) -> str:
    """Without links' addresses, images, emphasis, HTML and reference marks; numbers and words as they were."""
    text = _IMAGE.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _BARE_LINK.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _STRESS.sub(r"\1", text)
    text = _ESCAPED.sub(r"\1", _CITATION.sub("", text))
    return " ".join(text.split())


def _worth_quoting(text: str) -> bool:
    """Neither page furniture nor a fragment: some words, mostly letters, and not too long."""
    words = len(_WORD.findall(text))
    has_number = any(character.isdigit() for character in text)
    longest = LONGEST_LIST if "\n" in text else LONGEST
    if words < (2 if has_number else 4) or len(text) > longest or "{%" in text:
        return False
    if text.endswith(":"):
        return False
    letters = sum(character.isalnum() or character.isspace() for character in text)
    return letters / len(text) > 0.75 and not _FURNITURE.match(text)
