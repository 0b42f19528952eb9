"""When deliveries are tried again, when they are given up, and what becomes of endpoints that do not answer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernapay.deliveries.schedule import (
    DISABLE_AFTER,
    FAILURES_TO_BREAK,
    GIVE_UP_AFTER,
    LONGEST_WISH,
    Breaker,
    is_too_old,
    next_attempt,
    pause_after,
    should_disable,
)

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
DURATIONS = st.timedeltas(timedelta(0), timedelta(days=400))
RANDOM = st.floats(0, 1)


def middle() -> float:
    return 0.5


def test_the_pauses_are_those_of_the_specification() -> None:
    pauses = [pause_after(attempts, None, middle) for attempts in range(1, 11)]
    hours = [timedelta(hours=each) for each in (2, 5, 10, 14, 20, 24, 24)]
    assert pauses == [timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), *hours]


@given(st.integers(1, 10_000), RANDOM)
def test_the_jitter_is_at_most_a_tenth(attempts: int, random: float) -> None:
    usual = pause_after(attempts, None, middle)
    assert usual * 0.9 <= pause_after(attempts, None, lambda: random) <= usual * 1.1


@given(st.integers(1, 10_000), RANDOM, DURATIONS)
def test_a_wish_is_a_minimum_up_to_a_day(attempts: int, random: float, wish: timedelta) -> None:
    without = pause_after(attempts, None, lambda: random)
    pause = pause_after(attempts, wish, lambda: random)
    assert pause == max(without, min(wish, LONGEST_WISH))


@given(DURATIONS, st.integers(1, 100), st.none() | DURATIONS, RANDOM)
def test_no_attempt_is_made_after_three_days(
    age: timedelta, attempts: int, wish: timedelta | None, random: float
) -> None:
    due = next_attempt(AT, AT - age, attempts, wish, lambda: random)
    if due is not None:
        assert AT < due < AT - age + GIVE_UP_AFTER
        assert not is_too_old(AT, AT - age)
    else:
        assert AT + pause_after(attempts, wish, lambda: random) >= AT - age + GIVE_UP_AFTER


@given(st.lists(RANDOM, min_size=60, max_size=60))
def test_a_delivery_that_always_fails_is_given_up_after_nine_or_ten_attempts(
    randoms: list[float],
) -> None:
    numbers = iter(randoms)
    at, attempts = AT, 0
    due: datetime | None = AT
    while due is not None:
        at, attempts = due, attempts + 1
        due = next_attempt(at, AT, attempts, None, lambda: next(numbers))
    assert attempts in (9, 10)
    assert timedelta(days=1) < at - AT < GIVE_UP_AFTER


@pytest.mark.parametrize(
    ("failing_for", "quiet_for", "disabled"),
    [
        (None, timedelta(0), False),
        (DISABLE_AFTER - timedelta(seconds=1), timedelta(0), False),
        (DISABLE_AFTER, timedelta(0), True),
        (DISABLE_AFTER, timedelta(hours=12), True),
        (DISABLE_AFTER, timedelta(hours=12, seconds=1), False),
        (timedelta(days=400), timedelta(0), True),
    ],
)
def test_an_endpoint_is_disabled_that_failed_for_five_days_and_lately(
    failing_for: timedelta | None, quiet_for: timedelta, disabled: bool
) -> None:
    since = None if failing_for is None else AT - failing_for
    assert should_disable(AT, since, AT - quiet_for) is disabled


ANSWERS = st.lists(st.booleans(), max_size=200)


@given(ANSWERS, st.integers(0, 8), st.integers(1, 32))
def test_the_breaker_opens_after_ten_failures_in_a_row_and_closes_with_a_success(
    answers: list[bool], in_flight: int, most: int
) -> None:
    breaker, in_a_row = Breaker(), 0
    for second, success in enumerate(answers):
        breaker = breaker.after(success=success, at=float(second))
        in_a_row = 0 if success else in_a_row + 1
        assert breaker.is_open is (in_a_row >= FAILURES_TO_BREAK)
        if not breaker.is_open:
            assert breaker.room(in_flight, most, float(second)) == max(most - in_flight, 0)
        else:
            assert 1 <= breaker.closed_until - second <= 60
            assert breaker.room(0, most, breaker.closed_until - 0.001) == 0
            assert breaker.room(0, most, breaker.closed_until) == 1
            assert breaker.room(1, most, breaker.closed_until) == 0


def test_an_open_breaker_waits_longer_each_time_up_to_a_minute() -> None:
    breaker = Breaker(FAILURES_TO_BREAK - 1)
    pauses = []
    for _ in range(1000):
        breaker = breaker.after(success=False, at=100.0)
        pauses.append(breaker.closed_until - 100)
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(pauses[8:]) == {60}
