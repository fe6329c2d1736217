"""An answer's markdown as HTML that can only hold what this file writes.

What a model or a document says is untrusted: raw HTML comes out as text, an image becomes a link that names where it would have
been loaded from, links show their host and open apart, and only http, https and mailto are linked at all. Reference
definitions are off, because `[1]: https://…` would turn a citation into somebody else's link. Streamlit cleans the result once
more (DOMPurify); nothing here relies on that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from app.ui.widgets.words import host_of, text

CITATION = re.compile(r"\[(\d{1,2})\]")
LINKED = ("https://", "http://", "mailto:")


def answer_html(markdown: str, turn_id: str, titles: Mapping[int, str]) -> str:
    """`titles` names the passage behind each citation number; a number that is not there stays plain text."""
    html: str = _parser().render(markdown, {"turn": turn_id, "titles": titles})
    return html


def split_settled(markdown: str) -> tuple[str, str]:
    """What can no longer change while the rest still arrives, and the rest: cut at the last blank line outside a fence."""
    cut, fence, position = 0, "", 0
    for line in markdown.splitlines(keepends=True):
        bare = line.strip()
        mark = bare[:3]
        if mark in ("```", "~~~") and (not fence or mark == fence):
            fence = "" if fence else mark
        position += len(line)
        if not bare and not fence and line.endswith("\n"):
            cut = position
    return markdown[:cut], markdown[cut:]


class _SafeRenderer(RendererHTML):
    """markdown-it's own renderer with text, links, images and code written anew."""

    def text(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        turn, titles = env["turn"], env["titles"]

        def mark(found: re.Match[str]) -> str:
            number = int(found[1])
            if number not in titles:
                return found[0]
            return (
                f'<a class="sb-cite" href="#passage" data-sb="passage:{text(turn)}:{number}" '
                f'title="{text(titles[number])}" aria-label="Source {number}: '
                f'{text(titles[number])}">{number}</a>'
            )

        return CITATION.sub(mark, text(tokens[idx].content))

    def image(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        token = tokens[idx]
        name = text(token.content or "image")
        return f"{_opening(str(token.attrs.get('src', '')))}Image: {name}{_closing(token, 'src')}"

    def link_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _opening(str(tokens[idx].attrs.get("href", "")))

    def link_close(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        depth = 0
        for token in reversed(tokens[:idx]):
            depth += {"link_close": 1, "link_open": -1}.get(token.type, 0)
            if depth < 0:
                return _closing(token, "href")
        return "</span>"

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        token = tokens[idx]
        language = token.info.strip().split(" ")[0][:20]
        label = f'<span class="sb-lang">{text(language)}</span>' if language else ""
        return (
            f'<div class="sb-code">{label}<button class="sb-copy" type="button" data-copy="code" '
            f'aria-label="Copy code">Copy</button><pre><code>{text(token.content)}</code></pre></div>'
        )

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)

    def table_open(self, *_args: Any) -> str:
        return '<div class="sb-table"><table>'

    def table_close(self, *_args: Any) -> str:
        return "</table></div>"

    def html_block(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return text(tokens[idx].content)

    def html_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return text(tokens[idx].content)


def _opening(address: str) -> str:
    if address.lower().startswith(LINKED):
        return f'<a class="sb-link" href="{text(address)}" target="_blank">'
    return '<span class="sb-link">'


def _closing(token: Token, attribute: str) -> str:
    address = str(token.attrs.get(attribute, ""))
    if address.lower().startswith(LINKED):
        return f'</a> <span class="sb-host">({text(host_of(address))})</span>'
    shown = address if len(address) <= 60 else address[:59] + "…"
    return f'</span> <span class="sb-host">({text(shown)})</span>' if shown else "</span>"


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_SafeRenderer)
    parser.enable(["table", "strikethrough"])
    parser.disable(["reference", "html_block", "html_inline"])
    return parser
