"""Reports on settlements for administrators: lists, details, the daily ledger, overdue payments."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec
from bson import ObjectId

from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, NotFound
from kernapay.settlements.days.repository import SettlementDayRepository
from kernapay.settlements.dtos import (
    Ledger,
    LedgerSum,
    PaidDay,
    SettledDay,
    SettlementDetail,
    SettlementView,
    Unsettled,
)
from kernapay.settlements.repository import (
    SettlementRepository,
    SettlementRowRepository,
    UnsettledPayments,
)
from kernapay.settlements.rows import Sums
from kernapay.settlements.sums.repository import SettlementSumRepository

# Razorpay: it settles in rupees, whatever a payment's own currency is.
CURRENCY: Final = "INR"
_LONGEST_LEDGER: Final = timedelta(days=92)
# The rows of a new settlement come in over some hours.
_GRACE: Final = timedelta(days=1)
# No payment is older, and time before it can be counted back.
_FIRST_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)

ByDay = dict[date, dict[str, Sums]]


class SettlementReports:
    def __init__(
        self,
        settlements: SettlementRepository,
        rows: SettlementRowRepository,
        sums: SettlementSumRepository,
        unsettled: UnsettledPayments,
        read_days: SettlementDayRepository,
        days: BusinessDays,
        feed_days: BusinessDays,
        settled_within: timedelta,
        clock: Clock = now,
        *,
        live: bool,
    ) -> None:
        """`days` are those of the business, `feed_days` those of the gateway's feed."""
        self._settlements = settlements
        self._rows = rows
        self._sums = sums
        self._unsettled = unsettled
        self._read_days = read_days
        self._days = days
        self._feed_days = feed_days
        self._settled_within = settled_within
        self._clock = clock
        self._live = live

    async def page(
        self,
        start: str | None,
        end: str | None,
        has_problem: bool | None,
        *,
        count: int,
        skip: int,
        cursor: str | None,
    ) -> list[SettlementView]:
        """Return a page of the settlements, newest first. Raises InvalidInput naming the parameter."""
        after = self._days.read_instant(start, "from") if start else None
        before = self._days.read_instant(end, "to") if end else None
        if after and before and after >= before:
            raise InvalidInput("Must be after `from`.", field="to")
        last = await self._settlements.by_id(cursor) if cursor else None
        if cursor and last is None:
            raise InvalidInput("Must be the `settlementId` of a settlement.", field="cursor")
        return await self._settlements.page(
            after, before, has_problem, count=count, skip=skip, cursor=last
        )

    async def show(self, settlement_id: str, count: int, skip: int) -> SettlementDetail:
        """Return a settlement with a page of its rows. Raises NotFound."""
        stored = await self._settlements.by_id(settlement_id)
        if stored is None:
            raise NotFound("No settlement has this id.", field="settlementId")
        view = msgspec.convert(stored, SettlementView, from_attributes=True)
        rows = await self._rows.page(settlement_id, count, skip)
        return SettlementDetail(view, CURRENCY, view.credit - view.debit, rows)

    async def ledger(self, first: date, last: date) -> Ledger:
        """Return the daily ledger of a period; `last` is exclusive. Raises InvalidInput naming the parameter."""
        if not timedelta(0) < last - first <= _LONGEST_LEDGER:
            raise InvalidInput("Must be after `from`, by at most 92 days.", field="to")
        try:
            after, before = self._days.start_of(first), self._days.start_of(last)
        except OverflowError as error:
            raise InvalidInput("Must be in the years 1 to 9999 (UTC).", field="from") from error
        return Ledger(
            first,
            last,
            str(self._days.zone),
            CURRENCY,
            await self._paid_days(after, before),
            await self._settled_days(after, before),
        )

    async def overdue(self, count: int, skip: int) -> list[Unsettled]:
        """Return a page of the captured payments that should be settled by now, oldest first."""
        if not await self._is_settling():
            return []
        return await self._unsettled.page(self._clock() - self._settled_within, count, skip)

    async def count_overdue(self) -> int:
        """Count the captured payments that should be settled by now, up to 10,000."""
        if not await self._is_settling():
            return 0
        return await self._unsettled.count_before(self._clock() - self._settled_within)

    async def ids_overdue(self, after: datetime, before: datetime) -> list[ObjectId]:
        """Return the unsettled captured payments whose `SETTLED_WITHIN` ended in a period."""
        if not await self._is_settling():
            return []
        return await self._unsettled.ids_paid_between(self._paid_by(after), self._paid_by(before))

    async def first_unread_day(self, after: datetime, before: datetime) -> date | None:
        """Return the first past day of the feed that was never read and may settle what `ids_overdue` returns."""
        first = self._feed_days.day_of(self._paid_by(after))
        last = self._feed_days.day_of(before) - timedelta(days=1)
        return await self._read_days.first_unread(first, last)

    def _paid_by(self, overdue_at: datetime) -> datetime:
        return max(overdue_at, _FIRST_TIME) - self._settled_within

    async def count_problems(self) -> int:
        """Count the settlements that a person should check, up to 10,000. The newest may still get rows."""
        return await self._settlements.count_problems(self._clock() - _GRACE)

    async def _is_settling(self) -> bool:
        # Razorpay: in test mode, nothing may ever be settled.
        return self._live or bool(await self._settlements.newest(1))

    async def _paid_days(self, after: datetime, before: datetime) -> list[PaidDay]:
        found = await self._sums.entered_between(after, before)
        processed = await self._settlements.processed_ids({group.settlement_id for group in found})
        by_day: ByDay = defaultdict(dict)
        for group, sums in found.items():
            if group.settlement_id in processed and group.quarter is not None:
                _add(by_day[self._days.day_of(group.quarter)], group.type, sums)
        days = {
            day: PaidDay(day, _total(types.values()), _sums(types)) for day, types in by_day.items()
        }
        for quarter, currency, count, amount in await self._unsettled.paid_between(after, before):
            day = self._days.day_of(quarter)
            found_day = days.setdefault(day, PaidDay(day, LedgerSum(), {}))
            found_day.unsettled += count
            amounts = found_day.unsettled_amounts
            found_day.unsettled_amounts = {**amounts, currency: amounts.get(currency, 0) + amount}
        return [days[day] for day in sorted(days)]

    async def _settled_days(self, after: datetime, before: datetime) -> list[SettledDay]:
        settlements = [
            each for each in await self._settlements.in_window(after, before) if each.is_processed
        ]
        sums = await self._sums.by_type(each.settlement_id for each in settlements)
        by_day: ByDay = defaultdict(dict)
        bank: dict[date, int] = defaultdict(int)
        for each in settlements:
            day = self._days.day_of(each.settled_at)
            bank[day] += each.amount or 0
            for kind, found in sums.get(each.settlement_id, {}).items():
                _add(by_day[day], kind, found)
        result = []
        for day in sorted(bank):
            total = _total(by_day[day].values())
            difference = bank[day] - total.net
            result.append(SettledDay(day, total, _sums(by_day[day]), bank[day], difference))
        return result


def _add(types: dict[str, Sums], kind: str, sums: Sums) -> None:
    types.setdefault(kind, Sums()).add(sums.as_mapping())


def _total(sums: Iterable[Sums]) -> LedgerSum:
    total = Sums()
    for each in sums:
        total.add(each.as_mapping())
    return _sum(total)


def _sums(types: Mapping[str, Sums]) -> dict[str, LedgerSum]:
    return {kind: _sum(types[kind]) for kind in sorted(types)}


def _sum(sums: Sums) -> LedgerSum:
    return LedgerSum(sums.rows, sums.credit, sums.debit, sums.net, sums.fee, sums.tax)
