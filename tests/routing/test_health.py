"""The circuit breaker: three failures open it, one question probes it."""

from __future__ import annotations

import pytest

from app.errors import (
    ContextTooLong,
    ModelCredential,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
)
from app.routing import Health

DOWN = ModelUnavailable("It is down.")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


def test_a_model_never_asked_may_be_asked(health: Health) -> None:
    assert health.objection("m") == ""
    assert health.of("m").state == "unknown"


def test_two_failures_are_bad_luck_three_open(health: Health) -> None:
    for _ in range(2):
        health.failed("m", DOWN)
    assert health.objection("m") == ""
    assert health.of("m").state == "failing"
    health.failed("m", DOWN)
    assert "It is down" in health.objection("m")
    assert "30 s" in health.objection("m")
    assert health.of("m").state == "open"
    assert health.objection("another") == ""


def test_a_success_between_failures_closes_the_count(health: Health) -> None:
    for _ in range(5):
        health.failed("m", DOWN)
        health.failed("m", DOWN)
        health.succeeded("m")
    assert health.objection("m") == ""
    assert (health.of("m").calls, health.of("m").failed) == (15, 10)


def test_after_the_wait_one_question_probes_and_the_others_wait(
    health: Health, clock: Clock
) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    assert health.of("m").state == "half-open"
    assert health.objection("m") == ""
    health.chosen("m")
    assert "another question is trying" in health.objection("m")
    health.succeeded("m")
    assert health.objection("m") == ""
    assert health.of("m").state == "healthy"


def test_a_failed_probe_opens_it_again(health: Health, clock: Clock) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    health.chosen("m")
    health.failed("m", DOWN)
    assert health.of("m").state == "open"


def test_a_probe_without_an_outcome_is_given_up(health: Health, clock: Clock) -> None:
    """Its person may have pressed Stop."""
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    health.chosen("m")
    clock.now += 30
    assert health.objection("m") == ""


def test_a_rate_limit_opens_for_as_long_as_the_provider_says(health: Health, clock: Clock) -> None:
    health.failed("m", ModelRateLimited("Slow down.", retry_after=7))
    assert "7 s" in health.objection("m")
    clock.now += 7
    assert health.objection("m") == ""


def test_an_absurd_wait_is_cut_to_five_minutes(health: Health) -> None:
    health.failed("m", ModelRateLimited("Slow down.", retry_after=86_400))
    assert health.of("m").wait_s == 300


def test_a_refused_key_opens_at_once(health: Health) -> None:
    health.failed("m", ModelCredential("Refused."))
    assert health.objection("m")


@pytest.mark.parametrize("error", [ModelRefused("No."), ContextTooLong("Too long.")])
def test_what_is_the_questions_fault_does_not_count(
    health: Health, error: ModelRefused | ContextTooLong
) -> None:
    for _ in range(5):
        health.failed("m", error)
    assert health.objection("m") == ""
