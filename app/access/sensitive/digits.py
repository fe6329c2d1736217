"""Where in a text numbers stand that could be worth a closer look; prose without any costs one pass."""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile(r"\d+")
_GAP = 6  # between two runs of one number: the four letters of a British bank with a blank on either side
_FEWEST = 6  # digits: a National Insurance number
_AROUND = 34  # characters: the longest IBAN


def windows(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch that holds a group of six digits or more, with some of what surrounds it."""
    start = end = count = 0
    for run in _RUN.finditer(text):
        left, right = run.span()
        if count and left - end > _GAP:
            if count >= _FEWEST:
                yield max(0, start - _AROUND), min(len(text), end + _AROUND)
            count = 0
        if not count:
            start = left
        end, count = right, count + right - left
    if count >= _FEWEST:
        yield max(0, start - _AROUND), min(len(text), end + _AROUND)
