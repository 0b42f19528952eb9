"""When to try again, and when to give up. These are pure functions: no clock, no store."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

# Standard Webhooks recommends these. Together 75.6 hours, of which GIVE_UP_AFTER cuts off the end.
_PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
_JITTER: Final = 0.1
LONGEST_WISH: Final = timedelta(hours=24)
"""A receiver may ask with `Retry-After` for a longer pause than ours, up to this one."""
GIVE_UP_AFTER: Final = timedelta(days=3)
"""No delivery is tried again when its event has waited for so long."""

DISABLE_AFTER: Final = timedelta(days=5)
"""Without any success for so long, an endpoint is disabled."""
_RECENT: Final = timedelta(hours=12)

FAILURES_TO_BREAK: Final = 10
"""So many failures in a row, and the endpoint gets one delivery at a time."""
_FIRST_BREAK: Final = 1.0
_LONGEST_BREAK: Final = 60.0

ATTEMPTS_IN_ORDER: Final = 3
"""After so many attempts, a delivery holds up those after it no longer."""


def pause_after(attempts: int, wish: timedelta | None, random: Callable[[], float]) -> timedelta:
    """Return the pause after a number of failed attempts. `random` returns numbers from 0 to 1.

    `wish` is the `Retry-After` of the receiver. It is a minimum.
    """
    step = _PAUSES[min(max(attempts, 1), len(_PAUSES)) - 1]
    pause = step * (1 + _JITTER * (2 * random() - 1))
    return max(pause, min(wish, LONGEST_WISH)) if wish is not None else pause


def next_attempt(
    at: datetime,
    waiting_since: datetime,
    attempts: int,
    wish: timedelta | None,
    random: Callable[[], float],
) -> datetime | None:
    """Return when to try again after a failure at `at`, None to give up."""
    due = at + pause_after(attempts, wish, random)
    return due if due < waiting_since + GIVE_UP_AFTER else None


def is_too_old(at: datetime, waiting_since: datetime) -> bool:
    """Return whether a delivery has waited too long for another attempt."""
    return at >= waiting_since + GIVE_UP_AFTER


def should_disable(at: datetime, failing_since: datetime | None, last_failure: datetime) -> bool:
    """Return whether an endpoint has failed for long enough to disable it.

    A recent failure is needed: an endpoint that nothing was sent to may work again.
    """
    if failing_since is None:
        return False
    return at - failing_since >= DISABLE_AFTER and at - last_failure <= _RECENT


class Breaker(NamedTuple):
    """A circuit breaker for an endpoint. While it is open, one delivery at a time probes whether the endpoint answers.

    The deliveries that wait meanwhile are not attempted, so that a host that refuses at once does not use up the
    attempts of thousands.
    """

    failures: int = 0
    """In a row."""
    closed_until: float = 0.0
    """No delivery before this time, in seconds by the caller's monotonic clock."""

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES_TO_BREAK

    def after(self, *, success: bool, at: float) -> "Breaker":
        """Return the breaker after an attempt that ended at `at`."""
        if success:
            return Breaker()
        failures = self.failures + 1
        if failures < FAILURES_TO_BREAK:
            return Breaker(failures)
        # Not the power itself: after a thousand failures it would be too large for a float.
        doublings = min(failures - FAILURES_TO_BREAK, 6)
        return Breaker(failures, at + min(_FIRST_BREAK * 2**doublings, _LONGEST_BREAK))

    def room(self, in_flight: int, most: int, at: float) -> int:
        """Return how many more deliveries may start now."""
        if not self.is_open:
            return max(most - in_flight, 0)
        return 1 if in_flight == 0 and at >= self.closed_until else 0
