"""Questions for the soak: each has a mark of its own, and some carry what not every model may be told."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain import DataClass

MADE_UP = (
    "What is the hotel limit in Lyon?",
    "What is the salary band of a senior engineer in Lyon?",
    "How do I book through the travel desk?",
    "Write a short note to a customer about the hotel limit.",
    "Who answers questions about the salary bands?",
)


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A value that raises a question to `data_class`. Models below get a placeholder, or, `alone`, nothing at all."""

    value: str
    data_class: DataClass
    alone: bool = False


# As handling.toml has it: written down once more, because a benchmark that asks the code it judges proves nothing.
SENSITIVE = (
    Sensitive("anna.li@example.com", DataClass.CONFIDENTIAL),
    Sensitive("DE89 3704 0044 0532 0130 00", DataClass.RESTRICTED),
    Sensitive("4111 1111 1111 1111", DataClass.RESTRICTED),
    Sensitive("password: Wren!42xQ", DataClass.RESTRICTED, alone=True),
)
SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Asked:
    mark: str
    text: str
    holds: tuple[Sensitive, ...]

    def told(self, sent: str, clearance: DataClass) -> Iterator[str]:
        """What a model of that clearance should not have been sent of this question."""
        for one in self.holds:
            if one.data_class <= clearance:
                continue
            if one.alone:
                yield "was asked although the question holds a secret"
            elif one.value in sent:
                yield f"was sent a value of class {one.data_class.label}"


def questions(count: int, texts: Sequence[str], seed: int) -> Iterator[Asked]:
    """`count` questions, over `texts` again and again."""
    chance = random.Random(seed)
    texts = texts or MADE_UP
    for number in range(count):
        holds = (
            tuple(chance.sample(SENSITIVE, chance.choice([1, 1, 2])))
            if chance.random() < SHARE
            else ()
        )
        mark = f"Note{number:05d}x"
        values = "".join(f" It is for {one.value}." for one in holds)
        yield Asked(mark, f"{mark}: {texts[number % len(texts)]}{values}", holds)
