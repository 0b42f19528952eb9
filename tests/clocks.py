"""Clocks for the services under test."""

from datetime import UTC, datetime, timedelta

from kernapay.core.clock import now


class FrozenClock:
    """A clock that stands still until a test sets or advances it."""

    def __init__(self, at: datetime | None = None) -> None:
        self.now = at or datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta = timedelta(0), **units: float) -> None:
        """Advance by a duration, or by `seconds=`, `minutes=`, `hours=`, `days=`."""
        self.now += by + timedelta(**units)


class RunningClock:
    """The real clock, and as far ahead of it as a test has advanced it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return now() + self.ahead

    def advance(self, by: timedelta = timedelta(0), **units: float) -> None:
        """Advance by a duration, or by `seconds=`, `minutes=`, `hours=`, `days=`."""
        self.ahead += by + timedelta(**units)
