"""What is measured of an answer, and when a draft's answer counts as better."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain import AccessBasis, DataClass, Passage
from app.knowledge.cite import cite
from app.llm.extractive import ExtractiveReader
from app.rehearsal import Golden, Side, sign_test
from app.rehearsal.measure import Cited, compared, groundedness, measured, says

AT = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = Side(
    answer="180 euros [1]", said=("180",), sources_found=("doc_1",), statements=4, supported=4
)


def passage(text: str, title: str = "Travel policy", document_id: str = "doc_1") -> Passage:
    return Passage(
        "c1", document_id, "con_1", title, "Hotels", text, "https://x.test/travel", "Company",
        DataClass.INTERNAL, 1.0, AccessBasis("everyone", AT), AT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "phrase", "expected"),
    [
        ("It is **180 euros** a night [1].", "180 euros", True),
        ("It is 1800 euros.", "180", False),
        ("It is 180\n  Euros.", "180 euros", True),
        ("It is €180 [1] a night.", "180 euros | €180", True),
        ("Up to 180 [1] euros.", "180 euros", True),
        ("Nothing.", " | ", False),
        ("ﬁnance approves", "finance", True),
        ("C++ (really)", "c++", True),
    ],
)
def test_phrases_are_looked_for_as_a_reader_would(answer: str, phrase: str, expected: bool) -> None:
    assert says(answer, phrase) is expected


def test_statements_rest_on_the_passages_they_cite() -> None:
    policy = passage("The hotel limit in Lyon is 180 euros a night. Book through the travel desk.")
    well = cite("The hotel limit in Lyon is 180 euros a night [1].", [policy])
    wrong_number = cite("The hotel limit in Lyon is 190 euros a night [1].", [policy])
    uncited = cite("The hotel limit in Lyon is 180 euros a night.", [policy])
    half = cite(
        "The hotel limit in Lyon is 180 euros a night [1]. Elephants never forget birthdays.",
        [policy],
    )
    found = [groundedness(answer) for answer in (well, wrong_number, uncited, half)]
    assert found == [(1, 1), (1, 0), (1, 0), (2, 1)]
    assert groundedness(cite("Hello!", [])) == (0, 0)


def test_what_is_quoted_counts_as_grounded() -> None:
    policy = passage(
        "The hotel limit in Lyon is 180 euros a night.\n\n- Dinner is 40 euros a day at most."
    )
    reader = ExtractiveReader("r", "r")
    text = reader.read("What is the hotel limit in Lyon?", [policy])
    statements, supported = groundedness(cite(text, [policy]))
    assert statements == supported > 0


def test_expected_sources_are_named_by_id_title_or_address() -> None:
    answer = cite("So it is [1].", [passage("So it is.")])
    golden = Golden("?", ("doc_1", "travel POLICY", "https://x.test/travel", "Another"), ("so",))
    side = measured(Side(), golden, answer)
    assert side.sources_found == golden.sources[:3]
    assert side.sources_missing == ("Another",)
    assert side.cited == (Cited("doc_1", "Travel policy"),)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "same"),
        ({"total_ms": 9_000.0, "cost_usd": 1.0, "answer": "x" * 5_000}, "same"),
        ({"said": ()}, "worse"),
        ({"said": ("180", "Lyon")}, "better"),
        ({"said_in_spite": ("500",)}, "worse"),
        ({"sources_found": ()}, "worse"),
        ({"sources_found": ("doc_1", "doc_2")}, "better"),
        ({"supported": 3}, "worse"),
        ({"statements": 10, "supported": 9}, "same"),
        ({"said": (), "sources_found": ("doc_1", "doc_2")}, "mixed"),
        ({"note": "Other: it is down."}, "worse"),
        ({"error": "It failed."}, "worse"),
    ],
)
def test_a_verdict_is_the_sum_of_its_reasons(changes: dict[str, object], verdict: str) -> None:
    found = compared(GOOD, replace(GOOD, **changes))  # type: ignore[arg-type]
    assert found.verdict == verdict
    assert bool(found.reasons) is (verdict != "same")
    mirrored = {"worse": "better", "better": "worse"}.get(verdict, verdict)
    assert compared(replace(GOOD, **changes), GOOD).verdict == mirrored  # type: ignore[arg-type]


def test_two_failures_say_nothing() -> None:
    failed = Side(error="It failed.")
    assert compared(failed, failed).verdict == "unknown"


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (5, 5, 1.0), (5, 0, 0.0625), (9, 1, 22 / 1024)]
)
def test_the_sign_test_is_exact(better: int, worse: int, p: float) -> None:
    """By hand: 2 * sum of binomials / 2^n."""
    assert sign_test(better, worse) == pytest.approx(p)
    assert sign_test(worse, better) == pytest.approx(p)
