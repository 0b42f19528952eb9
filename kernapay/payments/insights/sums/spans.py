"""The spans of time whose sums are stored, and the plan that covers a period with them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from kernapay.core.business_days import BusinessDays

ALL: Final = "all"
"""The scope of administrators. Others are the id of an account to which payments were."""
HOUR: Final = timedelta(hours=1)
LONGEST_DAY: Final = timedelta(hours=26)
"""More than the longest day of any zone."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Rows of another system may have any time. Sums are stored of days from the one that contains this time on."""


class Kind(StrEnum):
    HOUR = "hour"
    DAY = "day"


class By(StrEnum):
    """What the sums of a span are by."""

    HOUR = "hour"
    DAY = "day"
    METHOD = "method"
    PROVIDER = "provider"
    SERVICE_TYPE = "serviceType"


class Span(NamedTuple):
    """A half-open time, in UTC: an hour of a day of the business, or the day."""

    kind: Kind
    start: datetime
    end: datetime


class Sum(NamedTuple):
    """The name of stored sums. The zone decides where hours begin, so it belongs to the name."""

    zone: str
    scope: str
    by: By
    span: Span

    @property
    def id(self) -> str:
        start, end = self.span.start, self.span.end
        return f"{self.zone} {self.scope} {self.by} {start.isoformat()} {end.isoformat()}"


class Place(NamedTuple):
    """Which sums contain a payment: by when it was created, and the account to which it was."""

    at: datetime
    scope: str = ALL


class Period(NamedTuple):
    """A time whose payments are asked for, the zone of its hours and days, and the scope."""

    after: datetime
    before: datetime
    zone: str
    scope: str


class Head(NamedTuple):
    """Stored sums without what they are, and whether they are current."""

    id: str
    start: datetime
    end: datetime
    is_current: bool


Gap = tuple[datetime, datetime]


class Plan(NamedTuple):
    """Of what a period is put together: the ids of stored sums, and the gaps between them, which are added up now."""

    ids: list[str]
    gaps: list[Gap]


def day_span(days: BusinessDays, day: date) -> Span:
    return Span(Kind.DAY, *days.window_of(day))


def hours_of(day: Span) -> Iterator[Span]:
    """Yield the hours of a day, from its first instant on. The last is shorter where clocks change by half an hour."""
    start = day.start
    while start < day.end:
        end = min(start + HOUR, day.end)
        yield Span(Kind.HOUR, start, end)
        start = end


def plan_of(
    heads: Iterable[Head], moving: Sequence[datetime], after: datetime, before: datetime
) -> Plan:
    """Put a period together. `moving` are the times of payments that have changed, in order: their spans are not used.

    Of spans that overlap, the first is taken that can be, and the longest of those that begin together.
    """
    ids: list[str] = []
    gaps: list[Gap] = []
    place = after
    for head in sorted(heads, key=lambda each: (each.start, -each.end.timestamp())):
        is_inside = place <= head.start and head.end <= before
        if not is_inside or not head.is_current or _has_any(moving, head.start, head.end):
            continue
        if place < head.start:
            gaps.append((place, head.start))
        ids.append(head.id)
        place = head.end
    if place < before:
        gaps.append((place, before))
    return Plan(ids, gaps)


def _has_any(moving: Sequence[datetime], start: datetime, end: datetime) -> bool:
    place = bisect_left(moving, start)
    return place < len(moving) and moving[place] < end
