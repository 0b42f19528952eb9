"""Keep stored sums of payments up to date, so that a month is read from a few documents.

Sums are stored only for many payments. A few are added up when somebody asks.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import structlog
from bson import ObjectId

from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.heartbeat import beat
from kernapay.core.metrics import Counter as CounterMetric
from kernapay.payments.insights.repository import InsightRepository
from kernapay.payments.insights.sums.progress.repository import Progress, ProgressRepository
from kernapay.payments.insights.sums.reading.repository import InsightReader
from kernapay.payments.insights.sums.repository import InsightSumRepository
from kernapay.payments.insights.sums.spans import (
    ALL,
    HOUR,
    By,
    Kind,
    Period,
    Place,
    Span,
    Sum,
    day_span,
    hours_of,
)
from kernapay.storage.locks import Turn
from kernapay.storage.mongo import QueryTooSlow

_log = structlog.get_logger("kernapay.insights")
# After its end, most payments of an hour have been paid. Earlier, they would be added up again and again.
_SETTLED: Final = timedelta(minutes=15)
# By how much clocks may differ.
_OVERLAP: Final = timedelta(minutes=10)
# Of payments that are looked through at once.
_SHORTEST_LOOK: Final = timedelta(seconds=1)
_DUE: Final = 20
_BETWEEN_CHECKS: Final = 2.0  # seconds
_MOST_ACCOUNTS: Final = 100

_RECOUNTED: Final = CounterMetric(
    "kernapay_insight_sums_recounted_total", "Stored sums of payments that were added up (again)"
)
_WRONG: Final = CounterMetric(
    "kernapay_insight_sums_wrong_total",
    "Stored sums that differed from their payments when they were compared, and were added up again",
)


@dataclass(frozen=True, slots=True)
class Few:
    """Numbers of payments of which no sums are stored, as those of a month are added up quickly without.

    Administrators' are read from an index alone, while those to an account are read one by one.
    """

    of_day: int = 500
    of_hour: int = 20
    to_account_a_day: int = 300
    to_account_an_hour: int = 12


class InsightKeeper:
    def __init__(
        self,
        sums: InsightSumRepository,
        reader: InsightReader,
        rows: InsightRepository,
        progress: ProgressRepository,
        days: BusinessDays,
        clock: Clock = now,
        *,
        turn: Turn | None = None,
        few: Few | None = None,
        rest: float = 1.0,
    ) -> None:
        """With a `turn`, it works while it has that. Over earlier days, it rests `rest` times as long as it works."""
        self._sums = sums
        self._reader = reader
        self._rows = rows
        self._progress = progress
        self._days = days
        self._clock = clock
        self._turn = turn
        self._few = few or Few()
        self._rest = rest
        self._next_check = 0.0

    @property
    def _zone(self) -> str:
        return str(self._days.zone)

    async def sweep(self) -> bool:
        """Add up what has changed, then one more hour or day. Return False if nothing was left. Raises Unavailable."""
        if self._turn is not None and not await self._turn.is_ours():
            return False
        due = await self._sums.due(_DUE)
        await self._recount(due)
        has_looked = await self._look_back()
        has_built = await self._build()
        if monotonic() >= self._next_check:
            self._next_check = monotonic() + _BETWEEN_CHECKS
            await self.check()
        return bool(due) or has_looked or has_built

    async def _build(self) -> bool:
        """Store the sums of the hour that is over, else of an earlier day. Return False if none is missing."""
        at = self._clock()
        progress = await self._progress.read(self._zone, self._days.start_of(self._days.day_of(at)))
        day = day_span(self._days, self._days.day_of(progress.until))
        hour = next(each for each in hours_of(day) if each.end > progress.until)
        if hour.end + _SETTLED <= at:
            await self._build_hour(hour)
            since = progress.since
            if hour.end == day.end:
                await self._build_day(day)
                # Once a day, it looks at all days again: some may have got more payments, or have lost their sums.
                since = day.start
            await self._progress.note(self._zone, Progress(hour.end, since))
            return True
        newest = await self._rows.newest_before(progress.since)
        if newest is None:
            return False
        earlier = day_span(self._days, self._days.day_of(newest))
        await self._build_day(earlier, is_patient=True)
        await self._progress.note(self._zone, Progress(progress.until, earlier.start))
        return True

    async def _look_back(self) -> bool:
        """Look through an hour of changes a second time, once it is over. Return False if none is.

        The worker of an older version, which runs beside this one in an upgrade, takes the marker of a change away and
        counts nothing up. Here, clocks matter, but by minutes.
        """
        at = self._clock()
        until = await self._progress.looked_until(at)
        before = until + HOUR
        if before + _SETTLED > at:
            return False
        await self._note_again(until - _OVERLAP, before, before + _OVERLAP)
        await self._sums.end_abandoned_holds()
        await self._progress.note_look(before)
        return True

    async def _note_again(
        self, after: datetime, before: datetime, counted_before: datetime
    ) -> None:
        """Count up the changes of a period, in parts if they are too many, in sums of an earlier time."""
        try:
            changed = await self._rows.changed(after, before)
        except QueryTooSlow:
            middle = after + (before - after) / 2
            if middle - after < _SHORTEST_LOOK:
                raise
            await self._note_again(after, middle, counted_before)
            await self._note_again(middle, before, counted_before)
            return
        places = [
            Place(created_at, str(payee) if payee else ALL)
            for created_at, payee in changed
            # Rows of another system may have anything.
            if isinstance(created_at, datetime)
        ]
        await self._sums.note_changes(places, counted_before=counted_before)

    async def _build_hour(self, hour: Span) -> None:
        if await self._rows.has_more_than(self._few.of_hour, hour.start, hour.end):
            await self._store(ALL, [hour])
            for account in await self._accounts(hour):
                await self._store(account, [hour])

    async def _build_day(self, day: Span, *, is_patient: bool = False) -> None:
        """Store the sums of a day and its hours, unless they are there. A patient one rests as long as it works."""
        if not await self._rows.has_more_than(self._few.of_day, day.start, day.end):
            return
        spans = [day, *hours_of(day)]
        await self._store(ALL, spans, is_patient=is_patient)
        for account in await self._accounts(day):
            await self._store(account, spans, is_patient=is_patient)

    async def _accounts(self, span: Span) -> Sequence[str]:
        """Return the payees with many payments in a span, those with the most first."""
        counts: Counter[str] = Counter()
        for row in await self._sums.groups(Sum(self._zone, ALL, By.PROVIDER, span)):
            # An account that is paid is the one that the payer named.
            name = row["_id"].get("name")
            if isinstance(name, str) and ObjectId.is_valid(name):
                counts[str(ObjectId(name))] += row["created"]
        is_day = span.kind is Kind.DAY
        few = self._few.to_account_a_day if is_day else self._few.to_account_an_hour
        return [name for name, count in counts.most_common(_MOST_ACCOUNTS) if count > few]

    async def _store(self, scope: str, spans: Sequence[Span], *, is_patient: bool = False) -> None:
        end = max(span.end for span in spans)
        current = await self._reader.current(Period(spans[0].start, end, self._zone, scope))
        wanted = [Sum(self._zone, scope, by, span) for span in spans for by in By]
        began = monotonic()
        await self._recount([each for each in wanted if each.id not in current])
        if is_patient:
            await asyncio.sleep(self._rest * (monotonic() - began))

    async def _recount(self, wanted: Sequence[Sum]) -> None:
        beat()
        if wanted:
            await self._sums.recount(wanted)
            _RECOUNTED.inc(len(wanted))

    async def check(self) -> None:
        """Compare the sums that were not compared for the longest time with their payments."""
        wanted = await self._sums.longest_unchecked()
        if wanted is None:
            return
        try:
            is_right = await self._sums.check(wanted)
        except QueryTooSlow:
            is_right = True
        if not is_right:
            _WRONG.inc()
            _log.error("insight_sums_wrong", sums=wanted.id)
