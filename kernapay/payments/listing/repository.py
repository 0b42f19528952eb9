"""The queries of filtered lists of payments, and of their totals.

The indexes hold every field that is filtered by or added up.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.payments.listing.dtos import ListedPayment, PaymentList, PaymentTotal
from kernapay.payments.listing.totals import sum_groups
from kernapay.payments.models import Payment
from kernapay.payments.pagination import NEWEST_FIRST, forms_of, of_payer, older_than
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Status
from kernapay.storage.codecs import VIEW_CODEC
from kernapay.storage.filters import LimitOffset
from kernapay.storage.mongo import Mongo
from kernapay.storage.reading import MAX_TIME_MS, ReadOnlyRepository, Row

# MongoDB looks at a filter in the index only when there is a condition on the field that the index begins with. Unlike
# a lower bound, this one includes the rows without a time.
_AT_ANY_TIME: Final = {"$not": {"$gt": datetime(9999, 12, 31, tzinfo=UTC)}}
# A month of a shop with 100,000 payments takes a tenth of it.
_TOTALS_MAX_TIME_MS: Final = 3_000
_GROUPS: Final[Row] = {
    "_id": {"currency": "$currency", "status": "$status"},
    "count": {"$sum": 1},
    "amount": {"$sum": "$amount"},
    # Of older rows, what was paid is what was ordered.
    "amountPaid": {"$sum": {"$ifNull": ["$amountPaid", "$amount"]}},
    "amountRefunded": {"$sum": "$amountRefunded"},
}
# MongoDB moves no filter past a limit, so the scan has one simple range. To look for each filter in the index instead
# takes half as long again, for most rows fulfil most filters.
_NO_LIMIT: Final = 2**31 - 1


class Criteria(NamedTuple):
    """The filters of a list. `payer` and `customer` are ids, `before` is exclusive, amounts are in minor units."""

    payer: str | None = None
    status: Status | None = None
    method: str | None = None
    service_type: str | None = None
    provider: str | None = None
    least: int | None = None
    most: int | None = None
    after: datetime | None = None
    before: datetime | None = None
    late: bool | None = None
    disputed: bool | None = None
    entry: str | None = None
    """The hash of an entry of the metadata."""
    customer: str | None = None

    @property
    def is_dated(self) -> bool:
        return self.after is not None or self.before is not None


class Place(NamedTuple):
    """A payment's place in the list: the stored time, which may be of any type, and the reference."""

    created_at: Any
    reference_id: str


class PaymentListRepository(ReadOnlyRepository[Payment]):
    model = Payment

    def __init__(
        self,
        mongo: Mongo,
        payments: PaymentRepository,
        clock: Clock = now,
        max_time_ms: int = MAX_TIME_MS,
    ) -> None:
        super().__init__(mongo, clock)
        self._payments = payments
        self._max_time_ms = max_time_ms

    async def page(self, criteria: Criteria, count: int, cursor: str | None) -> PaymentList:
        """Return a page, newest first. With a `cursor`, start after the payment with this reference.

        Raises QueryTooSlow if too few of too many payments fit.
        """
        place = None
        if cursor is not None:
            whose = of_payer(criteria.payer) if criteria.payer else {}
            place = Place(await self._payments.time_of(whose, cursor), cursor)
            if criteria.is_dated and not isinstance(place.created_at, datetime):
                # Rows without a time come last, and are in no list of a period.
                return PaymentList([])
        # One more than asked for says whether there is another page.
        filters = (*NEWEST_FIRST, LimitOffset(count + 1))
        query = self._query(filters, {"__raw__": condition_of(criteria, place)})

        def read() -> PaymentList:
            columns = self._columns(ListedPayment)
            found = self._find(query, columns, VIEW_CODEC, self._max_time_ms)
            rows = list(found.hint(index_for(criteria)))
            # By the rows, not by what could be read of them: the pages go on after one that cannot be read.
            following = rows[count - 1].get("referenceId") if len(rows) > count else None
            return PaymentList(self._convert_all(rows[:count], ListedPayment), following)

        return await self._run(read)

    async def totals(
        self, criteria: Criteria, after: datetime, before: datetime
    ) -> list[PaymentTotal]:
        """Return what the payments of a period add up to. Raises QueryTooSlow if they are too many."""
        middle = after + (before - after) / 2
        # Each half takes half of the time, on a core of its own.
        halves = await asyncio.gather(
            self._run(self._read_groups, criteria, after, middle),
            self._run(self._read_groups, criteria, middle, before),
        )
        return sum_groups(group for half in halves for group in half)

    def _read_groups(self, criteria: Criteria, after: datetime, before: datetime) -> list[Row]:
        max_time_ms = min(_TOTALS_MAX_TIME_MS, self._max_time_ms)
        return [
            group
            for pipeline in totals_pipelines(criteria, after, before)
            for group in self._collection.aggregate(
                pipeline, hint=index_for(criteria), maxTimeMS=max_time_ms
            )
        ]

    def _columns(self, view: Any) -> dict[str, int]:
        # The id has the time of creation, for rows without one, and names a row that cannot be read.
        return {**super()._columns(view), "_id": 1}


def index_for(criteria: Criteria) -> str:
    """Return the index to read. By itself, MongoDB may choose one that lacks a filter, and read the rows for it."""
    if criteria.customer:
        # Few payments: those with an entry of metadata are found by looking at each.
        return "customer_listed"
    if criteria.entry is not None:
        return "payer_metadata" if criteria.payer else "metadata"
    return "payer_filtered" if criteria.payer else "filtered"


def totals_pipelines(criteria: Criteria, after: datetime, before: datetime) -> Iterable[list[Row]]:
    """Yield the pipelines that together add up a period: each reads one range of the index, of one form of the id."""
    fields = _fields_of(criteria)
    filters: list[Row] = [{"$limit": _NO_LIMIT}, {"$match": fields}] if fields else []
    range_ = {**_range_of(criteria), "createdAt": {"$gte": after, "$lt": before}}
    payers: list[Row] = [{}]
    if criteria.payer:
        payers = [{"userId": form} for form in forms_of(criteria.payer)]
    for payer in payers:
        yield [{"$match": {**payer, **range_}}, *filters, {"$group": _GROUPS}]


def condition_of(criteria: Criteria, place: Place | None) -> Row:
    """Return the conditions for the rows of a list that come after a place."""
    where: Row = of_payer(criteria.payer) if criteria.payer else {}
    return where | _range_of(criteria) | _fields_of(criteria) | _period_of(criteria, place)


def _range_of(criteria: Criteria) -> Row:
    """Return the conditions with which an index begins."""
    where: Row = {}
    if criteria.customer is not None:
        where["customerId"] = ObjectId(criteria.customer)
    if criteria.entry is not None:
        where["metadataHashes"] = criteria.entry
    return where


def _fields_of(criteria: Criteria) -> Row:
    equal = {
        "status": criteria.status and criteria.status.value,
        "paymentMethod": criteria.method,
        "serviceType": criteria.service_type,
        "providerId": criteria.provider,
    }
    where: Row = {column: value for column, value in equal.items() if value is not None}
    # Most rows have neither.
    for column, wanted in (("late", criteria.late), ("disputed", criteria.disputed)):
        if wanted is not None:
            where[column] = True if wanted else {"$ne": True}
    if amounts := _given({"$gte": criteria.least, "$lte": criteria.most}):
        where["amount"] = amounts
    return where


def _period_of(criteria: Criteria, place: Place | None) -> Row:
    if not criteria.is_dated:
        return older_than(*place) if place else {"createdAt": _AT_ANY_TIME}
    period = _given({"$gte": criteria.after, "$lt": criteria.before})
    if place is None or (criteria.before is not None and criteria.before <= place.created_at):
        return {"createdAt": period}
    # One upper bound: the earlier of the two.
    period = _given({"$gte": criteria.after, "$lte": place.created_at})
    return {**older_than(*place), "createdAt": period}


def _given(bounds: Row) -> Row:
    return {operator: bound for operator, bound in bounds.items() if bound is not None}
