"""The extractive reader: quotes word for word, cites, and says when there is nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain import AccessBasis, DataClass, Passage
from app.knowledge.embed import Embedder, load_embedder
from app.llm.extractive import CANDIDATES, NO_PASSAGES, NOTHING, QUOTES, ExtractiveReader
from app.llm.sentences import quotables
from tests.llm.conftest import answer, call

AT = datetime(2026, 1, 1, tzinfo=UTC)

TRAVEL = """## Booking

Home | Handbook > Travel | Edit this page

Book trains through the travel desk at least 7 days ahead. It answers within one working day. First class is
allowed when the journey takes longer than 3.5 hours, e.g. from Leeds to Lyon.

Last updated: 4 March 2026

### Hotels

| City | Limit per night | Breakfast |
| --- | --- | --- |
| Paris | €180 | included |
| Leeds | £135 | included |

### Receipts

Hand in your receipts:

- within **30 days** of the trip
- as a [photo](https://tally.example/upload), not on paper
- one claim a trip

![map](https://example.com/map.png)
"""
LEAVE = """Everyone has 27 days of holiday a year. Up to 5 days may be carried over into the next year, until 31 March.

Parental leave is 20 weeks on full pay."""
PRINTER = (
    "The printer in Lyon is called lyon-gutenberg. Press its green button twice when it sleeps."
)


def passage(title: str, text: str, heading: str = "") -> Passage:
    return Passage(
        title, title, "folder", title, heading, text, "", "Company", DataClass.INTERNAL, 1.0,
        AccessBasis("everyone", AT), AT,
    )  # fmt: skip


PASSAGES = (
    passage("Travel policy", TRAVEL),
    passage("Holidays", LEAVE),
    passage("Printer", PRINTER),
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder(workers=2)


@pytest.fixture(scope="module", params=["with meaning", "words only"])
def reader(request: pytest.FixtureRequest, embedder: Embedder) -> ExtractiveReader:
    embed = embedder.documents if request.param == "with meaning" else None
    return ExtractiveReader("reader", "Reader", embed)


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        (
            "What is the hotel limit in Paris?",
            "City: Paris; Limit per night: €180; Breakfast: included [1]",
        ),
        (
            "How many days ahead do I book trains?",
            "at least 7 days ahead. It answers within one working day. [1]",
        ),
        ("When is first class allowed?", "longer than 3.5 hours, e.g. from Leeds to Lyon. [1]"),
        (
            "How many days of holiday can be carried over?",
            "Up to 5 days may be carried over into the next year, until 31 March. [2]",
        ),
        ("How long is parental leave?", "Parental leave is 20 weeks on full pay. [2]"),
        (
            "What is the printer in Lyon called?",
            "The printer in Lyon is called lyon-gutenberg. [3]",
        ),
        (
            "When do I hand in receipts?",
            "Hand in your receipts: [1]\n  - within 30 days of the trip\n  - as a photo, not on paper\n  - one claim a trip",
        ),
    ],
)
def test_the_right_sentence_is_quoted_with_its_citation(
    reader: ExtractiveReader, question: str, quoted: str
) -> None:
    assert quoted in reader.read(question, PASSAGES)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Mongolia?",
        "How do I bake sourdough bread?",
        "Explain the theory of relativity",
        "Who won the world cup in 2018?",
        "the of and",
        "?",
        "",
    ],
)
def test_it_says_plainly_when_nothing_answers(reader: ExtractiveReader, question: str) -> None:
    assert reader.read(question, PASSAGES) == NOTHING


def test_without_passages_it_says_so(reader: ExtractiveReader) -> None:
    assert reader.read("How many days of holiday?", ()) == NO_PASSAGES


def test_quotes_stand_under_their_document_and_are_few(reader: ExtractiveReader) -> None:
    text = reader.read("How many days of holiday do I have a year?", PASSAGES)
    bullets = [line for line in text.splitlines() if line.startswith("- ")]
    assert 1 <= len(bullets) <= QUOTES
    assert all(re.search(r" \[\d\]$", line) for line in bullets)
    assert text.startswith("**")


def test_the_same_thing_is_quoted_once(reader: ExtractiveReader) -> None:
    copies = (passage("Holidays", LEAVE), passage("Holidays, copy", LEAVE))
    text = reader.read("How many days may be carried over into the next year?", copies)
    assert text.count("carried over") == 1


def test_page_furniture_and_addresses_are_never_quoted() -> None:
    texts = [unit.text for unit in quotables(1, "Travel policy", TRAVEL)]
    joined = "\n".join(texts)
    for debris in ("Edit this page", "Last updated", "http", "![", "**", "---", "|", "#"):
        assert debris not in joined
    assert "City: Leeds; Limit per night: £135; Breakfast: included" in texts


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Adeyemi signs it. Approx. 3.5 kg at No. 7 are fine.", 2),
        (
            "It costs £1,200.50 a year. That is cheap for what it does.",
            1,
        ),  # "That" leans on the first
        ("We meet at 10 a.m. in Leeds. The room is called Heron.", 2),
        (
            "Is it covered by the warranty? Yes, for three years from delivery! Keep the invoice for that.",
            3,
        ),
        ("「雨」 is the word for rain. Rain gauges measure it in millimetres.", 2),
    ],
)
def test_sentences_end_where_sentences_end(text: str, sentences: int) -> None:
    assert len(quotables(1, "", text)) == sentences


def test_a_very_long_sentence_or_list_is_not_quoted() -> None:
    endless = "words and " * 100 + "end."
    assert quotables(1, "", endless) == []


@with_settings(max_examples=200, deadline=None)
@given(st.text(max_size=600), st.text(alphabet="#-*|[]()!>`\n .:ab12", max_size=300))
def test_any_text_can_be_read(text: str, markdown: str) -> None:
    passages = (passage("A", text), passage("B", markdown))
    said = ExtractiveReader("reader", "Reader").read(f"{text[:40]} ab 12", passages)
    assert said


def test_numbers_are_quoted_as_written(reader: ExtractiveReader) -> None:
    """Every number of an answer stands in the passages."""
    for question in (
        "hotel limit Leeds",
        "first class hours",
        "days carried over",
        "parental leave",
    ):
        body = re.sub(r"\[\d\]", "", reader.read(question, PASSAGES))
        for number in re.findall(r"\d[\d.,]*\d|\d", body):
            assert number in TRAVEL + LEAVE + PRINTER


async def test_it_streams_small_pieces_that_make_the_answer(reader: ExtractiveReader) -> None:
    request = call("When do I hand in receipts?", passages=PASSAGES)
    text, done = await answer(reader, request)
    assert text == reader.read(request.question, PASSAGES)
    pieces = [c.text async for c in reader.stream(request) if hasattr(c, "text")]
    assert len(pieces) > 2
    assert done.usage.estimated


def test_of_six_long_passages_only_a_few_sentences_are_embedded(embedder: Embedder) -> None:
    """An embedding is what costs time, some 4 ms each: the question's and the best few quotes', whatever there is to read."""
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(texts)
        return embedder.documents(texts)

    reader = ExtractiveReader("reader", "Reader", embed)
    filler: Sequence[Passage] = [
        passage(f"Page {i}", "\n\n".join(f"Paragraph {j} on page {i} is about holiday number {j}, and trains, and hotels." for j in range(15)))
        for i in range(6)
    ]  # fmt: skip
    reader.read("How many days of holiday do I have, and how do I book trains and hotels?", filler)
    assert 1 < len(embedded) <= 1 + CANDIDATES
