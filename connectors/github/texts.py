"""Issues and pull requests as markdown that keeps its outline: what people write cannot pose as another comment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from connectors.github.model import Comment, Issue

MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?=\s|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")


def mime_of(path: str) -> str:
    return MIMES.get(PurePosixPath(path).suffix.lower(), "")


def issue_text(issue: Issue, comments: Sequence[Comment]) -> bytes:
    kind = "Pull request" if issue.pull_request else "Issue"
    facts = (
        f"{kind} #{issue.number}, {issue.state}, opened by {issue.author} on {issue.created[:10]}"
    )
    if issue.labels:
        facts += f". Labels: {', '.join(issue.labels)}"
    parts = [f"# {_line(issue.title)}", f"{_line(facts)}.", inside(issue.text)]
    for comment in comments:
        head = f"## {comment.kind.capitalize()} by {comment.author}, {comment.created[:10]}"
        parts += [head, inside(comment.text)]
    return "\n\n".join(part for part in parts if part).encode("utf-8", "replace")


def inside(markdown: str) -> str:
    """Somebody's markdown within a section: its headings become bold, what GitHub hides goes, an open code block is closed."""
    lines, fence = list[str](), ""
    for line in _HIDDEN.sub("", markdown.replace("\r\n", "\n")).split("\n"):
        if fence:
            lines.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if opened := _FENCE.match(line):
            fence = opened[1]
        elif _HEADING.match(line):
            text = line.strip().strip("#").strip()
            line = f"**{text}**" if text else ""
        elif _UNDERLINE.match(line):
            line = ""
        lines.append(line)
    if fence:
        lines.append(fence)
    return "\n".join(lines).strip()


def _line(text: str) -> str:
    return " ".join(text.split())
