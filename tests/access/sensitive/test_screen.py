"""The policy over what is found, placeholders out and back, and both forms of a conversation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.sensitive import Finding, Handling, Kind, Placeholders, Restorer, Screen
from app.access.sensitive.detect import OwnDetector
from app.access.sensitive.handling import HANDLING
from app.domain import DataClass, Exchange
from app.errors import ConfigurationError

MAIL, CARD = "anna@example.com", "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen()


def test_the_reviewed_policy_has_a_rule_and_a_reason_for_every_kind() -> None:
    handling = Handling.load()
    assert set(handling.kinds) == set(Kind)
    assert all(
        handling.kinds[kind].data_class is DataClass.RESTRICTED for kind in Kind if kind.secret
    )
    assert handling.hidden.isdisjoint(kind for kind in Kind if kind.secret)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('below = "raise"', 'below = "shrug"', "wrong at kinds"),
        ("[kinds.iban]", "[kinds.ibam]", "wrong at kinds"),
        ('question = "internal"', 'question = "secret"', "wrong at question"),
        ('above_clearance = "drop"', "", "wrong at above_clearance"),
        ("[kinds.email]", "[kinds", "cannot be read"),
    ],
)
def test_a_policy_that_cannot_be_used_says_where(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = tmp_path / "handling.toml"
    path.write_text(HANDLING.read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=told):
        Handling.load(path)


def test_a_kind_without_a_rule_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "handling.toml"
    path.write_text(HANDLING.read_text().partition("[kinds.name]")[0])
    with pytest.raises(ConfigurationError, match="no rule for name"):
        Handling.load(path)


def test_presidio_is_asked_for_by_name_and_says_how_to_install_it() -> None:
    handling = Handling.load().model_copy(update={"detectors": ("own", "presidio")})
    with pytest.raises(ConfigurationError, match="presidio") as raised:
        Screen(handling)
    assert "pip install" in raised.value.fix


def test_a_question_without_any_has_one_form_and_the_ordinary_class(screen: Screen) -> None:
    looked = screen.look("What is the hotel limit in Lyon?", (Exchange("Hi", "Hello"),))
    assert len(looked.wordings) == 1
    assert (looked.typed.data_class, dict(looked.found)) == (DataClass.INTERNAL, {})


def test_personal_data_has_a_milder_form_with_placeholders(screen: Screen) -> None:
    looked = screen.look(f"Write to {MAIL} that {CARD} was declined, cc {MAIL}")
    assert looked.typed.data_class is DataClass.RESTRICTED
    assert looked.mildest.data_class is DataClass.INTERNAL
    assert looked.mildest.question == "Write to [EMAIL_1] that [CARD_1] was declined, cc [EMAIL_1]"
    assert dict(looked.found) == {Kind.EMAIL: 2, Kind.CARD: 1}


def test_a_secret_raises_the_class_in_every_form(screen: Screen) -> None:
    looked = screen.look(f"The password is Wren!42x, tell {MAIL}")
    assert {wording.data_class for wording in looked.wordings} == {DataClass.RESTRICTED}
    assert looked.raising == {Kind.PASSWORD}


def test_earlier_exchanges_are_looked_at_too_and_share_the_placeholders(screen: Screen) -> None:
    past = (
        Exchange(f"Who is {MAIL}?", f"{MAIL} is Anna."),
        Exchange("My password is Wren!42x", "Change it."),
        Exchange("Bands?", "61,000", DataClass.CONFIDENTIAL),
    )
    looked = screen.look(f"And where does {MAIL} sit?", past)
    typed = [e.data_class for e in looked.typed.history]
    mild = [e.data_class for e in looked.mildest.history]
    assert typed == [DataClass.CONFIDENTIAL, DataClass.RESTRICTED, DataClass.CONFIDENTIAL]
    assert mild == [DataClass.INTERNAL, DataClass.RESTRICTED, DataClass.CONFIDENTIAL]
    assert looked.mildest.history[0].question == "Who is [EMAIL_1]?"
    assert looked.mildest.question == "And where does [EMAIL_1] sit?"


def test_no_placeholder_equals_one_that_stands_in_a_text_already(screen: Screen) -> None:
    looked = screen.look(f"Fill [EMAIL_1] in for {MAIL}", avoid=["Template: dear [email_2]"])
    assert looked.mildest.question == "Fill [EMAIL_1] in for [EMAIL_3]"
    assert (
        looked.placeholders.restore("[EMAIL_1] [EMAIL_2] [EMAIL_3]")
        == f"[EMAIL_1] [EMAIL_2] {MAIL}"
    )


def test_nothing_that_is_printed_shows_a_value(screen: Screen) -> None:
    looked = screen.look(f"Write to {MAIL}")
    assert MAIL not in repr(looked.placeholders)
    assert "EMAIL_1" in repr(looked.placeholders)


@pytest.mark.parametrize("written", ["[EMAIL_1]", "[email_1]", r"\[EMAIL_1\]", "**[Email_1]**"])
def test_a_placeholder_is_known_however_a_model_writes_it(written: str) -> None:
    placeholders = hidden(f"to {MAIL}")
    assert placeholders.restore(f"to {written}.").replace("**", "") == f"to {MAIL}."


def hidden(text: str) -> Placeholders:
    placeholders = Placeholders()
    placeholders.hide(text, OwnDetector().find(text))
    return placeholders


PIECES = st.sampled_from(
    [
        "[EMAIL_1]",
        "[EMAIL_2]",
        "[CARD_1]",
        "[1]",
        "[",
        "]",
        "\\",
        "_1",
        "word ",
        "[EMAIL",
        "[date]",
        "é",
    ]
)


@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_a_stream_cut_anywhere_restores_to_the_same_text(parts: list[str], cuts: list[int]) -> None:
    placeholders = hidden(f"{MAIL} {CARD}")
    text = "".join(parts)
    restorer, shown, at, turn = Restorer(placeholders), [], 0, 0
    while at < len(text):
        step = cuts[turn % len(cuts)]
        shown.append(restorer.take(text[at : at + step]))
        at, turn = at + step, turn + 1
    shown.append(restorer.rest())
    assert "".join(shown) == placeholders.restore(text)


def test_a_stream_holds_back_only_what_may_be_a_placeholder() -> None:
    restorer = Restorer(hidden(MAIL))
    assert restorer.take("Write to [EMA") == "Write to "
    assert restorer.take("IL_1] now [") == f"{MAIL} now "
    assert restorer.take("1].") == "[1]."
    assert Restorer(Placeholders()).take("a [EMA") == "a [EMA"


def test_a_backslash_goes_with_the_models_brackets_and_stays_where_it_is_the_persons() -> None:
    placeholders = hidden(MAIL)
    for said in ("[EMAIL_1]", "[email_1]", r"\[EMAIL_1\]", r"[EMAIL_1\]"):
        assert placeholders.restore(said) == MAIL
    assert placeholders.restore(r"C:\mail\[EMAIL_1]") == rf"C:\mail\{MAIL}"


@given(st.text(max_size=80), st.data())
def test_hiding_and_restoring_gives_the_text_back(text: str, data: st.DataObject) -> None:
    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    findings = [Finding(Kind.PHONE, "phone", a, b) for a, b in pairs]
    placeholders = Placeholders((text,))
    assert placeholders.restore(placeholders.hide(text, findings)) == text
