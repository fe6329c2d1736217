"""Options of a list that read differently. Streamlit takes a choice by what its option reads, so of two that read the same it
may store the one that nobody pressed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key")


def told_apart(labels: Mapping[Key, str], mark: Callable[[Key], object] = str) -> dict[Key, str]:
    """The labels; those that several share with `mark` of their key behind, which should tell keys apart. What is the same
    even then gets a number."""
    times = Counter(labels.values())
    marked = {
        key: f"{label} ({mark(key)})" if times[label] > 1 else label
        for key, label in labels.items()
    }
    taken: set[str] = set()
    found: dict[Key, str] = {}
    for key, label in marked.items():
        found[key] = next(name for name in _numbered(label) if name not in taken)
        taken.add(found[key])
    return found


def short_label(label: str) -> str:
    """`Reader` for `Reader (local, quotes the documents)`; what an admin put in brackets, such as a region, stays."""
    return label.split(" (local, ")[0]


def shortened(labels: Mapping[Key, str], mark: Callable[[Key], object] = str) -> dict[Key, str]:
    """The short labels. Those that would read the same then keep what stands in brackets."""
    short = {key: short_label(label) for key, label in labels.items()}
    times = Counter(short.values())
    kept = {key: name if times[name] == 1 else labels[key] for key, name in short.items()}
    return told_apart(kept, mark)


def _numbered(label: str) -> Iterable[str]:
    yield label
    number = 2
    while True:
        yield f"{label} #{number}"
        number += 1
