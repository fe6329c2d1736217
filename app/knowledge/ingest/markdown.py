"""Markdown to sections. A line scanner, linear in the text: nothing in a document can make it slow."""

from __future__ import annotations

import re

from app.knowledge.ingest.parsed import Parsed, Section

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TITLE = re.compile(r"title:\s*(.+?)\s*\Z", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)")
_EMPHASIS = re.compile(r"(\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w))")


def parse_markdown(text: str) -> Parsed:
    """The title is the front matter's, else the first heading of level 1, else the first heading."""
    title, lines = _front_matter(_without_comments(text).split("\n"))
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    body: list[str] = []
    fence = ""

    def close() -> None:
        if path or any(line.strip() for line in body):
            headings = tuple(heading for _, heading in path)
            sections.append(Section(headings, "\n".join(body).strip("\n")))
        body.clear()

    for number, line in enumerate(lines):
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opened := _FENCE.match(line):
            fence = opened[1]
        elif found := _heading(line, lines[number + 1] if number + 1 < len(lines) else ""):
            close()
            while path and path[-1][0] >= found[0]:
                path.pop()
            path.append(found)
            continue
        elif (
            body == []
            and path
            and _UNDERLINE.match(line)
            and number
            and not _HEADING.match(lines[number - 1])
        ):
            continue  # the underline of the heading just taken
        body.append(line)
    close()
    sections = [section for section in sections if section.path or section.text]
    return Parsed(title or _first_heading(sections), tuple(sections))


def _heading(line: str, following: str) -> tuple[int, str] | None:
    if match := _HEADING.match(line):
        heading = plain(match[2] or "")
        return (len(match[1]), heading) if heading else None
    under = _UNDERLINE.match(following)
    text = line.strip()
    if under and text and len(under[1]) >= 3 and not text.startswith((">", "-", "*", "|", "#")):
        return (1 if under[1][0] == "=" else 2), plain(text)
    return None


def plain(text: str) -> str:
    """A heading without its marks: links keep their words."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", text)).strip()


def _front_matter(lines: list[str]) -> tuple[str, list[str]]:
    if not lines or lines[0].strip() != "---":
        return "", lines
    for end in range(1, min(len(lines), 200)):
        if lines[end].strip() in {"---", "..."}:
            found = (_TITLE.match(line) for line in lines[1:end])
            title = next((match[1].strip("\"'") for match in found if match), "")
            return title, lines[end + 1 :]
    return "", lines


def _without_comments(text: str) -> str:
    parts: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[at:start])
        at = end + 3
    return "".join(parts) + text[at:]


def _first_heading(sections: list[Section]) -> str:
    paths = [section.path for section in sections if section.path]
    return paths[0][0] if paths else ""
