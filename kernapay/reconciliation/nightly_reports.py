"""The nightly reports: which are missing, and how old the last good one is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import inf
from typing import Final

import structlog

from kernapay.core.business_days import BusinessDays, days_between
from kernapay.core.clock import Clock, now
from kernapay.core.metrics import GaugeMetricFamily
from kernapay.payments.repository import PaymentRepository
from kernapay.reconciliation.dtos import NightView
from kernapay.reconciliation.models import ReportState
from kernapay.reconciliation.repository import ReportRepository

_log = structlog.get_logger("kernapay.reconciliation")
KEPT: Final = timedelta(days=180)
"""How long the gateway answers for an order.

Razorpay: "Order older than 180 days, please use reports."
"""
# In the business's time zone. An hour is enough for the last events of the day before.
_NIGHT_STARTS: Final = time(1, 0)
# Every worker does this, and reads the reports of half a year each time.
_BETWEEN_LOOKS: Final = timedelta(minutes=1)
# A report that failed was tried for an hour. What stopped it may last for days.
_AGAIN_AFTER_FAILURE: Final = timedelta(hours=1)
# What one report could not compare, the next may. After a week, it is left to the finding of a person.
_AGAIN_IF_INCOMPLETE: Final = timedelta(days=1)
_INCOMPLETE_FOR: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Standing:
    """The nights without a good report, oldest first, and the end of the last night that has one."""

    missing: list[date]
    last_good: datetime | None


class NightlyReports:
    """Requests a report for each business day. A day without a complete report is requested again."""

    def __init__(
        self,
        reports: ReportRepository,
        payments: PaymentRepository,
        days: BusinessDays,
        clock: Clock = now,
    ) -> None:
        self._reports = reports
        self._payments = payments
        self._days = days
        self._clock = clock
        self._next_look: datetime | None = None

    async def request_due(self) -> bool:
        """Request the report of every night that lacks a good one. Return whether this call requested any.

        The oldest is due first. Several workers request each report once.
        """
        at = self._clock()
        if self._next_look is not None and at < self._next_look:
            return False
        # Set in any case: this loop must not depend on an index to end.
        self._next_look = at + _BETWEEN_LOOKS
        known = await self._known(at)
        requested = [
            day
            for day in await self._due_days(at, known)
            if await self._request(day, known.get(day.isoformat()), at)
        ]
        if len(requested) > 1:
            _log.warning("nights_made_up", nights=len(requested), first=requested[0].isoformat())
        return bool(requested)

    async def standing(self) -> Standing:
        """Return which nights are missing. Raises Unavailable."""
        at = self._clock()
        known = await self._known(at)
        good = {night for night, row in known.items() if row.is_good}
        return Standing(
            [day for day in await self._due_days(at, known) if day.isoformat() not in good],
            max((known[night].window_to for night in good), default=None),
        )

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the age of the last good report, and how many are missing. Raises Unavailable."""
        standing = await self.standing()
        last = standing.last_good
        when = GaugeMetricFamily(
            "kernapay_last_good_night_timestamp_seconds",
            "End of the last business day with a complete report, in Unix seconds; absent if no day has one",
        )
        if last is not None:
            when.add_metric((), last.timestamp())
        return [
            when,
            GaugeMetricFamily(
                "kernapay_last_good_night_age_seconds",
                "Time since the end of the last business day with a complete report; +Inf if no day has one",
                inf if last is None else (self._clock() - last).total_seconds(),
            ),
            GaugeMetricFamily(
                "kernapay_nights_missing",
                "Business days that have ended without a complete report",
                len(standing.missing),
            ),
        ]

    async def _known(self, at: datetime) -> dict[str, NightView]:
        return await self._reports.nights(self._first_kept(at).isoformat())

    def _first_kept(self, at: datetime) -> date:
        # The whole of the oldest day must still be there.
        return self._days.day_of(at - KEPT) + timedelta(days=1)

    async def _due_days(self, at: datetime, known: Iterable[str]) -> list[date]:
        local = self._days.local(at)
        has_started = local.time() >= _NIGHT_STARTS
        last = local.date() - timedelta(days=1 if has_started else 2)
        created = await self._payments.first_created_at()
        # A night that was requested stays due, though its payments may be gone from a restored database.
        first = min(
            [
                last,
                *([self._days.day_of(created)] if created else []),
                *(date.fromisoformat(night) for night in known),
            ]
        )
        return list(days_between(max(first, self._first_kept(at)), last))

    async def _request(self, day: date, row: NightView | None, at: datetime) -> bool:
        start, end = self._days.window_of(day)
        # Of many nights the oldest is due first, by as many milliseconds as it is days old.
        due = at - timedelta(milliseconds=(at - end).days)
        if row is None:
            return await self._reports.request_night(day.isoformat(), start, end, due)
        if row.is_good or row.state in (ReportState.REQUESTED, ReportState.RUNNING):
            return False
        is_incomplete = row.state is ReportState.DONE and row.is_complete is not None
        pause = _AGAIN_IF_INCOMPLETE if is_incomplete else _AGAIN_AFTER_FAILURE
        if row.finished_at is not None and row.finished_at + pause > at:
            return False
        if is_incomplete and end + _INCOMPLETE_FOR < at:
            return False
        return await self._reports.repeat_night(row, start, end, due)
