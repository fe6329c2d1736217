"""Web pages to sections: trafilatura finds the main text; a page it would cut short is read whole."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from app.knowledge.ingest.markdown import parse_markdown
from app.knowledge.ingest.parsed import Parsed, Section

DROPPED = ("script", "style", "noscript", "template", "nav", "head", "svg", "iframe", "form")
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = frozenset(
    "p li tr table ul ol dl dt dd div section article main header footer aside blockquote pre br hr".split()
)
KEPT_SHARE = 0.7


def parse_html(text: str) -> Parsed:
    """The title is the page's <title>, else its first heading."""
    import trafilatura
    from lxml import html as lxml_html

    # Deep nesting is allowed: this process has limits of its own on memory and time.
    parser = lxml_html.HTMLParser(huge_tree=True)
    plain = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    tree = lxml_html.fromstring(plain or "<html></html>", parser=parser)
    title = " ".join((tree.findtext(".//title") or "").split())
    whole = _whole(tree)
    if not _size(whole):
        return Parsed(title, (Section((), _stripped(plain)),))  # nested deeper than the parser goes
    main = trafilatura.extract(
        text,
        output_format="markdown",
        include_tables=True,
        include_comments=False,
        include_formatting=True,
        favor_recall=True,
    )
    chosen = whole
    if main:
        parsed = parse_markdown(main)
        # A plain page of a company is all content; boilerplate is only worth losing when little goes with it.
        if _size(parsed) >= KEPT_SHARE * _size(whole) and _headings(parsed) >= _headings(whole):
            chosen = parsed
    return Parsed(title or chosen.title, chosen.sections)


def _whole(tree: Any) -> Parsed:
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = [""]

    def close() -> None:
        body = "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)
        if path or body:
            sections.append(Section(tuple(heading for _, heading in path), body))
        lines[:] = [""]

    # Documents can nest as deep as they like: an explicit stack, not recursion.
    stack: list[tuple[Any, bool]] = [(tree, False)]
    while stack:
        node, left = stack.pop()
        tag = node.tag if isinstance(getattr(node, "tag", None), str) else ""
        tail = getattr(node, "tail", "") or ""
        if left:
            if tag in BLOCKS:
                lines.append("")
            lines[-1] += " | " + tail if tag in {"td", "th"} else tail
            continue
        if tag in DROPPED or not tag:
            lines[-1] += tail
            continue
        if tag in HEADINGS:
            close()
            heading = " ".join("".join(node.itertext()).split())
            while path and path[-1][0] >= HEADINGS[tag]:
                path.pop()
            if heading:
                path.append((HEADINGS[tag], heading))
            lines[-1] += tail
            continue
        if tag in BLOCKS:
            lines.append("- " if tag == "li" else "")
        lines[-1] += getattr(node, "text", "") or ""
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(list(node)))
    close()
    first = next((section.path[0] for section in sections if section.path), "")
    return Parsed(first, tuple(sections))


def _stripped(text: str) -> str:
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return unescape(re.sub(r"<[^<>]*>", " ", bare)).strip()


def _size(parsed: Parsed) -> int:
    return sum(len("".join(section.text.split())) for section in parsed.sections)


def _headings(parsed: Parsed) -> int:
    return len({section.path for section in parsed.sections})
