"""Redmine's default markup (Textile, wiki page "RedmineTextFormatting") as markdown: headings, lists, links, code, quotes.
Not a whole Textile: what it does not know stays as written."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^h([1-6])(?:\([^)]*\))?\.\s+(.*)$")
_QUOTE = re.compile(r"^bq\.\s+")
_LIST = re.compile(r"^([*#]+)\s+")
_LINK = re.compile(r'"([^"\n]+)":((?:https?://|/)[^\s<>"\')]+)')
_CODE = re.compile(r"(?<![\w@])@([^@\n]+)@(?![\w@])")
_BOLD = re.compile(r"(?<![\w*])\*(?!\s)([^*\n]+?)(?<!\s)\*(?![\w*])")
_WIKI = re.compile(r"\[\[(?:[^\]|]*\|)?([^\]|]+)\]\]")
_PRE = re.compile(r"<pre[^>]*>(?:\s*<code[^>]*>)?|(?:</code>\s*)?</pre>")


def markdown(textile: str) -> str:
    """Code blocks are kept as they are."""
    parts = _PRE.split(textile.replace("\r\n", "\n"))
    # What lies between the first and the second mark is code, between the second and the third text, and so on.
    return "\n".join(
        _text(part) if number % 2 == 0 else f"\n```\n{part.strip(chr(10))}\n```\n"
        for number, part in enumerate(parts)
    ).strip()


def _text(part: str) -> str:
    return "\n".join(_line(line) for line in part.split("\n"))


def _line(line: str) -> str:
    if heading := _HEADING.match(line):
        # One level deeper: the document's title stands above.
        return f"{'#' * min(6, int(heading[1]) + 1)} {_inline(heading[2])}"
    if item := _LIST.match(line):
        marks = item[1]
        bullet = "1." if marks[-1] == "#" else "-"
        return f"{'   ' * (len(marks) - 1)}{bullet} {_inline(line[item.end() :])}"
    return _inline(_QUOTE.sub("> ", line))


def _inline(text: str) -> str:
    """What stands between two @ is code, and left alone."""
    parts = _CODE.split(text)
    return "".join(f"`{part}`" if number % 2 else _marks(part) for number, part in enumerate(parts))


def _marks(text: str) -> str:
    text = _LINK.sub(r"[\1](\2)", text)
    text = _BOLD.sub(r"**\1**", text)
    return _WIKI.sub(r"\1", text)
