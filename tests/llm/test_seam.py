"""Where one model's text ends and another's goes on, nothing is said twice and no words run together."""

from __future__ import annotations

import pytest

from app.llm.seam import Seam

SAID = "Book the train first. A hotel in Lyon may cost"


def joined(text: str, pieces: list[str], *, exact: bool = False) -> str:
    seam = Seam(text, exact=exact)
    return text + "".join(seam.take(piece) for piece in pieces) + seam.rest()


@pytest.mark.parametrize(
    "pieces",
    [
        [" 180 euros [1]."],
        ["180 euros [1]."],
        ["may cost 180 euros [1]."],
        ["A hotel in Lyon may cost 180", " euros [1]."],
        ["A ho", "tel in ", "Lyon may", " cost", " 180 euros [1]."],
        [SAID, " 180 euros [1]."],
        ["\n", "A hotel in Lyon may cost 180 euros [1]."],
    ],
)
def test_a_repetition_is_cut_wherever_it_begins(pieces: list[str]) -> None:
    assert joined(SAID, pieces) == f"{SAID} 180 euros [1]."


def test_a_model_that_speaks_on_may_finish_a_word() -> None:
    assert joined("The hotel limi", ["t is 180."], exact=True) == "The hotel limit is 180."


def test_a_repeated_last_word_is_a_repetition_unless_it_grows() -> None:
    assert joined("The hotel limit", ["limit", " is 180."]) == "The hotel limit is 180."
    assert joined("The hotel limit", ["limit", "s are many."]) == "The hotel limit limits are many."


def test_a_short_likeness_is_chance() -> None:
    assert joined("This is the clas", ["s is full."], exact=True) == "This is the class is full."
    assert joined("It is a", ["a second a."]) == "It is a a second a."


@pytest.mark.parametrize(
    ("text", "piece", "whole"),
    [
        ("Trains first", ", then planes.", "Trains first, then planes."),
        ("Trains first, ", " then planes.", "Trains first, then planes."),
        ("Trains (", "fast ones)", "Trains (fast ones)"),
        ("- Trains\n", "- Planes", "- Trains\n- Planes"),
    ],
)
def test_spaces_at_the_seam_are_neither_missing_nor_doubled(
    text: str, piece: str, whole: str
) -> None:
    assert joined(text, [piece]) == whole


def test_what_is_new_is_shown_at_once() -> None:
    seam = Seam(SAID, exact=False)
    assert seam.take(" 180") == " 180"
    assert seam.take(" may cost") == " may cost"


def test_a_text_that_only_repeats_adds_nothing() -> None:
    assert joined(SAID, ["A hotel in ", "Lyon may cost"]) == SAID
