"""Text for the benchmarks when none is given: plausible company notes, the same every time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLACES = (
    "Leeds Lyon Oslo Porto Ghent Turin Basel Malmo Cork Graz Nantes Bergen Delft Bilbao".split()
)
TEAMS = "Sales Engineering Operations People Finance Support Logistics Quality Design".split()
THINGS = (
    "invoice laptop contract sensor gauge battery pump permit badge vehicle server licence "
    "tender audit roster shipment mast modem enclosure calibration warranty payroll survey "
    "release dashboard antenna datasheet firmware visitor apprentice"
).split()
RULES = (
    "is approved by",
    "is checked twice by",
    "is ordered through",
    "is archived after review by",
    "is returned within a week to",
    "is handed over in person to",
    "is insured on behalf of",
    "is inspected every spring by",
)


@dataclass(frozen=True, slots=True)
class Note:
    title: str
    text: str


def notes(count: int, corpus: Path | None = None, seed: int = 7) -> Iterator[Note]:
    """`count` notes, from a JSON-lines file with `title` and `text` (BEIR's corpus format) when one is given."""
    if corpus is not None:
        with corpus.open(encoding="utf-8") as lines:
            for _, line in zip(range(count), lines, strict=False):
                row = json.loads(line)
                yield Note(row.get("title", ""), row["text"])
        return
    chance = random.Random(seed)
    for number in range(count):
        place, thing = chance.choice(PLACES), chance.choice(THINGS)
        yield Note(
            f"{place} {thing} note {number}", " ".join(_rule(chance, place) for _ in range(4))
        )


def questions(count: int, file: Path | None = None, seed: int = 11) -> list[str]:
    """`count` different questions, from a text file with one a line when given (repeated with a number if too few)."""
    if file is not None:
        lines = [line.strip() for line in file.read_text().splitlines() if line.strip()]
        return [lines[i % len(lines)] + f" ({i})" * (i >= len(lines)) for i in range(count)]
    chance = random.Random(seed)
    return [
        f"Who approves the {chance.choice(THINGS)} in {chance.choice(PLACES)} "
        f"and within how many days after form {chance.randint(100, 99999)}?"
        for _ in range(count)
    ]


def _rule(chance: random.Random, place: str) -> str:
    return (
        f"In {place} the {chance.choice(THINGS)} {chance.choice(RULES)} the "
        f"{chance.choice(TEAMS)} team within {chance.randint(2, 60)} days, and form "
        f"{chance.randint(100, 99999)} records the {chance.choice(THINGS)}."
    )
