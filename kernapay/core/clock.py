"""The time, as a collaborator: tests pass another clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

Clock = Callable[[], datetime]
INSTANT_EXAMPLE: Final = "2026-01-31T10:15:30.250Z"
Instant = Annotated[datetime, Meta(tz=True, examples=[INSTANT_EXAMPLE])]
"""A moment as clients see it: RFC 3339, in UTC."""


def now() -> datetime:
    """Tell the time in UTC, cut to milliseconds as MongoDB stores it."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
