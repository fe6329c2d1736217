"""The benchmark of quality against cost: its arithmetic, and that no row is judged by its own outcome."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bench import model_routing
from tests.bench.model_routing import folds_of
from tests.bench.model_routing_curve import Data, apgr, difference, interval, paid, recovered

LAST = {
    "apgr", "cost_at_95", "random_apgr", "oracle_apgr", "quality", "cost",
    "best_single_quality", "best_single_cost",
}  # fmt: skip


def data(cheap: list[float], strong: list[float]) -> Data:
    rows = len(cheap)
    return Data(
        [f"row {i}" for i in range(rows)],
        ("cheap", "strong"),
        np.asarray([cheap, strong], np.float64).T,
        np.tile([1.0, 10.0], (rows, 1)),
        np.zeros((rows, 2), np.float32),
    )


def test_apgr_by_hand() -> None:
    """Four rows, one of them gains: asked first it recovers all of the gap from the first of four shares on."""
    found = data([1, 1, 1, 0], [1, 1, 1, 1])
    first, last = np.asarray([0.0, 0, 0, 1]), np.asarray([1.0, 1, 1, 0])
    assert apgr(found, first) == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert apgr(found, last) == pytest.approx(0.5 / 4)
    assert apgr(found, difference(found, found.scores)) == pytest.approx(0.875)
    got = recovered(found, first)
    assert got is not None
    assert got.tolist() == [0, 1, 1, 1, 1]
    drawn = np.random.default_rng(0)
    assert np.mean([apgr(found, drawn.random(4)) or 0 for _ in range(500)]) == pytest.approx(
        0.5, abs=0.05
    )


def test_the_stronger_model_is_the_better_one_not_the_dearer() -> None:
    found = data([1, 1, 1, 0], [0, 0, 1, 1])
    assert (found.strong, found.cheap) == (0, 1)
    assert paid(found, np.zeros(4, np.int64)).cost == 1.0
    assert apgr(data([1, 0], [0, 1]), np.zeros(2)) is None  # there is no gap to recover


def test_the_interval_holds_what_more_rows_would_give() -> None:
    """Of 100 samples of 300 rows, about 95 intervals hold the APGR of the 200,000 rows that they are drawn from."""
    drawn = np.random.default_rng(0)

    def sample(rows: int) -> tuple[Data, np.ndarray]:
        easy = drawn.random(rows)
        found = data(
            (drawn.random(rows) < easy).astype(float).tolist(), (drawn.random(rows) < 0.9).tolist()
        )
        return found, -easy

    truth = apgr(*sample(200_000))
    assert truth is not None
    held = 0
    for _ in range(100):
        between = interval(*sample(300), draws=200)
        assert between is not None
        held += between[0] <= truth <= between[1]
    assert 88 <= held <= 100
    assert interval(data([1, 0], [0, 1]), np.zeros(2)) is None
    assert interval(data([0] * 50, [1] * 50), np.zeros(50)) == pytest.approx((0.5, 0.5))


def test_equal_prompts_share_a_fold() -> None:
    prompts = [f"q{i % 30}" for i in range(90)]
    fold = folds_of(prompts, 5)
    assert all(
        len({int(f) for f, p in zip(fold, prompts, strict=True) if p == q}) == 1 for q in prompts
    )
    assert set(fold.tolist()) == set(range(5))


@pytest.mark.parametrize("better", ["cheap", "by kind"])
def test_the_command_prints_its_last_line_as_json(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    better: str,
) -> None:
    rows = []
    for i in range(90):
        hard = i % 3 == 0
        prompt = f"Derive the liability under clause {i}" if hard else f"Phone number of room {i}?"
        cheap, strong = (1, int(i % 2)) if better == "cheap" else (int(not hard), 1)
        rows.append(
            {
                "prompt": prompt,
                "scores": {"small": cheap, "large": strong},
                "costs": {"small": 0.001, "large": 0.02},
            }
        )
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["model_routing", "--rows", str(path), "--folds", "3"])
    model_routing.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(last) == LAST
    assert last["quality"] == last["best_single_quality"] == 1
    if better == "cheap":
        assert last["cost"] == pytest.approx(0.001)  # dearer is not taken for better
        assert last["best_single_cost"] == pytest.approx(0.001)
    else:
        assert last["cost"] == pytest.approx((30 * 0.02 + 60 * 0.001) / 90)
        assert last["apgr"] == pytest.approx(last["oracle_apgr"], abs=0.02)
        assert last["random_apgr"] == pytest.approx(0.5, abs=0.05)
        assert last["cost_at_95"] < 0.9 * last["best_single_cost"]
