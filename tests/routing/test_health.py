"""The circuit breaker: what opens it and for how long, and that one question probes it."""

from __future__ import annotations

import pytest

from app.errors import (
    ContextTooLong,
    ModelBusy,
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
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


def test_a_success_between_failures_closes_the_count(health: Health, clock: Clock) -> None:
    for _ in range(5):
        health.failed("m", DOWN)
        health.failed("m", DOWN)
        health.succeeded("m")
        clock.now += 30
    assert health.objection("m") == ""
    assert (health.of("m").calls, health.of("m").failed) == (15, 10)


def test_half_of_ten_calls_within_a_minute_open_though_never_three_in_a_row(health: Health) -> None:
    for _ in range(4):
        health.failed("m", DOWN)
        health.succeeded("m")
    health.succeeded("m")
    assert health.objection("m") == ""
    health.failed("m", DOWN)
    assert health.objection("m")


def test_fewer_than_half_do_not_open(health: Health) -> None:
    for _ in range(15):
        health.failed("m", DOWN)
        health.succeeded("m")
        health.succeeded("m")
    assert health.objection("m") == ""


def test_failures_from_before_it_recovered_are_not_held_against_it(
    health: Health, clock: Clock
) -> None:
    for _ in range(20):
        health.failed("m", DOWN)
    clock.now += 31
    assert health.admit("m") == ""
    health.succeeded("m")
    clock.now += 1
    health.failed("m", DOWN)
    assert health.objection("m") == ""


def test_after_the_wait_one_question_probes_and_the_others_wait(
    health: Health, clock: Clock
) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    assert health.of("m").state == "half-open"
    assert health.objection("m") == ""
    assert health.admit("m") == ""
    assert "another question is trying" in health.admit("m")
    assert "another question is trying" in health.objection("m")
    health.succeeded("m")
    assert health.objection("m") == ""
    assert health.of("m").state == "healthy"


def test_each_failed_probe_opens_it_for_twice_as_long(health: Health, clock: Clock) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    waits = []
    for _ in range(6):
        waits.append(health.of("m").wait_s)
        clock.now += waits[-1]
        assert health.admit("m") == ""
        health.failed("m", DOWN)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_a_recovered_model_begins_with_the_short_wait_again(health: Health, clock: Clock) -> None:
    for _ in range(2):
        for _ in range(3):
            health.failed("m", DOWN)
        assert health.of("m").wait_s == 30
        clock.now += 30
        health.admit("m")
        health.succeeded("m")


def test_calls_that_were_under_way_do_not_prolong_the_wait(health: Health, clock: Clock) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 10
    for _ in range(5):
        health.failed("m", DOWN)
    assert health.of("m").wait_s == 20


def test_a_silence_until_the_deadline_opens_at_once(health: Health) -> None:
    """The next reader would wait as long again."""
    health.failed("m", ModelTimeout("It kept silent."))
    assert health.objection("m")


def test_asking_whether_a_model_may_be_asked_takes_no_seat(health: Health, clock: Clock) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    assert [health.objection("m") for _ in range(3)] == ["", "", ""]


def test_a_probe_that_its_reader_stopped_frees_the_seat(health: Health, clock: Clock) -> None:
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    assert health.admit("m") == ""
    health.let_go("m")
    assert health.admit("m") == ""


def test_a_probe_without_an_outcome_is_given_up(health: Health, clock: Clock) -> None:
    """Its person may have pressed Stop."""
    for _ in range(3):
        health.failed("m", DOWN)
    clock.now += 30
    health.admit("m")
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


def test_a_limit_that_was_foreseen_opens_without_counting_as_a_failure(health: Health) -> None:
    health.failed("m", ModelRateLimited("Its limit is reached.", retry_after=7, foreseen=True))
    assert (health.of("m").state, health.of("m").calls) == ("open", 0)
    assert "Its limit is reached" in health.objection("m")


@pytest.mark.parametrize(
    "error", [ModelRefused("No."), ContextTooLong("Too long."), ModelBusy("Full.")]
)
def test_what_is_not_its_fault_does_not_count(health: Health, error: ModelError) -> None:
    for _ in range(5):
        health.failed("m", error)
    assert health.objection("m") == ""
    assert health.of("m").calls == 0


def test_first_token_times_are_the_last_fifty_and_unknown_before_there_are_five(
    health: Health,
) -> None:
    for second in range(4):
        health.spoke("m", second)
    assert health.usual_first_token_s("m") is None
    for tenth in range(100):
        health.spoke("m", tenth / 10)
    health.succeeded("m")
    assert (health.of("m").first_token_p50_s, health.of("m").first_token_p95_s) == (7.5, 9.7)


def test_a_hedged_model_counts_as_failing_only_beyond_its_own_usual_time(health: Health) -> None:
    for _ in range(10):
        health.spoke("m", 1.0)
    for _ in range(5):
        health.outpaced("m", 0.9)
    assert health.objection("m") == ""
    for _ in range(3):
        health.outpaced("m", 1.1)
    assert "kept silent for 1.1 seconds" in health.objection("m")
