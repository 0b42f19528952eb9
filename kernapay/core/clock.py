"""The time, as a collaborator: tests pass another clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final, overload

from msgspec import Meta

from kernapay.core.errors import InvalidInput

Clock = Callable[[], datetime]
INSTANT_EXAMPLE: Final = "2026-01-31T10:15:30.250Z"
Instant = Annotated[datetime, Meta(tz=True, examples=[INSTANT_EXAMPLE])]
"""A moment as clients see it: RFC 3339, in UTC."""


def now() -> datetime:
    """Tell the time in UTC, cut to milliseconds as MongoDB stores it."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


@overload
def in_utc(moment: datetime, field: str) -> datetime: ...
@overload
def in_utc(moment: None, field: str) -> None: ...
def in_utc(moment: datetime | None, field: str) -> datetime | None:
    """Give a client's moment in UTC; without a zone it is meant so. Raises InvalidInput naming the field."""
    try:
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError as error:
        raise InvalidInput("Must lie in the years 1 to 9999 of UTC.", field=field) from error
