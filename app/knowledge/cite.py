"""What an answer rests on: its [n] marks become citations, renumbered in order of appearance; unknown marks go."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import Answer, Citation, Passage

# Code is left alone: `row[1]` is no citation. An unclosed fence runs to the end, as it does in a streamed answer.
_CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)", re.DOTALL)
# [1], [1, 2], [1; 2], [1-3], 【1】, [^1], [source 1]; not [1](url) or [1]: url, which are links.
_MARK = re.compile(
    r"(?P<space>[ \t]*)[\[【]\s*\^?\s*(?:(?:sources?|passages?)\s+)?"
    r"(?P<numbers>\d{1,3}(?:\s*(?:[,;–-]|and)\s*\d{1,3})*)\s*[\]】](?![(:])",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d+)\s*[–-]\s*(\d+)")


def cite(text: str, passages: Sequence[Passage]) -> Answer:
    """`[n]` in `text` is the n-th of `passages`, counted from 1.

    Out come the text with marks numbered 1, 2, 3… as they first appear, and one citation for each. Marks that name no
    passage are dropped with the blank before them. `grounded` says whether anything was cited.
    """
    order: dict[int, int] = {}
    parts = _CODE.split(text)
    for i in range(0, len(parts), 2):
        parts[i] = _MARK.sub(lambda match: _renumber(match, len(passages), order), parts[i])
    citations = tuple(Citation(new, passages[old - 1]) for old, new in order.items())
    return Answer("".join(parts).strip(), citations, grounded=bool(citations))


def _renumber(match: re.Match[str], known: int, order: dict[int, int]) -> str:
    """Marks of one bracket, each once, in its own brackets."""
    new: list[int] = []
    for old in _numbers(match["numbers"]):
        if 1 <= old <= known:
            number = order.setdefault(old, len(order) + 1)
            if number not in new:
                new.append(number)
    return match["space"] + "".join(f"[{number}]" for number in new) if new else ""


def _numbers(text: str) -> list[int]:
    spread = _RANGE.sub(
        lambda match: ",".join(str(n) for n in range(int(match[1]), min(int(match[2]), 999) + 1)),
        text,
    )
    return [int(number) for number in re.findall(r"\d+", spread)]
