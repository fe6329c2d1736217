"""The Atlassian Document Format as HTML (developer.atlassian.com, "Atlassian Document Format"). Everything is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

DEEPEST = 60
TAGS = {
    "paragraph": "p",
    "bulletList": "ul",
    "orderedList": "ol",
    "listItem": "li",
    "codeBlock": "pre",
    "blockquote": "blockquote",
    "table": "table",
    "tableRow": "tr",
    "tableHeader": "th",
    "tableCell": "td",
    "taskList": "ul",
    "decisionList": "ul",
    "decisionItem": "li",
    "panel": "div",
}


def html(node: Any, depth: int = 0) -> str:
    """Empty for what is no document; what is nested too deep is left out."""
    if not isinstance(node, dict) or depth > DEEPEST:
        return ""
    kind, attrs = node.get("type"), node.get("attrs")
    attrs = attrs if isinstance(attrs, dict) else {}
    content = node.get("content")
    inside = (
        "".join(html(child, depth + 1) for child in content) if isinstance(content, list) else ""
    )
    if kind == "text":
        return _text(node)
    if kind == "heading":
        level = attrs.get("level")
        level = min(6, 2 + level) if isinstance(level, int) and level > 0 else 3
        return f"<h{level}>{inside}</h{level}>"  # below the issue's own headings
    if kind == "taskItem":
        return f"<li>[{'x' if attrs.get('state') == 'DONE' else ' '}] {inside}</li>"
    if kind in {"expand", "nestedExpand"}:
        return f"<p>{escape(str(attrs.get('title') or ''))}</p>{inside}"
    if kind in {"mention", "status", "emoji"}:
        return escape(str(attrs.get("text") or attrs.get("shortName") or ""))
    if kind in {"inlineCard", "blockCard", "embedCard"}:
        return escape(str(attrs.get("url") or ""))
    if kind == "hardBreak":
        return "<br>"
    if kind == "rule":
        return "<hr>"
    tag = TAGS.get(str(kind))
    return f"<{tag}>{inside}</{tag}>" if tag else inside


def _text(node: dict[str, Any]) -> str:
    text = escape(str(node.get("text") or ""))
    for mark in node.get("marks") or ():
        attrs = mark.get("attrs") if isinstance(mark, dict) else None
        address = attrs.get("href") if isinstance(attrs, dict) else None
        if isinstance(address, str) and address.startswith(("https://", "http://")):
            return f'<a href="{escape(address)}">{text}</a>'
    return text
