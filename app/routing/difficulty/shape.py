"""What can be seen of a question's difficulty without understanding it: length, digits, options, formulas, rare words.

Every figure is cheap; which of them matter, and together with which others, is learned. Some look for English words: in another
language they are always 0 and do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from app.routing.difficulty.regression import Doubles
from app.routing.intents.features import Floats

LONGEST = 8_000  # characters read
_OPTION = re.compile(r"^[ \t]*(?:\(?[A-Ja-j1-9][.)]|[-*•])[ \t]+(\S.*)$", re.MULTILINE)
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
_NUMERIC = re.compile(
    r"[\s$€£]*-?[\d.,/^()x*π√%+ -]*\d[\d.,/^()x*π√%+ -]*\s*[a-zA-Z%/^0-9°]{0,6}\.?"
)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_LETTER = re.compile(r"\b[b-hj-zA-Z]\b")
_SEEN_IN_TEXT = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"[=^\\<>∑∫√≤≥]|\w\s*[+*/]\s*\w",
        r"\^",
        r"\\",
        r"\b[a-z]\([a-z]\)",
        r"[$€£]",
        "%",
        '["“”]',
        r"```|[{};]\s*$|\bdef |\bSELECT\b",
        r"\btrue, true\b|\bstatement 1\b",
        r"\b(?:I|II|III)\b",
        "__",
    )
)
_SEEN_IN_STEM = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:not|except|least|never|false|incorrect)\b",
        r"\b(?:how many|how much|calculate|compute|solve|prove|value of|probability of)\b",
        r"\b(?:probabilit\w+|average|mean|ratio|percent)\b",
        r"\bfollowing\b",
        r"\b(?:most likely|best|primarily|main)\b",
        r"\b(?:my|I|me)\b",
        r"[?]\s*$",
        r":\s*$",
        r"[.]\s*$",
    )
)
_ALL = re.compile(r"\b(?:all|none|both|neither)\b", re.IGNORECASE)
_OPENINGS = ("what", "which", "who", "when", "where", "why", "how", "if", "in", "the", "a", "an",
             "find", "according", "for", "this")  # fmt: skip

Rarity = Callable[[Sequence[str]], Floats]


def shape(text: str, rarity: Rarity) -> list[float]:
    """The figures of one text, always as many in the same order; lengths as logarithms, the rest as shares, small counts or 0
    and 1. `rarity` tells how rare each of some words is."""
    text = text[:LONGEST]
    options = [match[1].strip() for match in _OPTION.finditer(text)]
    first = _OPTION.search(text)
    stem = text[: first.start()] if first and first.start() else text
    said = _WORD.findall(stem.lower())
    opening = said[0] if said else ""
    return [
        *_lengths(text, stem),
        *(float(bool(pattern.search(text))) for pattern in _SEEN_IN_TEXT),
        *(float(bool(pattern.search(stem))) for pattern in _SEEN_IN_STEM),
        *_options(options, set(said)),
        *_numbers(stem, options),
        *_rarities(said, [w for option in options for w in _WORD.findall(option.lower())], rarity),
        *(float(opening == word) for word in _OPENINGS),
    ]


def shapes(texts: Sequence[str], rarity: Rarity) -> Doubles:
    """(n, figures), not yet scaled; n at least 1."""
    return np.asarray([shape(text, rarity) for text in texts], np.float64)


def _lengths(text: str, stem: str) -> list[float]:
    words = stem.split()
    size, count = max(len(text), 1), max(len(words), 1)
    return [
        float(np.log1p(size)),
        float(np.log1p(len(stem))),
        float(np.log1p(len(words))),
        sum(map(len, words)) / count,
        len({word.lower() for word in words}) / count,
        sum(c.isdigit() for c in text) / size,
        sum(not (c.isalnum() or c.isspace()) for c in text) / size,
        sum(word[0].isupper() for word in words) / count,
        len(_LETTER.findall(stem)) / count,
        float(np.log1p(stem.count(". ") + stem.count("? "))),
        float(np.log1p(stem.count("\n"))),
    ]


def _options(options: Sequence[str], stem: set[str]) -> list[float]:
    """How many there are, how long, how alike, and how much of them the stem says already."""
    sizes = np.asarray([len(option) for option in options] or [0], np.float64)
    said = [_WORD.findall(option.lower()) for option in options]
    sets = [set(words) for words in said]
    alike = [len(a & b) / max(1, len(a | b)) for i, a in enumerate(sets) for b in sets[:i]] or [0]
    echoed = [len(words & stem) / max(1, len(words)) for words in sets] or [0]
    counts = [len(words) for words in said] or [0]
    many = max(len(options), 1)
    return [
        float(np.log1p(len(options))),
        float(np.log1p(sizes.mean())),
        float(np.log1p(sizes.std())),
        float(np.log1p(sizes.max())),
        float(np.log1p(abs(sizes[0] - sizes.mean()))),
        float(np.log1p(np.mean(counts))),
        float(np.log1p(min(counts))),
        float(np.mean(alike)),
        float(max(alike)),
        float(np.mean(echoed)),
        float(max(echoed)),
        float(len(said) > 1 and len({words[0] for words in said if words}) == 1),
        sum(count == 1 for count in counts) / many,
        sum(option[0].isupper() for option in options) / many,
        sum(option.endswith(".") for option in options) / many,
        float(any(_ALL.match(option) for option in options)),
    ]


def _numbers(stem: str, options: Sequence[str]) -> list[float]:
    """A calculation has numbers in the stem and in the options, often in their order."""
    in_stem = _NUMBER.findall(stem)
    first = [found[0] for option in options if (found := _NUMBER.search(option))]
    values = [float(number.replace(",", "")) for number in first]
    many = max(len(options), 1)
    return [
        float(np.log1p(len(in_stem))),
        float(np.log1p(len(set(in_stem)))),
        float(bool(_YEAR.search(stem))),
        sum(bool(_NUMERIC.fullmatch(option)) for option in options) / many,
        len(values) / many,
        sum(bool(_YEAR.search(option)) for option in options) / many,
        sum(any(map(str.isdigit, option)) for option in options) / many,
        sum(bool(re.search(r"\d\.\d", option)) for option in options) / many,
        float(len(values) > 1 and values in (sorted(values), sorted(values, reverse=True))),
        float(np.log1p(max(map(abs, values)))) if values else -1.0,
    ]


def _rarities(stem: Sequence[str], options: Sequence[str], rarity: Rarity) -> list[float]:
    inside = rarity(stem) if stem else np.zeros(1, np.float32)
    among = rarity(options) if options else np.zeros(1, np.float32)
    figures = (inside.mean(), inside.max(), inside.std(), among.mean(), among.max())
    return [float(figure) for figure in figures]
