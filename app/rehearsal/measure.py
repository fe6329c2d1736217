"""What is measured of two answers to one golden question, and which is better. No model is asked here.

Words are looked for without regard to case, spacing and emphasis, and only whole ("18" is not said by "180").

Groundedness is lexical: the share of an answer's statements (sentences, list items and rows of three content words or more)
that the passages it cites hold up, which means that `HELD_UP` of a statement's content words, stemmed, and all of its numbers
stand in one of them. It knows no paraphrase, so it says more about two answers to the same question than about one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.domain import Answer, Passage
from app.knowledge.cite import cite
from app.llm.extractive import terms
from app.llm.sentences import quotables
from app.rehearsal.golden import Golden
from app.rehearsal.sources import is_source

HELD_UP = 0.6
FEWEST_WORDS = 3
CLEARLY = 0.2
"""A difference in groundedness below this decides nothing."""

Verdict = Literal["better", "same", "worse", "mixed", "unknown", "unpaid"]
"""`unpaid`: a budget had no room for one of the answers, so the two are not compared."""


@dataclass(frozen=True, slots=True)
class Cited:
    document_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Side:
    """One route's answer. `error` says why there is none, or why it broke off; `note` which models failed before.

    `supported` of `statements` are held up by the cited passages. Times are milliseconds from the moment the passages had
    been found, the same ones for both sides; `first_token_ms` is None when no word came."""

    answer: str = ""
    error: str = ""
    note: str = ""
    model: str = ""
    label: str = ""
    prompt: str = ""
    cited: tuple[Cited, ...] = ()
    sources_found: tuple[str, ...] = ()
    sources_missing: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    said_in_spite: tuple[str, ...] = ()
    statements: int = 0
    supported: int = 0
    first_token_ms: float | None = None
    total_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_usd: float = 0.0

    @property
    def grounded(self) -> float | None:
        """In [0, 1]; None for an answer that states nothing."""
        return self.supported / self.statements if self.statements else None


@dataclass(frozen=True, slots=True)
class Judged:
    """`reasons` in words, of the draft's answer."""

    verdict: Verdict
    reasons: tuple[str, ...]


def says(answer: str, phrase: str) -> bool:
    """Whether any wording of a phrase (`180 euros | €180`) stands in the answer."""
    text = _plain(answer)
    wordings = [_plain(wording) for wording in phrase.split("|")]
    return any(
        re.search(rf"(?<!\w){re.escape(wording)}(?!\w)", text) for wording in wordings if wording
    )


def measured(side: Side, golden: Golden, answer: Answer) -> Side:
    """With the finished answer, what it cites and how much of it that holds up, and what was expected of it."""
    cited = [citation.passage for citation in answer.citations]
    found = tuple(s for s in golden.sources if any(is_source(s, p) for p in cited))
    said = tuple(p for p in golden.must_say if says(answer.text, p))
    statements, supported = groundedness(answer)
    return replace(
        side,
        answer=answer.text,
        cited=tuple(dict.fromkeys(Cited(p.document_id, p.title) for p in cited)),
        sources_found=found,
        sources_missing=tuple(s for s in golden.sources if s not in found),
        said=said,
        unsaid=tuple(p for p in golden.must_say if p not in said),
        said_in_spite=tuple(p for p in golden.must_not_say if says(answer.text, p)),
        statements=statements,
        supported=supported,
    )


def groundedness(answer: Answer) -> tuple[int, int]:
    """Statements, and how many of them the cited passages hold up."""
    statements = [
        words
        for unit in quotables(0, "", answer.text)
        if len(words := frozenset(terms(unit.text))) >= FEWEST_WORDS
    ]
    passages = [_words_of(citation.passage) for citation in answer.citations]
    held = sum(any(_holds_up(passage, words) for passage in passages) for words in statements)
    return len(statements), held


def compared(before: Side, after: Side) -> Judged:
    """Better where the draft's answer wins in something and loses in nothing; `mixed` where it does both. Errors come first,
    then forbidden and needed words, expected sources, models that failed on the way, and groundedness where it clearly differs. Length, time and money are
    shown and do not decide."""
    if before.error and after.error:
        return Judged("unknown", ("neither side answered",))
    if before.error or after.error:
        if before.error:
            return Judged("better", ("it answers where the published route fails",))
        return Judged("worse", ("it fails where the published route answers",))
    won, lost = _differences(before, after)
    reasons = (*lost, *won)
    if won and lost:
        return Judged("mixed", reasons)
    return Judged("better" if won else "worse" if lost else "same", reasons)


def sign_test(better: int, worse: int) -> float:
    """Two-sided p of the exact sign test: how likely a split at least as uneven is when neither side is better."""
    n, most = better + worse, max(better, worse)
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(most, n + 1))
    return min(1.0, 2.0 * tail / float(2**n))


def _differences(before: Side, after: Side) -> tuple[list[str], list[str]]:
    """What the draft's answer wins and what it loses."""
    won = [f"says “{p}”" for p in _only(after.said, before.said)]
    lost = [f"no longer says “{p}”" for p in _only(before.said, after.said)]
    won += [f"no longer says “{p}”" for p in _only(before.said_in_spite, after.said_in_spite)]
    lost += [
        f"says “{p}”, which it must not" for p in _only(after.said_in_spite, before.said_in_spite)
    ]
    if gained := len(_only(after.sources_found, before.sources_found)):
        won.append(f"cites {gained} more of the expected sources")
    if fewer := len(_only(before.sources_found, after.sources_found)):
        lost.append(f"cites {fewer} fewer of the expected sources")
    if after.note and not before.note:
        lost.append(f"needed another model ({after.note})")
    if before.note and not after.note:
        won.append("needed no other model")
    a, b = before.grounded, after.grounded
    if a is not None and b is not None and abs(a - b) >= CLEARLY:
        text = f"{b:.0%} of it rests on its sources, {a:.0%} before"
        (won if b > a else lost).append(text)
    return won, lost


def _only(these: Sequence[str], others: Sequence[str]) -> list[str]:
    return [one for one in these if one not in others]


def _holds_up(passage: frozenset[str], statement: frozenset[str]) -> bool:
    numbers = {word for word in statement if any(c.isdigit() for c in word)}
    return numbers <= passage and len(statement & passage) >= HELD_UP * len(statement)


def _words_of(passage: Passage) -> frozenset[str]:
    return frozenset(terms(f"{passage.title} {passage.heading} {passage.text}"))


def _plain(text: str) -> str:
    """Without marks of citations and emphasis, in one case, with single blanks."""
    text = cite(text, ()).text
    text = unicodedata.normalize("NFKC", text).replace("*", "").replace("_", " ").replace("`", "")
    return " ".join(text.casefold().split())
