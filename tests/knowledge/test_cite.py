"""Marks become citations in order of appearance; what names nothing, or is code, is no citation."""

from __future__ import annotations

import pytest

from app.domain import AccessBasis, DataClass, Passage, now
from app.knowledge.cite import cite


def passage(name: str) -> Passage:
    basis = AccessBasis("everyone", now())
    return Passage(
        name, f"doc_{name}", "con", name, "", "text", "", "", DataClass.PUBLIC, 1.0, basis, now()
    )


PASSAGES = [passage("a"), passage("b"), passage("c")]


@pytest.mark.parametrize(
    ("text", "expected", "cited"),
    [
        ("Leave is 28 days [2].", "Leave is 28 days [1].", "b"),
        ("First [3], then [1], again [3].", "First [1], then [2], again [1].", "ca"),
        ("Both [1][2].", "Both [1][2].", "ab"),
        ("Both [1, 2].", "Both [1][2].", "ab"),
        ("Both [2; 1] and [1 and 3].", "Both [1][2] and [2][3].", "bac"),
        ("Range [1-3].", "Range [1][2][3].", "abc"),
        ("Same twice [1, 1].", "Same twice [1].", "a"),
        ("Unknown [7], half known [2, 9].", "Unknown, half known [1].", "b"),
        ("Zero [0] and huge [999].", "Zero and huge.", ""),
        ("Named [source 2] and 【3】 and [^1].", "Named [1] and [2] and [3].", "bca"),
        ("A [1](https://example.test) link.", "A [1](https://example.test) link.", ""),
        ("A year [2026] stays.", "A year [2026] stays.", ""),
        ("Words [note] stay, [x] too.", "Words [note] stay, [x] too.", ""),
        ("`row[1]` and [1].", "`row[1]` and [1].", "a"),
        ("```\nx[2]\n``` so [2]", "```\nx[2]\n``` so [1]", "b"),
        ("```\nunclosed [1]", "```\nunclosed [1]", ""),
        ("", "", ""),
        ("Open [1", "Open [1", ""),
    ],
)
def test_marks(text: str, expected: str, cited: str) -> None:
    answer = cite(text, PASSAGES)
    assert answer.text == expected
    assert "".join(citation.passage.chunk_id for citation in answer.citations) == cited
    assert [c.number for c in answer.citations] == list(range(1, len(answer.citations) + 1))
    assert answer.grounded is bool(cited)


def test_without_passages_nothing_is_cited() -> None:
    assert cite("It is so [1].", []).citations == ()


def test_long_answers_with_many_brackets_stay_quick() -> None:
    assert cite("[" * 20000 + "1, " * 20000, PASSAGES).citations == ()
