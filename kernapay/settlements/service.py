"""Read the gateway's settlements day by day, and enter their rows into the payments."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import structlog

from kernapay.core.business_days import BusinessDays, days_between
from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import GatewayMissing, PaymentGateway
from kernapay.payments.repository import PaymentRepository
from kernapay.settlements.days.repository import SettlementDayRepository
from kernapay.settlements.entering import Entering
from kernapay.settlements.feed import Raw, read_row, read_settlement
from kernapay.settlements.models import (
    BankSettlement,
    SettlementDay,
    SettlementProblem,
    SettlementRow,
)
from kernapay.settlements.repository import SettlementRepository, SettlementRowRepository
from kernapay.settlements.rows import Group, Sums
from kernapay.settlements.sums.repository import SettlementSumRepository
from kernapay.storage.updates import RowChanged

T = TypeVar("T")

_log = structlog.get_logger("kernapay.settlements")
# Razorpay: the largest pages.
_PAGE: Final = 100
_ROWS: Final = 1000
# Razorpay says nothing of how long the feed goes back.
_KEPT: Final = timedelta(days=730)
# After a failure: the other days would most likely fail as well, and there may be hundreds.
_PAUSE: Final = timedelta(minutes=1)
# While a day lasts, and shortly after it, its settlements come in.
_OFTEN: Final = timedelta(hours=1)
_AFTER_END: Final = tuple(timedelta(hours=h) for h in (6, 24, 72, 24 * 7, 24 * 30))
# How often rows are added up while other workers store more of them.
_ATTEMPTS: Final = 10


class Pacing(Protocol):
    """Limits the rate of calls to the gateway, and repeats those that got no answer."""

    async def call(self, read: Callable[[], Awaitable[T]]) -> T: ...


class SettlementReader:
    def __init__(
        self,
        gateway: PaymentGateway,
        pace: Pacing,
        settlements: SettlementRepository,
        rows: SettlementRowRepository,
        sums: SettlementSumRepository,
        days: SettlementDayRepository,
        payments: PaymentRepository,
        entering: Entering,
        feed_days: BusinessDays,
        count_overdue: Callable[[], Awaitable[int]],
        clock: Clock = now,
    ) -> None:
        """`feed_days` are the days of the gateway's feed, not those of the business."""
        self._gateway = gateway
        self._pace = pace
        self._settlements = settlements
        self._rows = rows
        self._sums = sums
        self._days = days
        self._payments = payments
        self._entering = entering
        self._feed_days = feed_days
        self._count_overdue = count_overdue
        self._clock = clock
        self._requested: date | None = None
        self._paused_until: datetime | None = None

    async def sweep(self) -> bool:
        """Read one day of the feed that is due, the oldest first. Return False when none is, and after a failure."""
        if self._paused_until is not None and self._clock() < self._paused_until:
            return False
        await self._request_days()
        return await self._days.queue.sweep(self._read_or_fail)

    async def note(self, raw: object) -> bool:
        """Store the settlement of an event, and let a worker read its day at once.

        An event may be older than what is stored, so it adds only what is missing. Return False if it is unreadable.
        """
        at = self._clock()
        settlement = read_settlement(raw, at)
        if settlement is None:
            return False
        await self._settlements.keep(settlement, is_current=False)
        # A day that has not begun has no rows.
        day = self._feed_days.day_of(min(settlement.settled_at, at))
        await self._days.read_again(day.isoformat(), at)
        return True

    async def _request_days(self) -> None:
        """Request every day since the first payment that was not requested yet, even if no worker ran that day."""
        at = self._clock()
        today = self._feed_days.day_of(at)
        if today == self._requested:
            return
        first_payment = await self._payments.first_created_at()
        if first_payment is None:
            return
        first = self._feed_days.day_of(max(first_payment, at - _KEPT))
        known = await self._days.known_since(first.isoformat())
        for day in days_between(first, today):
            if day.isoformat() not in known:
                await self._days.request(day.isoformat(), self._feed_days.start_of(day))
        if overdue := await self._count_overdue():
            _log.warning("payments_not_settled", count=overdue)
        self._requested = today

    async def _read_or_fail(self, day: SettlementDay) -> None:
        try:
            await self._read(day)
        except KernaPayError as error:
            _log.warning("settlement_day_interrupted", day=day.day, code=error.code)
            self._paused_until = self._clock() + _PAUSE
            await self._days.queue.fail(day, error.detail)

    async def _read(self, day: SettlementDay) -> None:
        """Read a day. Each step may be repeated, also in another order. Raises GatewayError, Unavailable."""
        which = date.fromisoformat(day.day)
        start, end = self._feed_days.window_of(which)
        ids: set[str] = set()
        async for raw in self._pages(_PAGE, self._list_settlements(start, end)):
            settlement = read_settlement(raw, start)
            if settlement is None:
                _log.warning("settlement_unreadable", day=day.day)
                continue
            await self._settlements.keep(settlement, is_current=True)
            ids.add(settlement.settlement_id)
        count, waiting = 0, []
        async for page in self._row_pages(which):
            count += len(page)
            stored = await self._rows.keep([read_row(raw) for raw in page])
            crash_point("settlement.rows_stored")
            waiting += [row for row in stored if row.entered_in_payment_at is None and not row.flaw]
            ids |= {row.settlement_id for row in stored if row.settlement_id}
        await self._fetch_unknown(ids, waiting, start)
        settlements = await self.add_up(ids)
        for each in settlements:
            if each.has_failed:
                await self._entering.withdraw(each.settlement_id)
        processed = {each.settlement_id for each in settlements if each.is_processed}
        await self._entering.enter([row for row in waiting if row.settlement_id in processed])
        crash_point("settlement.read")
        await self._days.finish(day, count, self._next_read(end))

    async def _fetch_unknown(
        self, ids: set[str], rows: Sequence[SettlementRow], start: datetime
    ) -> None:
        """Ask the gateway for settlements that are known only from their rows."""
        for settlement_id in sorted(ids - await self._settlements.known_ids(ids)):
            try:
                raw = await self._pace.call(
                    lambda settlement_id=settlement_id: self._gateway.fetch_settlement(  # type: ignore[misc]
                        settlement_id
                    )
                )
            except GatewayMissing:
                raw = {}
            times = [row.settled_at for row in rows if row.settlement_id == settlement_id]
            at = next((time for time in times if time), start)
            found = read_settlement(raw, at)
            if found is None or found.settlement_id != settlement_id:
                found = BankSettlement(settlement_id=settlement_id, status="unknown", settled_at=at)
            await self._settlements.keep(found, is_current=True)

    async def add_up(self, ids: set[str]) -> list[BankSettlement]:
        """Add up the rows of settlements, and compare them with the bank's lines. Return the settlements.

        Raises RowChanged if another worker has recorded other sums meanwhile, RowGone, Unavailable.
        """
        # Before the sums: a worker that stores newer ones meanwhile records them, and that shows.
        found_settlements = [await self._settlements.by_id(each) for each in sorted(ids)]
        sums_by_settlement: dict[str, Sums] = defaultdict(Sums)
        for group, found in (await self._store_sums(ids)).items():
            sums_by_settlement[group.settlement_id].add(found.as_mapping())
        settlements: list[BankSettlement] = []
        for stored in found_settlements:
            if stored is None:
                continue
            settlement_id = stored.settlement_id
            sums = sums_by_settlement[settlement_id]
            problems = problems_of(stored, sums)
            if problems and problems != stored.problems:
                _log.warning(
                    "settlement_has_problems",
                    settlement=settlement_id,
                    problems=[problem.value for problem in problems],
                    difference=None if stored.amount is None else stored.amount - sums.net,
                )
            await self._settlements.record_sums(stored, sums, problems)
            settlements.append(stored)
        return settlements

    async def _store_sums(self, ids: set[str]) -> dict[Group, Sums]:
        """Store what the rows of settlements add up to, and return it. Raises RowChanged."""
        for _ in range(_ATTEMPTS):
            found = await self._rows.sums_of(ids)
            # Once more after each change: another worker may have stored further rows before it, and their sums too.
            if not await self._sums.replace(ids, found):
                return found
            crash_point("settlement.summed")
        raise RowChanged

    def _next_read(self, end: datetime) -> datetime | None:
        """Return when a day is read again, None when it has been read for the last time."""
        at = self._clock()
        if at < end:
            return min(at + _OFTEN, end + _AFTER_END[0])
        return next((end + pause for pause in _AFTER_END if end + pause > at), None)

    def _list_settlements(
        self, start: datetime, end: datetime
    ) -> Callable[[int, int], Awaitable[Sequence[Mapping[str, Any]]]]:
        return lambda skip, count: self._gateway.list_settlements(
            start, end, skip=skip, count=count
        )

    async def _pages(
        self, count: int, read: Callable[[int, int], Awaitable[Sequence[Raw]]]
    ) -> AsyncIterator[Raw]:
        async for page in self._whole_pages(count, read):
            for raw in page:
                yield raw

    def _row_pages(self, day: date) -> AsyncIterator[Sequence[Raw]]:
        return self._whole_pages(
            _ROWS,
            lambda skip, count: self._gateway.settlement_rows(
                day.year, day.month, day.day, skip=skip, count=count
            ),
        )

    async def _whole_pages(
        self, count: int, read: Callable[[int, int], Awaitable[Sequence[Raw]]]
    ) -> AsyncIterator[Sequence[Raw]]:
        skip, last = 0, None
        while page := await self._pace.call(
            lambda skip=skip: read(skip, count)  # type: ignore[misc]
        ):
            yield page
            skip += len(page)
            # A list that ignores `skip` gives the same page for ever.
            if len(page) < count or page == last:
                return
            last = page


def problems_of(settlement: BankSettlement, sums: Sums) -> list[SettlementProblem]:
    """Return the reasons why a person should check a settlement."""
    found = []
    if settlement.has_failed:
        found.append(SettlementProblem.FAILED)
    if settlement.amount is None:
        found.append(SettlementProblem.AMOUNT_UNKNOWN)
    elif settlement.amount != sums.net:
        found.append(SettlementProblem.AMOUNT_DIFFERS)
    if sums.flaws:
        found.append(SettlementProblem.UNREADABLE_ROWS)
    if sums.contradictions:
        found.append(SettlementProblem.ROWS_CHANGED)
    return found
