"""Sums of payments over time: an approved provider's own, and all for administrators."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import InvalidInput
from kernapay.core.fair_share import FairShare
from kernapay.payments.insights.dtos import Breakdown, Bucket, Figures, Group, Insights, Unit
from kernapay.payments.insights.sums.reading.repository import InsightReader
from kernapay.payments.insights.sums.spans import ALL, By, Period
from kernapay.payments.legacy_rows import DEFAULT_CURRENCY, read_sum
from kernapay.payments.payees import Payees
from kernapay.payments.states import Status
from kernapay.security.principal import Principal
from kernapay.storage.mongo import QueryTooSlow
from kernapay.storage.reading import Row

_log = structlog.get_logger("kernapay.payments")
# A month of the business, of which one day may have an hour more.
_LONGEST_PERIOD: Final = timedelta(days=31, hours=1)
_MOST_GROUPS: Final = 20
_STATUSES: Final = frozenset(status.value for status in Status)
_COUNTED: Final = {Status.PENDING: "open", Status.FAILED: "failed"}


class InsightService:
    def __init__(
        self, sums: InsightReader, payees: Payees, days: BusinessDays, share: FairShare
    ) -> None:
        """`share` limits how many periods are added up at once."""
        self._sums = sums
        self._payees = payees
        self._days = days
        self._share = share

    async def show(
        self, caller: Principal, start: str, end: str, unit: Unit, by: Breakdown | None
    ) -> Insights:
        """Return the sums of a period.

        Raises NotApproved, TooManyRequests, and InvalidInput naming the field, also when the payments are too many.
        """
        after, before = self._period(start, end)
        if not caller.is_admin:
            await self._payees.require_approved(caller, "it can see what its payments add up to")
        zone = str(self._days.zone)
        period = Period(after, before, zone, ALL if caller.is_admin else caller.id)
        bys = [By(unit.value)] if by is None else [By(unit.value), By(by.value)]
        async with self._share.turn(caller.id):
            try:
                found = await self._sums.read(period, bys)
            except QueryTooSlow as error:
                raise InvalidInput(
                    "Must be nearer to `to`: too many payments of the period would have to be added up.",
                    field="from",
                ) from error
        series, groups = found[0], found[1] if by else []
        buckets = _add_up(series, "start")
        kinds, others = _largest(_add_up(groups, "name"))
        return Insights(
            start=after,
            end=before,
            timezone=zone,
            totals=[
                Figures(currency=currency, **sums) for (currency,), sums in _add_up(series).items()
            ],
            series=[
                Bucket(currency=currency, start=at, **sums)
                for (currency, at), sums in sorted(buckets.items(), key=_by_time)
            ],
            groups=kinds,
            other_groups=others,
        )

    def _period(self, start: str, end: str) -> tuple[datetime, datetime]:
        after = self._days.read_instant(start, "from")
        before = self._days.read_instant(end, "to")
        if after >= before:
            raise InvalidInput("Must be later than from.", field="to")
        if before - after > _LONGEST_PERIOD:
            raise InvalidInput("Must be at most 31 days later than from.", field="to")
        return after, before


Sums = dict[tuple[Any, ...], Counter[str]]


def _add_up(rows: Iterable[Row], *names: str) -> Sums:
    """Add up groups of MongoDB by currency and these parts of their key.

    Rows of an unknown status or currency, which lists leave out, are left out here and logged. Raises UnreadableRow if
    an amount is not an integer: a sum without it would be wrong.
    """
    sums: Sums = {}
    left_out = 0
    for row in rows:
        # Rows of another system may have no currency.
        currency = row["_id"].get("currency") or DEFAULT_CURRENCY
        status = row["_id"].get("status")
        is_known = isinstance(currency, str) and isinstance(status, str) and status in _STATUSES
        if not is_known:
            left_out += row["created"]
            continue
        key = (currency, *(_part(row["_id"].get(name)) for name in names))
        found = sums.setdefault(key, Counter())
        known = Status(status)
        created = row["created"]
        counts = {"created": created, "disputed": row["disputed"], "refunded": row["refunded"]}
        counts["paid" if known.is_paid else _COUNTED[known]] = created
        counts["amount_refunded"] = read_sum(row["amountRefunded"])
        if known.is_paid:
            counts["amount_paid"] = read_sum(row["amountPaid"])
        found.update(counts)
    if left_out:
        _log.error("insights_left_out", payments=left_out)
    return dict(sorted(sums.items(), key=lambda item: item[0][0]))


def _part(value: Any) -> str | datetime | None:
    # Rows of another system may have anything.
    return value if isinstance(value, str | datetime) else None


def _largest(sums: Sums) -> tuple[list[Group], int]:
    """Return the groups with the most money of each currency, and how many others there are."""
    groups = [
        Group(currency=currency, name=name, **found) for (currency, name), found in sums.items()
    ]
    groups.sort(key=lambda each: (each.currency, -each.amount_paid, -each.created, each.name or ""))
    places: Counter[str] = Counter()
    kept = []
    for group in groups:
        places[group.currency] += 1
        if places[group.currency] <= _MOST_GROUPS:
            kept.append(group)
    return kept, len(groups) - len(kept)


def _by_time(item: tuple[tuple[Any, ...], Counter[str]]) -> tuple[datetime, str]:
    (currency, at), _ = item
    return at, currency
