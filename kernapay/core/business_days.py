"""Days of a time zone: those of the business, and those of the gateway's settlement feed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kernapay.core.clock import in_utc
from kernapay.core.errors import InvalidInput

_DAY = timedelta(days=1)


class BusinessDays:
    """The days of one time zone. Instants come and go in UTC; a day is half open, from its midnight to the next."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def day_of(self, at: datetime) -> date:
        """Return the day that contains an instant."""
        return at.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """Return the first instant of a day, in UTC. Raises OverflowError at both ends of the calendar."""
        # A midnight that the clocks skip or repeat: the first instant that belongs to the day.
        return datetime.combine(day, time.min, self.zone).astimezone(UTC)

    def window_of(self, day: date) -> tuple[datetime, datetime]:
        """Return the start of a day and the start of the next one, in UTC."""
        return self.start_of(day), self.start_of(day + _DAY)

    def local(self, at: datetime) -> datetime:
        """Return an instant as the clocks of the zone show it."""
        return at.astimezone(self.zone)

    def read_instant(self, text: str, field: str) -> datetime:
        """Return the instant that a text names, in UTC; a bare day stands for its start in this zone.

        Raises InvalidInput, naming the field.
        """
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return in_utc(_read_time(text, field), field)
        try:
            return self.start_of(day)
        except OverflowError as error:
            raise InvalidInput("Must be in the years 1 to 9999 (UTC).", field=field) from error


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield each day from the first to the last, both included."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def read_day(text: str, field: str) -> date:
    """Return the day that a text names. Raises InvalidInput, naming the field."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("Must be a day such as 2026-01-31.", field=field) from error


def _read_time(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            "Must be a day such as 2026-01-31, or a time such as 2026-01-31T10:15:00Z.", field=field
        ) from error
