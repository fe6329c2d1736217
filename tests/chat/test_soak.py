"""The soak (tests/bench/soak.py), short: its judgement, and that a desk passes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain import DataClass
from tests.bench import soak, soak_desk
from tests.bench.soak_words import SENSITIVE, Asked, questions

MAIL, _, _, PASSWORD = SENSITIVE


def test_every_turn_ends_well_while_models_fail_and_no_model_is_told_too_much(
    tmp_path: Path,
) -> None:
    found = soak.run(tmp_path, 60, seed=11, faulty=0.4, texts=[])
    assert found.wrong == []
    assert found.ends.total() == 60
    assert set(found.ends) <= {"answered", "refused", "interrupted", "stopped"}
    assert found.ends["answered"]
    assert found.faults.total() > 5


def test_a_value_above_the_clearance_is_seen_by_the_judge() -> None:
    said = Asked("Note1x", f"Write to {MAIL.value}", (MAIL,))
    assert list(said.told(said.text, DataClass.INTERNAL))
    assert not list(said.told("Write to [EMAIL_1]", DataClass.INTERNAL))
    assert not list(said.told(said.text, DataClass.CONFIDENTIAL))
    secret = Asked("Note2x", PASSWORD.value, (PASSWORD,))
    assert list(secret.told("Write to [SECRET_1]", DataClass.CONFIDENTIAL))


def test_a_lowered_clearance_that_nobody_tells_the_desk_of_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk holds the vault cleared for everything; the judge thinks otherwise and must say so."""
    monkeypatch.setattr(soak_desk.SoakDesk, "clearance", lambda *_: DataClass.PUBLIC)
    found = soak.run(tmp_path, 24, seed=3, faulty=0.0, texts=[])
    assert any("was sent a value" in sentence for sentence in found.wrong)
    assert any("passage of class" in sentence for sentence in found.wrong)


def test_questions_are_the_same_for_a_seed_and_some_carry_something() -> None:
    first, again = list(questions(50, ["Where?"], 5)), list(questions(50, ["Where?"], 5))
    assert first == again
    assert len({said.mark for said in first}) == 50
    assert 5 < sum(bool(said.holds) for said in first) < 45
