"""Answers by quoting the best sentences of the passages, with their citations. It cannot invent and it costs nothing.

Candidates are found by the question's words (BM25 over the passages' own sentences, with the heading counting for less);
only the best few are compared by meaning, because an embedding costs some 4 ms of processor time. What stays below the
floor is not quoted: then it says that nothing was found.
"""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain import ModelCall, ModelChunk, ModelDone, Passage, TextDelta, Usage
from app.llm.model import Continues, estimate_tokens
from app.llm.sentences import Quotable, quotables

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

NOTHING = "I found nothing you can see that answers this."
NO_PASSAGES = "I found no document you can see that answers this."

CANDIDATES = 8  # sentences that are compared by meaning
QUOTES = 4
ENOUGH = 3  # with fewer quotes the answer reads on
WORDS_SHARE = 0.4  # of the score; the rest is meaning
FLOOR = 0.40  # below it a sentence does not answer; see tests/llm/test_extractive.py
FLOOR_BY_WORDS = 0.5  # without an embedder
RANK_BONUS = 0.15  # for a sentence of the first passage, half of it for the second's, and so on
NEAR_BEST = 0.76  # a further quote must reach this share of the best one's score
SAME = 0.6  # share of common words from which a second quote says the same again
_K1, _B = 1.2, 0.6
_CONTEXT_SHARE = 0.5
_CONTEXT_CHARS = 80  # of a unit's context that are embedded: a millisecond for some 12 tokens
_TEXT_CHARS = 240
_NEW_TERMS = 3
_TELLS_LITTLE = 0.7

_TOKEN = re.compile(r"\w+")
_STOP = frozenset(
    "a an and any are as at be by can could do does did for from get give had has have how i if in into is it its may me"
    " might must my need of on one or our out shall should so than that the their them then there these they this to up us"
    " want was we were what when where which while who whom why will with would you your about tell please much many".split()
)
_SUFFIXES = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ied", "ed", "es", "s", "ly")


@dataclass(frozen=True, slots=True)
class Quote:
    unit: Quotable
    score: float


class ExtractiveReader:
    """`embed` gives one normalised vector a text; without it only words count and the floor is higher."""

    continues: Continues = ""  # it quotes; it cannot finish a sentence that is not its own

    def __init__(
        self, id: str, label: str, embed: Embed | None = None, *, provider: str = "local"
    ) -> None:
        self.id, self.label, self.provider = id, label, provider
        self._embed = embed

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        text = await asyncio.to_thread(self.read, call.question, call.passages)
        for piece in _pieces(text):
            yield TextDelta(piece)
            await asyncio.sleep(0)  # others get their turn, and a stop is noticed
        read = estimate_tokens(call.question, *(passage.text for passage in call.passages))
        yield ModelDone(Usage(read, estimate_tokens(text), estimated=True))

    async def check(self) -> None:
        """Needs nothing that could be down."""

    async def close(self) -> None:
        return None

    def read(self, question: str, passages: Sequence[Passage]) -> str:
        """The answer as markdown; passage n is cited as [n]."""
        if not passages:
            return NO_PASSAGES
        quotes = self.quotes(question, passages)
        return _compose(quotes, passages) if quotes else NOTHING

    def quotes(self, question: str, passages: Sequence[Passage]) -> list[Quote]:
        """What would be quoted, best first; empty when nothing reaches the floor."""
        units = [
            unit
            for number, passage in enumerate(passages, start=1)
            for unit in quotables(number, f"{passage.title} {passage.heading}", passage.text)
        ]
        candidates = sorted(_by_words(question, units), key=_with_rank)[:CANDIDATES]
        if self._embed is None:
            return _read_on(_select(candidates, FLOOR_BY_WORDS), units)
        return _read_on(_select(_by_meaning(question, candidates, self._embed), FLOOR), units)


def _by_words(question: str, units: list[Quotable]) -> list[Quote]:
    """Every unit; scores are BM25 as a share of the most that the question allows, 0 without a common word."""
    asked = set(terms(question))
    if not asked or not units:
        return []
    bodies = [Counter(terms(unit.text)) for unit in units]
    contexts = [set(terms(unit.context)) for unit in units]
    mean = sum(body.total() for body in bodies) / len(bodies)
    weights = {
        term: math.log(1 + (len(bodies) - n + 0.5) / (n + 0.5))
        for term in asked
        for n in [sum(term in body for body in bodies)]
    }
    most = sum(weights.values()) or 1.0
    found = []
    for unit, body, context in zip(units, bodies, contexts, strict=True):
        norm = _K1 * (1 - _B + _B * body.total() / mean)
        score = 0.0
        for term, weight in weights.items():
            if count := body[term]:
                score += weight * count * (_K1 + 1) / (count + norm)
            elif term in context:
                score += weight * _CONTEXT_SHARE
        share = min(1.0, score / most)
        found.append(Quote(unit, share if _tells(unit, body, asked) else share * _TELLS_LITTLE))
    return found


def _tells(unit: Quotable, body: Counter[str], asked: set[str]) -> bool:
    """Whether a unit says more than the question did."""
    return any(c.isdigit() for c in unit.text) or len(body.keys() - asked) >= _NEW_TERMS


def _by_meaning(question: str, quotes: list[Quote], embed: Embed) -> list[Quote]:
    if not quotes:
        return []
    vectors = embed([question, *(_in_context(quote.unit) for quote in quotes)])
    similarities = vectors[1:] @ vectors[0]
    return [
        Quote(quote.unit, WORDS_SHARE * quote.score + (1 - WORDS_SHARE) * float(similarity))
        for quote, similarity in zip(quotes, similarities, strict=True)
    ]


def _in_context(unit: Quotable) -> str:
    """The start of a unit under its headings: "Learning budget. Each of us has £900" is about a budget for learning."""
    return f"{unit.context[:_CONTEXT_CHARS]}. {unit.text[:_TEXT_CHARS]}"


def _select(quotes: list[Quote], floor: float) -> list[Quote]:
    """The best few that are good, close to the best, and not the same thing twice."""
    ranked = sorted((quote for quote in quotes if quote.score >= floor), key=_with_rank)
    chosen: list[Quote] = []
    for quote in ranked:
        good = _with_rank(quote) <= NEAR_BEST * _with_rank(ranked[0])
        if good and not any(_same(quote, other) for other in chosen):
            chosen.append(quote)
    return chosen[:QUOTES]


def _read_on(chosen: list[Quote], units: Sequence[Quotable]) -> list[Quote]:
    """A short answer goes on with what follows its quotes in the text: a rule's next sentence is often the one needed."""
    places = {(unit.passage, unit.place): unit for unit in units}
    taken = {(quote.unit.passage, quote.unit.place) for quote in chosen}
    longer = list(chosen)
    for quote in chosen:
        following = (quote.unit.passage, quote.unit.place + 1)
        unit = places.get(following)
        if len(longer) >= ENOUGH:
            break
        if unit is not None and following not in taken and unit.context == quote.unit.context:
            longer.append(Quote(unit, quote.score))
            taken.add(following)
    return longer


def _with_rank(quote: Quote) -> float:
    """A sort key, best first: the score, and a little for standing in a passage that the search placed high. The floor is
    on the score alone, because the first of six wrong passages is still wrong."""
    return -(quote.score + RANK_BONUS / quote.unit.passage)


def _same(one: Quote, other: Quote) -> bool:
    a, b = set(terms(one.unit.text)), set(terms(other.unit.text))
    return len(a & b) >= SAME * max(1, min(len(a), len(b)))


def _compose(quotes: list[Quote], passages: Sequence[Passage]) -> str:
    """A lead-in, then the quotes by document: the best document first, its sentences in their own order."""
    by_title: dict[str, list[Quotable]] = {}
    for quote in quotes:
        by_title.setdefault(passages[quote.unit.passage - 1].title, []).append(quote.unit)
    parts = []
    for title, units in by_title.items():
        units.sort(key=lambda unit: (unit.passage, unit.place))
        lines = "\n".join(_bullet(unit) for unit in units)
        parts.append(f"**{title}**\n\n{lines}")
    return "\n\n".join(parts)


def _bullet(unit: Quotable) -> str:
    """The citation stands after the sentence, before the list that it opens."""
    first, line_end, items = unit.text.partition("\n")
    return f"- {first} [{unit.passage}]{line_end}{items}"


def terms(text: str) -> list[str]:
    """Words without stop words, accents and common endings."""
    plain = unicodedata.normalize("NFKD", text.lower())
    words = _TOKEN.findall("".join(c for c in plain if not unicodedata.combining(c)))
    return [_stem(word) for word in words if word not in _STOP]


def _stem(word: str) -> str:
    """A rough stem that keeps at least four letters; enough to match "books", "booked" and "booking"."""
    if word.isdigit():
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word.removesuffix(suffix)
    return word.removesuffix("e") if len(word) > 4 else word


def _pieces(text: str) -> list[str]:
    """A few words at a time."""
    return re.findall(r"(?:\s*\S+){1,6}\s*", text)
