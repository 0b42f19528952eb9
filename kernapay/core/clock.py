"""The current time. Classes take a `Clock`, so that tests can pass another one."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated, Final, overload

from msgspec import Meta

from kernapay.core.errors import InvalidInput

Clock = Callable[[], datetime]
INSTANT_EXAMPLE: Final = "2026-01-31T10:15:30.250Z"
Instant = Annotated[datetime, Meta(tz=True, examples=[INSTANT_EXAMPLE])]
"""A time in the API: RFC 3339, in UTC."""


def now() -> datetime:
    """Return the time in UTC, truncated to milliseconds: MongoDB stores no more."""
    # A third of what `replace` takes. The nearest microsecond to such a number is always a whole millisecond.
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


@overload
def in_utc(time: datetime, field: str) -> datetime: ...
@overload
def in_utc(time: None, field: str) -> None: ...
def in_utc(time: datetime | None, field: str) -> datetime | None:
    """Return a client's time in UTC; a time without a zone is taken as UTC.

    Raises InvalidInput, naming the field.
    """
    try:
        return time and (time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
    except OverflowError as error:
        raise InvalidInput("Must be in the years 1 to 9999 (UTC).", field=field) from error
