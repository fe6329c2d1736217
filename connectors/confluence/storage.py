"""Confluence's storage format as plain HTML (confluence.atlassian.com, "Confluence Storage Format").

Only what stands on the page itself is kept. Scripts, styles, attributes and the parameters of macros go; links keep their
address where it is a web address.
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
KEPT = frozenset(
    "h1 h2 h3 h4 h5 h6 p ul ol li table tbody thead tr td th pre code blockquote strong em b i u s sub sup hr br "
    "dl dt dd div span".split()
)
EMPTY = {"hr", "br"}
DROPPED = {"script", "style", "ac:parameter", "ac:task-id", "ac:task-uuid", "ac:emoticon"}
"""With all that is inside."""


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropped: list[str] = []
        self._task_done: bool | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped or tag in DROPPED:
            self._dropped.append(tag)
        elif tag in KEPT:
            self.parts.append(f"<{tag}>")
        elif tag == "a":
            address = dict(attrs).get("href") or ""
            safe = address if address.startswith(("https://", "http://", "mailto:")) else ""
            self.parts.append(f'<a href="{escape(safe)}">')
        elif tag == "ac:plain-text-body":
            self.parts.append("<pre>")
        elif tag == "ac:task-list":
            self.parts.append("<ul>")
        elif tag == "ac:task-body":
            self.parts.append(f"<li>[{'x' if self._task_done else ' '}] ")
        elif tag == "ac:task-status":
            self._task_done = None
            self._dropped.append(tag)
        elif tag == "time":
            self.parts.append(escape(dict(attrs).get("datetime") or ""))
        elif tag in {"ri:page", "ri:attachment"}:
            named = dict(attrs)
            self.parts.append(
                escape(named.get("ri:content-title") or named.get("ri:filename") or "")
            )

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in EMPTY and not self._dropped:
            self.parts.append(f"<{tag}>")
        elif tag in {"time", "ri:page", "ri:attachment"} and not self._dropped:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            # A tag left open inside goes with what is dropped around it.
            if tag in self._dropped:
                while self._dropped.pop() != tag:
                    pass
        elif tag in KEPT - EMPTY or tag == "a":
            self.parts.append(f"</{tag}>")
        elif tag in {"ac:plain-text-body", "ac:task-list", "ac:task-body"}:
            closing = {
                "ac:plain-text-body": "</pre>",
                "ac:task-list": "</ul>",
                "ac:task-body": "</li>",
            }
            self.parts.append(closing[tag])

    def handle_data(self, data: str) -> None:
        if self._dropped == ["ac:task-status"]:
            self._task_done = data.strip() == "complete"
        elif not self._dropped:
            self.parts.append(escape(data))


def plain_html(storage: str) -> str:
    cleaner = _Cleaner()
    cleaner.feed(_CDATA.sub(lambda match: escape(match[1]), storage))
    cleaner.close()
    return "".join(cleaner.parts)
