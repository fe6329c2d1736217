"""The bytes of an answer: hand-built chunks that any JSON reader takes, with the right numbers on the sources."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.wire import ChunkWriter, as_streamed, completion
from app.domain import (
    AccessBasis,
    DataClass,
    Finished,
    Passage,
    Receipt,
    Usage,
)
from app.knowledge.cite import cite

AT = datetime(2026, 3, 1, tzinfo=UTC)


def passage(number: int) -> Passage:
    return Passage(
        f"chunk_{number}",
        f"doc_{number}",
        "con_1",
        f"Title {number}",
        "Heading",
        "the secret text of the passage",
        "https://example.test",
        "Space",
        DataClass.INTERNAL,
        0.5,
        AccessBasis("everyone", AT),
        AT,
    )


def finished(text: str, passages: int) -> Finished:
    given_passages = tuple(passage(n) for n in range(1, passages + 1))
    answer = cite(text, given_passages)
    receipt = Receipt(
        id="turn_1",
        intent=None,
        route=None,
        model="hosted",
        attempts=(),
        prompt_name="grounded",
        prompt_version="v1",
        prompt_sha="",
        citations=answer.citations,
        passages=given_passages,
        withheld=3,
        data_class=DataClass.INTERNAL,
        usage=Usage(10, 4),
        cost_usd=0.0,
        stages=(),
    )
    return Finished(answer, receipt)


def events(raw: bytes) -> list[Any]:
    lines = raw.decode().split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    bodies = [line.removeprefix("data: ") for line in lines]
    return [body if body == "[DONE]" else json.loads(body) for body in bodies]


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.booleans())
def test_any_text_survives_the_wire(texts: list[str], include_usage: bool) -> None:
    chunks = ChunkWriter("turn_1", 'model "x"\n', include_usage)
    got = events(b"".join(chunks.text(text) for text in texts))
    assert [c["choices"][0]["delta"]["content"] for c in got] == texts
    assert [c["choices"][0]["delta"].get("role") for c in got] == [
        "assistant",
        *[None] * (len(texts) - 1),
    ]
    assert all(c["model"] == 'model "x"\n' for c in got)
    assert all(("usage" in c) == include_usage for c in got)


def test_the_end_carries_sources_receipt_and_usage_when_asked() -> None:
    end = finished("Book early [2]. Then pay [1].", 3)
    last, usage, done = events(ChunkWriter("turn_1", "hosted", True).end(end))
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert last["receipt_id"] == "turn_1"
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 14, "[DONE]")
    assert len(events(ChunkWriter("turn_1", "hosted", False).end(end))) == 2


def test_streamed_marks_and_whole_answers_each_have_their_own_numbers() -> None:
    end = finished("Book early [3]. Then pay [1], then rest [9].", 3)
    (last, _) = events(ChunkWriter("turn_1", "hosted", False).end(end))
    assert [(c["number"], c["document_id"]) for c in last["citations"]] == [
        (1, "doc_1"),
        (3, "doc_3"),
    ]
    whole = completion(end)
    assert whole["choices"][0]["message"]["content"] == "Book early [1]. Then pay [2], then rest."
    assert [(c["number"], c["document_id"]) for c in whole["citations"]] == [
        (1, "doc_3"),
        (2, "doc_1"),
    ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 6))
def test_every_streamed_number_names_the_passage_the_model_meant(
    marks: list[int], passages: int
) -> None:
    text = "Said " + " ".join(f"so [{n}]." for n in marks)
    cited = as_streamed(finished(text, passages))
    assert [n for n, _ in cited] == sorted({n for n in marks if 1 <= n <= passages})
    assert all(p.document_id == f"doc_{n}" for n, p in cited)


def test_neither_texts_nor_what_was_withheld_leave_with_an_answer() -> None:
    end = finished("So [1].", 2)
    for raw in (ChunkWriter("t", "m", True).end(end).decode(), json.dumps(completion(end))):
        assert "secret text" not in raw
        assert "withheld" not in raw
