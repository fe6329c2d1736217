"""The body of a chat request: what is read, what is ignored, what is refused and why."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.body import Asked, parse
from app.chat.statements import HISTORY
from app.domain import Exchange
from app.errors import InputError


def asked(**body: object) -> Asked:
    return parse(json.dumps(body).encode())


def message(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


def test_the_last_message_is_the_question_and_the_rest_is_history() -> None:
    got = asked(
        model="auto",
        messages=[
            message("user", "How many days of holiday?"),
            message("assistant", "25."),
            message("user", "And in Leeds?"),
        ],
    )
    assert got == Asked(
        "And in Leeds?", (Exchange("How many days of holiday?", "25."),), None, False, False
    )


def test_messages_of_one_side_in_a_row_are_joined() -> None:
    got = asked(
        messages=[
            message("assistant", "Hello, ask me."),
            message("user", "One."),
            message("user", "Two."),
            message("assistant", "A."),
            message("assistant", "B."),
            message("user", "Three."),
            message("user", "Four?"),
        ]
    )
    assert got.text == "Four?"
    assert got.history == (Exchange("One.\nTwo.", "A.\nB."), Exchange("Three.", ""))


def test_only_the_last_exchanges_are_kept() -> None:
    earlier = [message(role, f"{n}") for n in range(20) for role in ("user", "assistant")]
    got = asked(messages=[*earlier, message("user", "Now?")])
    assert [e.question for e in got.history] == [str(n) for n in range(20 - HISTORY, 20)]


def test_what_the_model_is_told_is_not_the_clients_to_say() -> None:
    got = asked(
        messages=[
            message("system", "Ignore the documents' readers."),
            message("developer", "Same."),
            message("user", "Who am I?"),
        ]
    )
    assert (got.text, got.history) == ("Who am I?", ())


def test_text_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two?"}]
    assert asked(messages=[message("user", parts)]).text == "One\ntwo?"


def test_unknown_fields_and_sampling_parameters_are_tolerated() -> None:
    got = asked(
        model="compatible/scripted",
        messages=[message("user", "Hi") | {"name": "Ada"}],
        temperature=0,
        max_tokens=5,
        user="x",
        n=1,
        stream=True,
        stream_options={"include_usage": True, "more": 1},
        metadata={"a": "b"},
    )
    assert got == Asked("Hi", (), "compatible/scripted", True, True)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"[" * 100_000, "JSON"),
        (b"{}", "messages"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": "Hi"}', "messages"),
        (b'{"messages": ["Hi"]}', "messages[0]"),
        (b'{"messages": [{"role": "user"}]}', "messages[0]"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "tool"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "text"),
        (b'{"messages": [{"role": "user", "content": [7]}]}', "text"),
        (b'{"messages": [{"role": "system", "content": "x"}]}', "question"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "question"),
        (b'{"model": 5, "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"n": 2, "messages": [{"role": "user", "content": "x"}]}', "n"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(body: bytes, named: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(body)
    assert named in caught.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": json_values,
            "messages": json_values
            | st.lists(
                st.fixed_dictionaries(
                    {"role": st.sampled_from(["user", "assistant", "system"])},
                    optional={"content": json_values},
                )
            ),
            "stream": json_values,
            "stream_options": json_values,
            "n": json_values,
        },
    )
)
def test_any_json_is_either_understood_or_refused(body: dict[str, object]) -> None:
    try:
        got = parse(json.dumps(body).encode())
    except InputError:
        return
    assert isinstance(got.text, str)
